package imagenodes

import (
	"image"
	"image/color"

	"github.com/nodebus/nodebus"
)

// Resize scales a picture to a width and keeps its proportions.
type Resize struct {
	Picture Picture
	Width   int `default:"480" min:"1" max:"8192" tip:"in pixels"`
}

// Run averages the old pixels that fall into each new pixel.
func (n Resize) Run(*nodebus.Context) (Picture, error) { return n.Picture.scaled(n.Width), nil }

func (p Picture) scaled(width int) Picture {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	height := max(1, h*width/w)
	out := Picture{image.NewRGBA(image.Rect(0, 0, width, height))}
	for y := range height {
		y0, y1 := y*h/height, max(y*h/height+1, (y+1)*h/height)
		for x := range width {
			x0, x1 := x*w/width, max(x*w/width+1, (x+1)*w/width)
			out.SetRGBA(x, y, p.mean(x0, y0, x1, y1))
		}
	}
	return out
}

// mean returns the average colour of a rectangle.
func (p Picture) mean(x0, y0, x1, y1 int) color.RGBA {
	var r, g, b, a, n int
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			i := p.PixOffset(x, y)
			r, g, b, a, n = r+int(p.Pix[i]), g+int(p.Pix[i+1]), b+int(p.Pix[i+2]), a+int(p.Pix[i+3]), n+1
		}
	}
	round := func(sum int) uint8 { return uint8((sum + n/2) / n) }
	return color.RGBA{R: round(r), G: round(g), B: round(b), A: round(a)}
}
