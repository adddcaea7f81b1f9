package thumb

import (
	"image"
	"image/color"
)

// adder adds a sample of row y of an image to the sums of each pixel. columns holds the
// place of the sample for each pixel.
type adder func(sums []uint16, y int, columns []int)

// source returns the adder of a type of package image, or nil for other types.
func source(img image.Image) adder {
	first := img.Bounds().Min.X
	switch m := img.(type) {
	case *image.RGBA:
		return func(sums []uint16, y int, columns []int) {
			row := m.Pix[m.PixOffset(first, y):]
			for i, x := range columns {
				p := row[4*(x-first):][:3:3]
				add(sums, i, p[0], p[1], p[2])
			}
		}
	case *image.NRGBA:
		return func(sums []uint16, y int, columns []int) {
			row := m.Pix[m.PixOffset(first, y):]
			for i, x := range columns {
				p := row[4*(x-first):][:4:4]
				if a := uint32(p[3]); a < 0xff {
					add(sums, i, byte(uint32(p[0])*a/0xff), byte(uint32(p[1])*a/0xff), byte(uint32(p[2])*a/0xff))
				} else {
					add(sums, i, p[0], p[1], p[2])
				}
			}
		}
	case *image.Gray:
		return func(sums []uint16, y int, columns []int) {
			row := m.Pix[m.PixOffset(first, y):]
			for i, x := range columns {
				v := row[x-first]
				add(sums, i, v, v, v)
			}
		}
	case *image.YCbCr:
		return func(sums []uint16, y int, columns []int) {
			for i, x := range columns {
				c := m.COffset(x, y)
				r, g, b := color.YCbCrToRGB(m.Y[m.YOffset(x, y)], m.Cb[c], m.Cr[c])
				add(sums, i, r, g, b)
			}
		}
	case *image.Paletted:
		return paletted(m)
	}
	return nil
}

func paletted(m *image.Paletted) adder {
	colors := make([]color.RGBA, 256)
	for i, c := range m.Palette {
		colors[i] = color.RGBAModel.Convert(c).(color.RGBA)
	}
	first := m.Rect.Min.X
	return func(sums []uint16, y int, columns []int) {
		row := m.Pix[m.PixOffset(first, y):]
		for i, x := range columns {
			c := colors[row[x-first]]
			add(sums, i, c.R, c.G, c.B)
		}
	}
}

// foreign returns the adder of any image.
func foreign(img image.Image) adder {
	at := func(x, y int) color.RGBA64 {
		r, g, b, a := img.At(x, y).RGBA()
		return color.RGBA64{R: uint16(r), G: uint16(g), B: uint16(b), A: uint16(a)}
	}
	if m, ok := img.(image.RGBA64Image); ok {
		at = m.RGBA64At
	}
	return func(sums []uint16, y int, columns []int) {
		for i, x := range columns {
			c := at(x, y)
			add(sums, i, byte(c.R>>8), byte(c.G>>8), byte(c.B>>8))
		}
	}
}

// add adds a sample of pixel i.
func add(sums []uint16, i int, r, g, b byte) {
	s := sums[3*i:][:3:3]
	s[0], s[1], s[2] = s[0]+uint16(r), s[1]+uint16(g), s[2]+uint16(b)
}
