package imagenodes

import (
	"fmt"
	"math"

	"github.com/nodebus/nodebus"
)

// Blend mixes two pictures of the same size.
type Blend struct {
	A, B   Picture
	Amount float64 `default:"0.5" min:"0" max:"1" step:"0.01" tip:"share of B"`
}

// Run mixes the pictures byte by byte.
func (n Blend) Run(*nodebus.Context) (Picture, error) {
	if n.A.Rect != n.B.Rect {
		return Picture{}, fmt.Errorf("the two pictures must have the same size, but they have %v and %v", n.A.Rect.Size(), n.B.Rect.Size())
	}
	out := n.A.fresh()
	share := int(n.Amount*256 + 0.5)
	for i := range out.Pix {
		out.Pix[i] = byte((int(n.A.Pix[i])*(256-share) + int(n.B.Pix[i])*share) / 256)
	}
	return out, nil
}

// Vignette darkens a picture towards its corners.
type Vignette struct {
	Picture  Picture
	Strength float64 `default:"0.6" min:"0" max:"1" step:"0.05"`
}

// Run darkens each pixel by its distance from the centre.
func (n Vignette) Run(*nodebus.Context) (Picture, error) {
	out := n.Picture.fresh()
	w, h := float64(out.Rect.Dx()), float64(out.Rect.Dy())
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			far := math.Hypot(float64(x)/w-0.5, float64(y)/h-0.5) / math.Sqrt2 * 2
			light := 1 - n.Strength*far*far
			i := out.PixOffset(x, y)
			for c := range 3 {
				out.Pix[i+c] = byte(float64(n.Picture.Pix[i+c]) * light)
			}
			out.Pix[i+3] = n.Picture.Pix[i+3]
		}
	}
	return out, nil
}

// Grayscale removes the colours.
type Grayscale struct{ Picture Picture }

// Run weights red, green and blue like the human eye.
func (n Grayscale) Run(*nodebus.Context) (Picture, error) {
	out := n.Picture.fresh()
	for i := 0; i < len(out.Pix); i += 4 {
		p := n.Picture.Pix[i:]
		y := byte((299*int(p[0]) + 587*int(p[1]) + 114*int(p[2])) / 1000)
		out.Pix[i], out.Pix[i+1], out.Pix[i+2], out.Pix[i+3] = y, y, y, p[3]
	}
	return out, nil
}

// Switch returns one of two inputs. The other input is never computed.
type Switch struct {
	Cond            bool
	OnTrue, OnFalse nodebus.Lazy[any]
}

// Run requests only the chosen input.
func (n Switch) Run(ctx *nodebus.Context) (any, error) {
	if n.Cond {
		return n.OnTrue.Get(ctx)
	}
	return n.OnFalse.Get(ctx)
}
