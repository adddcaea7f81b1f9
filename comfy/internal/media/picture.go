package media

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/draw"
	_ "image/gif" // the server can read GIF; the host program may import more formats
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"sync"

	"github.com/nodebus/nodebus/comfy/internal/content"
	"github.com/nodebus/nodebus/comfy/internal/web"
)

var (
	errNoPicture = errors.New("the file is not a picture in a format that this server can read")
	errHuge      = errors.New("the picture is too large to be converted")
	errSize      = errors.New("the mask and the picture must have the same size")
)

// Limits of the memory and time for pictures: a small file can have many pixels.
const (
	pixelsMax   = 1 << 25 // per picture; a little more than an 8K picture has
	picturesMax = 2       // pictures in memory at a time
	smallAnswer = 1 << 20 // bytes; the slot is free before a smaller answer is sent
)

// slots limits the number of pictures that are in memory at a time. Make it with
// make(slots, n); with nil slots, take waits for ever.
type slots chan struct{}

// take waits for a slot, or until ctx is done. The caller must call free to return
// the slot; more calls of free do nothing.
func (s slots) take(ctx context.Context) (free func(), err error) {
	select {
	case s <- struct{}{}:
		return sync.OnceFunc(func() { <-s }), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// sendPicture answers with a picture in another form. If it returns an error, it
// has not answered. It may wait until other requests return their slots.
func (m *Media) sendPicture(w http.ResponseWriter, r *http.Request, from fs.FS, name string, f form) error {
	free, err := m.pictures.take(r.Context())
	if err != nil {
		return err
	}
	defer free()
	img, err := readPicture(from, name)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	typ, err := encodePicture(&body, img, f)
	if err != nil {
		return errHuge
	}
	if body.Len() <= smallAnswer {
		free()
	} else {
		defer web.LimitWrite(w)()
	}
	h := w.Header()
	h.Set("Content-Type", typ)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Disposition", content.Disposition(name, false))
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body.Bytes())
	return nil
}

// readPicture reads a picture from a file. It refuses pictures that are too large.
func readPicture(from fs.FS, name string) (image.Image, error) {
	file, err := from.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	content, ok := file.(io.ReadSeeker)
	if !ok {
		return nil, errNoPicture
	}
	return decodePicture(content)
}

// decodePicture checks the size before it allocates memory for the pixels. The
// error is errNoPicture, errHuge or an error of content.
func decodePicture(content io.ReadSeeker) (image.Image, error) {
	config, _, err := image.DecodeConfig(content)
	if err != nil {
		return nil, errNoPicture
	}
	if config.Width <= 0 || config.Height <= 0 || config.Width > pixelsMax/config.Height {
		return nil, errHuge
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(content)
	if err != nil {
		return nil, errNoPicture
	}
	return img, nil
}

// encodePicture writes img in a form and returns the content type. The standard
// library cannot write WebP. Instead of a WebP preview, the client receives a JPEG,
// or a PNG if the picture has transparency. Browsers use the content type, so they
// can show both.
func encodePicture(to io.Writer, img image.Image, f form) (typ string, err error) {
	switch {
	case f.preview && (f.jpeg || f.channel == "rgb" || isOpaque(img)):
		return "image/jpeg", jpeg.Encode(to, opaque(img), &jpeg.Options{Quality: f.quality})
	case f.channel == "rgb":
		img = opaque(img)
	case f.channel == "a":
		img = alphaOf(img)
	}
	fast := png.Encoder{CompressionLevel: png.BestSpeed}
	return "image/png", fast.Encode(to, img)
}

func isOpaque(img image.Image) bool {
	o, ok := img.(interface{ Opaque() bool })
	return ok && o.Opaque()
}

// opaque returns img without transparency. The colours of transparent pixels
// become visible.
func opaque(img image.Image) image.Image {
	if isOpaque(img) {
		return img
	}
	out := straight(img)
	for i := 3; i < len(out.Pix); i += 4 {
		out.Pix[i] = 0xff
	}
	return out
}

// alphaOf returns a black picture with the transparency of img.
func alphaOf(img image.Image) image.Image {
	out := straight(img)
	for i := 0; i < len(out.Pix); i += 4 {
		out.Pix[i], out.Pix[i+1], out.Pix[i+2] = 0, 0, 0
	}
	return out
}

// straight returns a copy of img whose colours are not multiplied by the alpha.
func straight(img image.Image) *image.NRGBA {
	b := img.Bounds()
	out := image.NewNRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	switch src := img.(type) {
	case *image.NRGBA:
		for y := range b.Dy() {
			i := src.PixOffset(b.Min.X, b.Min.Y+y)
			copy(out.Pix[y*out.Stride:(y+1)*out.Stride], src.Pix[i:])
		}
	default:
		if isOpaque(img) { // RGBA and NRGBA are equal without transparency, and draw is fast
			draw.Draw(&image.RGBA{Pix: out.Pix, Stride: out.Stride, Rect: out.Rect}, out.Rect, img, b.Min, draw.Src)
			break
		}
		for y := range b.Dy() {
			for x := range b.Dx() {
				out.SetNRGBA(x, y, color.NRGBAModel.Convert(img.At(b.Min.X+x, b.Min.Y+y)).(color.NRGBA))
			}
		}
	}
	return out
}

// pictureError answers a request whose picture could not be read or converted.
func (m *Media) pictureError(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, errNoPicture):
		web.Fail(w, http.StatusUnsupportedMediaType, err.Error())
	case errors.Is(err, errHuge):
		web.Fail(w, http.StatusRequestEntityTooLarge, err.Error())
	case errors.Is(err, errSize):
		web.Fail(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, context.Canceled): // the client has gone: nobody reads this
		web.Fail(w, http.StatusServiceUnavailable, "the request has ended")
	default:
		m.sender.Error(w, err)
	}
}
