// Package thumb makes small copies of images for previews.
package thumb

import (
	"errors"
	"fmt"
	"image"
	"image/draw"
)

// sideMax is the maximum width and height of an image that Copy accepts.
const sideMax = 1 << 30

// Limits of an image that is encoded with all its pixels. The encoders keep some rows in
// memory, and some images have any size without memory: the sides of image.Black have 2e9 pixels.
const (
	encodePixels = 1 << 28
	encodeSide   = 1 << 20
)

// MayEncode returns an error if an image with these bounds is too large to be encoded.
func MayEncode(b image.Rectangle) error {
	w, h := b.Dx(), b.Dy()
	if !b.Empty() && (w <= 0 || h <= 0 || w > encodeSide || h > encodeSide || w > encodePixels/h) {
		return fmt.Errorf("the image is too large: it may have %d pixels, and %d at each side", encodePixels, encodeSide)
	}
	return nil
}

// Copy returns a copy of img that shares no memory with img. If a side of img is longer
// than side, the copy is smaller: its longer side has that length, and its shape is the
// same. The copy of an image without colours is an *image.Gray, the copy of a YCbCr image
// can be an *image.YCbCr, and all other copies are an *image.RGBA. Transparent pixels keep
// their colours multiplied by their alpha.
//
// The time depends on the size of the copy, not on the size of img: each pixel of a smaller
// copy is the average of four pixels of img, or one pixel if img is of a type that is not
// in package image. The copy uses the memory of buf, if there is enough.
//
// A panic of img is the caller's. No other goroutine may change img before Copy returns.
func Copy(img image.Image, side int, buf []byte) (image.Image, error) {
	if img == nil {
		return nil, errors.New("the image is nil")
	}
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	switch {
	case b.Empty():
		return nil, fmt.Errorf("the image is empty: its size is %d×%d pixels", w, h)
	case w <= 0 || h <= 0 || w > sideMax || h > sideMax:
		return nil, fmt.Errorf("the image is too large: each side may have %d pixels", sideMax)
	case w <= side && h <= side:
		return whole(img, w, h, buf), nil
	}
	long := int64(max(w, h))
	return scaled(img, max(1, int(int64(w)*int64(side)/long)), max(1, int(int64(h)*int64(side)/long)), buf), nil
}

// memory returns n bytes, of buf if it is large enough.
func memory(buf []byte, n int) []byte {
	if cap(buf) >= n {
		return buf[:n]
	}
	return make([]byte, n)
}

// Pixels returns the memory of a copy, for the buf of another Copy.
func Pixels(copied image.Image) []byte {
	switch m := copied.(type) {
	case *image.RGBA:
		return m.Pix
	case *image.Gray:
		return m.Pix
	}
	return nil
}

// whole copies all pixels.
func whole(img image.Image, w, h int, buf []byte) image.Image {
	r := image.Rect(0, 0, w, h)
	switch m := img.(type) {
	case *image.Gray:
		out := &image.Gray{Pix: memory(buf, w*h), Stride: w, Rect: r}
		rows(out.Pix, w, m.Pix[m.PixOffset(m.Rect.Min.X, m.Rect.Min.Y):], m.Stride, h)
		return out
	case *image.YCbCr:
		return planes(m)
	}
	out := &image.RGBA{Pix: memory(buf, 4*w*h), Stride: 4 * w, Rect: r}
	if m, ok := img.(*image.RGBA); ok {
		rows(out.Pix, 4*w, m.Pix[m.PixOffset(m.Rect.Min.X, m.Rect.Min.Y):], m.Stride, h)
		return out
	}
	draw.Draw(out, r, img, img.Bounds().Min, draw.Src)
	return out
}

// rows copies n rows of width bytes.
func rows(dst []byte, width int, src []byte, stride, n int) {
	for y := range n {
		copy(dst[y*width:(y+1)*width], src[y*stride:y*stride+width])
	}
}

// planes copies the parts of the three planes that belong to an image, which may be a part of
// a larger image. It panics if a plane is too short.
func planes(m *image.YCbCr) image.Image {
	out, first, last := *m, m.Rect.Min, m.Rect.Max.Sub(image.Pt(1, 1))
	_, _, _ = m.Y[m.YOffset(last.X, last.Y)], m.Cb[m.COffset(last.X, last.Y)], m.Cr[m.COffset(last.X, last.Y)]
	wide, high := samples(m.SubsampleRatio)
	w, h := m.Rect.Dx(), m.Rect.Dy()
	cw, ch := last.X/wide-first.X/wide+1, last.Y/high-first.Y/high+1
	all, c := make([]byte, w*h+2*cw*ch), m.COffset(first.X, first.Y)
	out.Y, out.Cb, out.Cr = all[:w*h:w*h], all[w*h:w*h+cw*ch:w*h+cw*ch], all[w*h+cw*ch:]
	out.YStride, out.CStride = w, cw
	rows(out.Y, w, m.Y[m.YOffset(first.X, first.Y):], m.YStride, h)
	rows(out.Cb, cw, m.Cb[c:], m.CStride, ch)
	rows(out.Cr, cw, m.Cr[c:], m.CStride, ch)
	return &out
}

// samples returns how many pixels share one sample of a colour, side by side and above each
// other.
func samples(r image.YCbCrSubsampleRatio) (wide, high int) {
	switch r {
	case image.YCbCrSubsampleRatio422:
		return 2, 1
	case image.YCbCrSubsampleRatio420:
		return 2, 2
	case image.YCbCrSubsampleRatio440:
		return 1, 2
	case image.YCbCrSubsampleRatio411:
		return 4, 1
	case image.YCbCrSubsampleRatio410:
		return 4, 2
	}
	return 1, 1
}

// scaled returns a smaller copy. Each pixel is the average of n by n samples.
func scaled(img image.Image, w, h int, buf []byte) image.Image {
	out := &image.RGBA{Pix: memory(buf, 4*w*h), Stride: 4 * w, Rect: image.Rect(0, 0, w, h)}
	b, add, n := img.Bounds(), source(img), 2
	if add == nil {
		add, n = foreign(img), 1
	}
	columns, sums := places(b.Min.X, b.Dx(), w, n), make([]uint16, 3*w)
	for y, rows := 0, places(b.Min.Y, b.Dy(), h, n); y < h; y++ {
		clear(sums)
		for _, from := range rows {
			for _, at := range columns {
				add(sums, from[y], at)
			}
		}
		average(out.Pix[y*out.Stride:(y+1)*out.Stride], sums, n*n)
	}
	return out
}

// places returns the places of the samples along one side of an image: n lists of one
// sample for each of count pixels, which share the length evenly.
func places(first, length, count, n int) [][]int {
	lists := make([][]int, n)
	for k := range lists {
		lists[k] = make([]int, count)
		for i := range count {
			lists[k][i] = first + int(int64(2*(i*n+k)+1)*int64(length)/int64(2*count*n))
		}
	}
	return lists
}

// average writes a row of pixels from the sums of their samples.
func average(row []byte, sums []uint16, samples int) {
	shift := 2
	if samples == 1 {
		shift = 0
	}
	half := uint16(samples / 2)
	for i := 0; i < len(row)/4; i++ {
		s, p := sums[3*i:3*i+3:3*i+3], row[4*i:4*i+4:4*i+4]
		p[0], p[1], p[2], p[3] = byte((s[0]+half)>>shift), byte((s[1]+half)>>shift), byte((s[2]+half)>>shift), 0xff
	}
}
