package refpack

import (
	"errors"
	"slices"

	"github.com/nodebus/nodebus"
)

// Mask holds a weight between 0 and 1 for each pixel, row by row.
type Mask struct {
	Width, Height int
	Weights       []float64
}

// at returns the weight for a pixel. The picture may have another size than the mask.
func (m Mask) at(x, y, width, height int) float64 {
	return m.Weights[y*m.Height/height*m.Width+x*m.Width/width]
}

// StubMask returns a mask with the same weight for all pixels.
type StubMask struct {
	Value  float64 `default:"0" min:"0" max:"1"`
	Width  int     `default:"512" min:"1"`
	Height int     `default:"512" min:"1"`
}

// Run returns the mask.
func (n StubMask) Run(*nodebus.Context) (Mask, error) {
	if n.Width < 1 || n.Height < 1 {
		return Mask{}, errors.New("the width and height of a mask must be at least 1")
	}
	return Mask{n.Width, n.Height, slices.Repeat([]float64{n.Value}, n.Width*n.Height)}, nil
}

// TestLazyMixImages mixes two batches of pictures. A larger weight gives the second
// batch more influence. If the mask hides a batch completely, the batch is not
// computed.
type TestLazyMixImages struct {
	Image1 nodebus.Lazy[Image]
	Image2 nodebus.Lazy[Image]
	Mask   Mask
}

// Run returns the mixed pictures.
func (n TestLazyMixImages) Run(ctx *nodebus.Context) (Image, error) {
	if slices.Max(n.Mask.Weights) == 0 {
		return n.Image1.Get(ctx)
	}
	if slices.Min(n.Mask.Weights) == 1 {
		return n.Image2.Get(ctx)
	}
	a, err := n.Image1.Get(ctx)
	if err != nil {
		return Image{}, err
	}
	b, err := n.Image2.Get(ctx)
	if err != nil {
		return Image{}, err
	}
	return n.mix(a, b)
}

func (n TestLazyMixImages) mix(a, b Image) (Image, error) {
	if a.Width != b.Width || a.Height != b.Height || len(a.Batch) != len(b.Batch) {
		return Image{}, errors.New("the two batches must have the same picture size and the same number of pictures")
	}
	out := Image{a.Width, a.Height, make([][]RGB, len(a.Batch))}
	for i := range out.Batch {
		out.Batch[i] = make([]RGB, len(a.Batch[i]))
		for k := range out.Batch[i] {
			w := n.Mask.at(k%a.Width, k/a.Width, a.Width, a.Height)
			for c := range 3 {
				out.Batch[i][k][c] = (1-w)*a.Batch[i][k][c] + w*b.Batch[i][k][c]
			}
		}
	}
	return out, nil
}
