//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"image"
	"image/color"
	"image/jpeg"
	"math/cmplx"
	"net/http"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/refpack"
)

// fractal describes the class Fractal, as a class of a pack.
var fractal = nodebus.Info{
	Category: "e2e", Module: "custom_nodes.e2e", Search: []string{"mandelbrot"}, Essentials: "Basics", Experimental: true,
	Help: "# Fractal\n\nPaints a **Julia set**.",
}

// juliaSet is a class that is gone.
var juliaSet = flow.Replacement{
	Old: "JuliaSet", New: "Fractal",
	Widgets: []string{"colour", "columns", "rows"},
	Inputs:  []flow.ReplacedInput{{New: "width", Old: "columns"}, {New: "height", Value: 24}},
	Outputs: []flow.ReplacedOutput{{Old: 1, New: 0}},
}

// Fractal paints a Julia set.
type Fractal struct {
	Width  int `default:"320" min:"1" max:"1024"`
	Height int `default:"240" min:"1" max:"1024"`
}

// Run colours each pixel by the number of steps until its value diverges.
func (n Fractal) Run(*nodebus.Context) (refpack.Image, error) {
	const most = 120
	pixels := make([]refpack.RGB, n.Width*n.Height)
	for i := range pixels {
		x, y := i%n.Width-n.Width/2, i/n.Width-n.Height/2
		z := complex(float64(x), float64(y)) * complex(3.1/float64(n.Width), 0)
		steps := 0
		for steps < most && cmplx.Abs(z) < 4 {
			z = z*z + complex(-0.79, 0.156)
			steps++
		}
		far := float64(steps) / most
		pixels[i] = refpack.RGB{min(1, 3*far), min(1, 2*far*far+far), min(1, 0.25+far)}
	}
	return refpack.Image{Width: n.Width, Height: n.Height, Batch: [][]refpack.RGB{pixels}}, nil
}

// steps controls nodes that wait for a step. Each HTTP request lets one waiting node
// take one step; if no node waits, the request waits for a node. So the observations
// of a test in the middle of a run do not depend on the speed of the machine.
type steps chan struct{}

func (s steps) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	select {
	case s <- struct{}{}:
	case <-r.Context().Done():
	}
}

func (s steps) wait(ctx context.Context) error {
	select {
	case <-s:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Gate waits for one step and passes its value on. It runs again in each prompt.
type Gate struct {
	Value any

	steps steps
}

// Fingerprint returns a different value each time, so that the node is never cached.
func (Gate) Fingerprint(*nodebus.Context) (string, error) { return rand.Text(), nil }

// Run waits for one step and returns the value.
func (n Gate) Run(ctx *nodebus.Context) (any, error) { return n.Value, n.steps.wait(ctx) }

// Develop shows a picture, sharper with each step. It waits before each step.
type Develop struct {
	Image refpack.Image
	Steps int `default:"12" min:"1" max:"100"`

	steps steps
}

// Run takes the steps and returns the picture. It encodes the previews itself, so that the
// clients see each of them. It sends the preview before the progress, because the canvas
// redraws a node only when the progress comes.
func (n Develop) Run(ctx *nodebus.Context) (refpack.Image, error) {
	for i := range n.Steps {
		if err := n.steps.wait(ctx); err != nil {
			return refpack.Image{}, err
		}
		var file bytes.Buffer
		if err := jpeg.Encode(&file, mosaic(n.Image, 1+32*(n.Steps-1-i)/n.Steps), nil); err != nil {
			return refpack.Image{}, err
		}
		if err := ctx.PreviewFile(file.Bytes()); err != nil {
			return refpack.Image{}, err
		}
		ctx.Progress(float64(i+1), float64(n.Steps))
	}
	return n.Image, nil
}

// mosaic draws a picture as squares of one colour. side is the length of their sides.
func mosaic(from refpack.Image, side int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, from.Width, from.Height))
	for y := range from.Height {
		for x := range from.Width {
			px := from.Batch[0][y/side*side*from.Width+x/side*side]
			img.Set(x, y, color.RGBA{uint8(255 * px[0]), uint8(255 * px[1]), uint8(255 * px[2]), 255})
		}
	}
	return img
}
