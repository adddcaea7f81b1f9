package picture

import (
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/thumb"
)

// WritePNG writes img as a PNG file with the metadata of the node's prompt, see
// [MetadataOf]. Errors: a [*MetadataError] before anything is written, an error of package
// image/png, or an error of w. An image with more than 2^28 pixels, or with a side of more than
// 2^20, is an error before anything is written. A panic of img is an error, too.
func WritePNG(ctx *nodebus.Context, w io.Writer, img image.Image) error {
	m, err := MetadataOf(ctx)
	if err != nil {
		return err
	}
	return EncodePNG(w, img, m, nil)
}

// WriteJPEG writes img as a JPEG file with the metadata of the node's prompt, see
// [MetadataOf] and [EncodeJPEG]. nil options mean the quality of [jpeg.DefaultQuality]. JPEG
// has no transparency. It returns the same errors as EncodeJPEG. A workflow with many nodes can be
// longer than a JPEG file allows; then errors.Is(err, [ErrTooLong]) is true.
func WriteJPEG(ctx *nodebus.Context, w io.Writer, img image.Image, opts *jpeg.Options) error {
	m, err := MetadataOf(ctx)
	if err != nil {
		return err
	}
	return EncodeJPEG(w, img, m, opts)
}

// EncodePNG writes img as a PNG file with metadata. A nil encoder means the default of
// package image/png. A text in ASCII becomes a chunk tEXt, another text a chunk iTXt. A name
// must have 1 to 79 characters of Latin-1; spaces may only be single, and inside. m may be
// nil. It returns the same errors as [WritePNG].
func EncodePNG(w io.Writer, img image.Image, m Metadata, enc *png.Encoder) error {
	chunks, err := m.chunks()
	if err != nil {
		return err
	}
	if enc == nil {
		enc = &png.Encoder{}
	}
	return nodebus.Protect(func() error {
		if err := thumb.MayEncode(img.Bounds()); err != nil {
			return fmt.Errorf("picture: %w", err)
		}
		return enc.Encode(&inserter{w: w, before: headPNG, insert: chunks}, img)
	})
}

// EncodeJPEG writes img as a JPEG file with metadata. nil options mean the quality of
// [jpeg.DefaultQuality]. The metadata becomes an Exif segment as ComfyUI's tools write it:
// the tags Model, Make, ImageDescription and further tags hold "name:text". A name must not
// contain a colon. m may be nil.
//
// Errors: a [*MetadataError] before anything is written, an error of package image/jpeg, or
// an error of w. The segment has at most 64 KiB; if m needs more, the error wraps
// [ErrTooLong]. Then write a PNG file, or less metadata. A panic of img is an error, too.
func EncodeJPEG(w io.Writer, img image.Image, m Metadata, opts *jpeg.Options) error {
	segment, err := m.segment()
	if err != nil {
		return err
	}
	return nodebus.Protect(func() error { return jpeg.Encode(&inserter{w: w, before: headJPEG, insert: segment}, img, opts) })
}

const (
	headPNG  = 8 + 25 // the signature and the chunk IHDR
	headJPEG = 2      // the marker SOI
)

// inserter writes bytes into a stream after the first bytes of the stream.
type inserter struct {
	w      io.Writer
	before int // number of bytes before insert
	insert []byte
}

func (i *inserter) Write(p []byte) (n int, err error) {
	if len(i.insert) > 0 {
		first := min(i.before, len(p))
		if n, err = i.w.Write(p[:first]); err != nil {
			return n, err
		}
		if i.before -= n; i.before > 0 {
			return n, nil
		}
		if _, err = i.w.Write(i.insert); err != nil {
			return n, err
		}
		i.insert = nil
		if n == len(p) {
			return n, nil
		}
	}
	rest, err := i.w.Write(p[n:])
	return n + rest, err
}
