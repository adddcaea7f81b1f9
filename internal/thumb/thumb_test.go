package thumb_test

import (
	"image"
	"image/color"
	"image/color/palette"
	"image/draw"
	"math"
	"testing"

	"github.com/nodebus/nodebus/internal/thumb"
	"github.com/stretchr/testify/require"
)

// foreign has only the methods of image.Image.
type foreign struct{ image.Image }

// fast embeds an image, as types of nodes do.
type fast struct{ *image.RGBA }

// gradient draws the same opaque picture into each type.
func gradient(r image.Rectangle) *image.RGBA {
	img := image.NewRGBA(r)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			img.SetRGBA(x, y, color.RGBA{uint8(255 * (x - r.Min.X) / r.Dx()), uint8(255 * (y - r.Min.Y) / r.Dy()), 90, 255})
		}
	}
	return img
}

func ycbcr(from *image.RGBA, ratio image.YCbCrSubsampleRatio) *image.YCbCr {
	img := image.NewYCbCr(from.Rect, ratio)
	for y := from.Rect.Min.Y; y < from.Rect.Max.Y; y++ {
		for x := from.Rect.Min.X; x < from.Rect.Max.X; x++ {
			c := from.RGBAAt(x, y)
			img.Y[img.YOffset(x, y)], img.Cb[img.COffset(x, y)], img.Cr[img.COffset(x, y)] = color.RGBToYCbCr(c.R, c.G, c.B)
		}
	}
	return img
}

func drawn(to draw.Image, from image.Image) draw.Image {
	draw.Draw(to, to.Bounds(), from, from.Bounds().Min, draw.Src)
	return to
}

// inTypes returns a picture in many types.
func inTypes(r image.Rectangle) map[string]image.Image {
	from := gradient(r)
	large := gradient(r.Inset(-3))
	drawn(large, image.White)
	drawn(large.SubImage(r).(draw.Image), from)
	return map[string]image.Image{
		"RGBA": from, "part of an RGBA": large.SubImage(r),
		"NRGBA": drawn(image.NewNRGBA(r), from), "RGBA64": drawn(image.NewRGBA64(r), from),
		"Gray": drawn(image.NewGray(r), from), "CMYK": drawn(image.NewCMYK(r), from),
		"Paletted": drawn(image.NewPaletted(r, palette.WebSafe), from),
		"4:2:0":    ycbcr(from, image.YCbCrSubsampleRatio420), "4:4:4": ycbcr(from, image.YCbCrSubsampleRatio444),
		"foreign": foreign{from}, "embedded": fast{from},
	}
}

// TestCopy compares the copies with the originals, in areas of the picture.
func TestCopy(t *testing.T) {
	for name, size := range map[string]struct{ from, want image.Point }{
		"as it is":   {image.Pt(64, 48), image.Pt(64, 48)},
		"just fits":  {image.Pt(100, 100), image.Pt(100, 100)},
		"wide":       {image.Pt(400, 200), image.Pt(100, 50)},
		"tall":       {image.Pt(101, 303), image.Pt(33, 100)},
		"a line":     {image.Pt(4000, 1), image.Pt(100, 1)},
		"much wider": {image.Pt(3000, 8), image.Pt(100, 1)},
	} {
		for typ, img := range inTypes(image.Rectangle{Max: size.from}.Add(image.Pt(-7, 5))) {
			got, err := thumb.Copy(img, 100, nil)
			require.NoError(t, err)
			require.Equal(t, image.Rectangle{Max: size.want}, got.Bounds().Sub(got.Bounds().Min), "%s: %s", name, typ)
			far := 3.0 // of 255, on average
			switch typ {
			case "foreign", "embedded":
				far = 6
			case "Paletted", "4:2:0":
				far = 26
			}
			require.InDelta(t, 0, difference(img, got), far, "%s: %s", name, typ)
		}
	}
}

// difference is the mean difference of the samples of b to the nearest samples of a.
func difference(a, b image.Image) float64 {
	sum, n := 0.0, 0
	from, to := a.Bounds(), b.Bounds()
	for y := range to.Dy() {
		for x := range to.Dx() {
			p := color.RGBAModel.Convert(a.At(from.Min.X+(2*x+1)*from.Dx()/(2*to.Dx()), from.Min.Y+(2*y+1)*from.Dy()/(2*to.Dy()))).(color.RGBA)
			q := color.RGBAModel.Convert(b.At(to.Min.X+x, to.Min.Y+y)).(color.RGBA)
			for _, d := range []int{int(p.R) - int(q.R), int(p.G) - int(q.G), int(p.B) - int(q.B), int(p.A) - int(q.A)} {
				sum, n = sum+math.Abs(float64(d)), n+1
			}
		}
	}
	return sum / float64(n)
}

// TestCopyIsACopy changes the original afterwards.
func TestCopyIsACopy(t *testing.T) {
	for _, side := range []int{8, 64} {
		for typ, img := range inTypes(image.Rect(0, 0, 64, 64)) {
			got, err := thumb.Copy(img, side, nil)
			require.NoError(t, err)
			before := gradient(got.Bounds())
			drawn(before, got)
			wipe(img)
			after := gradient(got.Bounds())
			drawn(after, got)
			require.Equal(t, before.Pix, after.Pix, "%s at %d", typ, side)
		}
	}
}

func wipe(img image.Image) {
	switch m := img.(type) {
	case draw.Image:
		drawn(m, image.Black)
	case *image.YCbCr:
		clear(m.Y)
		clear(m.Cb)
		clear(m.Cr)
	case foreign:
		wipe(m.Image)
	}
}

// TestTransparency: colours are multiplied by the alpha, so that nothing shows through.
func TestTransparency(t *testing.T) {
	for _, side := range []int{2, 200} {
		img := image.NewNRGBA(image.Rect(0, 0, 100, 100))
		for i := 0; i < len(img.Pix); i += 4 {
			copy(img.Pix[i:], []byte{200, 100, 50, 128})
		}
		got, err := thumb.Copy(img, side, nil)
		require.NoError(t, err)
		require.InDeltaSlice(t, []int{100, 50, 25}, []int{int(got.(*image.RGBA).Pix[0]), int(got.(*image.RGBA).Pix[1]), int(got.(*image.RGBA).Pix[2])}, 1)
	}
}

// TestMemory: a copy uses the memory of an earlier copy, if there is enough.
func TestMemory(t *testing.T) {
	img := gradient(image.Rect(0, 0, 30, 20))
	first, err := thumb.Copy(img, 30, nil)
	require.NoError(t, err)
	for _, side := range []int{30, 10} {
		again, err := thumb.Copy(img, side, thumb.Pixels(first))
		require.NoError(t, err)
		require.Same(t, &first.(*image.RGBA).Pix[0], &again.(*image.RGBA).Pix[0])
	}
	small, err := thumb.Copy(drawn(image.NewGray(image.Rect(0, 0, 2, 2)), image.White), 10, thumb.Pixels(first))
	require.NoError(t, err)
	require.Equal(t, []byte{255, 255, 255, 255}, thumb.Pixels(small))
	large, err := thumb.Copy(img, 30, make([]byte, 5))
	require.NoError(t, err)
	require.Equal(t, img.Pix, thumb.Pixels(large))
	require.Nil(t, thumb.Pixels(ycbcr(img, image.YCbCrSubsampleRatio420)))
}

func TestCopyRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		img  image.Image
		says string
	}{
		"nil":       {nil, "nil"},
		"empty":     {image.NewGray(image.Rectangle{}), "empty"},
		"too wide":  {plain{image.Rect(0, 0, 1<<30+1, 1)}, "too large"},
		"overflows": {plain{image.Rectangle{Min: image.Pt(math.MinInt, 0), Max: image.Pt(math.MaxInt, 1)}}, "too large"},
	} {
		_, err := thumb.Copy(c.img, 10, nil)
		require.ErrorContains(t, err, c.says, name)
	}
	broken := image.NewYCbCr(image.Rect(0, 0, 8, 8), image.YCbCrSubsampleRatio420)
	broken.Cb = broken.Cb[:3]
	require.Panics(t, func() { _, _ = thumb.Copy(broken, 10, nil) }, "and not when the copy is encoded")
}

// TestCopyOfAPart: the copy of a part of a YCbCr image does not keep the rest.
func TestCopyOfAPart(t *testing.T) {
	for _, ratio := range []image.YCbCrSubsampleRatio{
		image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420,
		image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410,
	} {
		large := ycbcr(gradient(image.Rect(-50, -30, 300, 200)), ratio)
		for _, r := range []image.Rectangle{
			image.Rect(0, 0, 16, 16), image.Rect(3, 5, 24, 18), image.Rect(-7, -9, 8, 3), image.Rect(299, 199, 300, 200), large.Rect,
		} {
			part := large.SubImage(r)
			got, err := thumb.Copy(part, 400, nil)
			require.NoError(t, err)
			copied := got.(*image.YCbCr)
			require.Equal(t, r.Size(), copied.Rect.Size())
			require.Len(t, copied.Y, r.Dx()*r.Dy())
			require.LessOrEqual(t, len(copied.Cb)+len(copied.Cr), 2*len(copied.Y))
			for y := range r.Dy() {
				for x := range r.Dx() {
					require.Equal(t, part.At(r.Min.X+x, r.Min.Y+y), copied.At(copied.Rect.Min.X+x, copied.Rect.Min.Y+y), "%v of %v", r, ratio)
				}
			}
		}
	}
}

// TestMayEncode: the limits of an image that is encoded with all its pixels.
func TestMayEncode(t *testing.T) {
	for size, may := range map[image.Point]bool{
		{X: 1, Y: 1}: true, {X: 1 << 14, Y: 1 << 14}: true, {X: 1 << 20, Y: 1 << 8}: true, {X: 1 << 8, Y: 1 << 20}: true,
		{X: 1<<14 + 1, Y: 1 << 14}: false, {X: 1<<20 + 1, Y: 1}: false, {X: 1, Y: 1<<20 + 1}: false, {X: 1 << 20, Y: 1 << 20}: false,
	} {
		err := thumb.MayEncode(image.Rectangle{Max: size}.Sub(image.Pt(5, -5)))
		require.Equal(t, may, err == nil, "%v: %v", size, err)
	}
	require.ErrorContains(t, thumb.MayEncode(image.Black.Bounds()), "too large")
	require.ErrorContains(t, thumb.MayEncode(image.Rectangle{Min: image.Pt(math.MinInt, 0), Max: image.Pt(math.MaxInt, 1)}), "too large")
}

// TestHugeImage has more pixels than anybody can read.
func TestHugeImage(t *testing.T) {
	got, err := thumb.Copy(plain{image.Rect(0, 0, 1<<30, 1<<29)}, 64, nil)
	require.NoError(t, err)
	require.Equal(t, image.Pt(64, 32), got.Bounds().Size())
}

// plain is a white image of any size.
type plain struct{ size image.Rectangle }

func (p plain) Bounds() image.Rectangle { return p.size }
func (plain) ColorModel() color.Model   { return color.RGBAModel }
func (plain) At(_, _ int) color.Color   { return color.White }

func BenchmarkCopy(b *testing.B) {
	for typ, img := range inTypes(image.Rect(0, 0, 1024, 1024)) {
		b.Run(typ, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				got, err := thumb.Copy(img, 512, buf)
				require.NoError(b, err)
				buf = thumb.Pixels(got)
			}
		})
	}
}
