package imagenodes

import "github.com/nodebus/nodebus"

// blurHelp is what a front end shows on the help page of Blur.
const blurHelp = `# Blur

Averages each pixel with the pixels around it.

- **picture**: the picture to blur
- **radius**: how far a pixel spreads, in pixels; a bigger radius does not take longer
`

// Blur averages each pixel with the pixels around it, three times. The result is
// close to a Gaussian blur. The node takes a while, so it reports its progress and
// sends previews.
type Blur struct {
	Picture Picture
	Radius  int `default:"8" min:"1" max:"200" tip:"in pixels"`
}

// Run makes six passes: three along the rows and three along the columns.
func (n Blur) Run(ctx *nodebus.Context) (Picture, error) {
	const passes = 6
	p := n.Picture
	w, h := p.Rect.Dx(), p.Rect.Dy()
	for pass := range passes {
		// The progress comes before the preview: some clients fail on a preview that comes before any progress.
		ctx.Progress(float64(pass), passes)
		if err := ctx.Err(); err != nil { // interrupted
			return Picture{}, err
		}
		out := p.fresh()
		if pass%2 == 0 {
			for y := range h {
				average(out.Pix[y*p.Stride:], p.Pix[y*p.Stride:], w, 4, n.Radius)
			}
		} else {
			for x := range w {
				average(out.Pix[4*x:], p.Pix[4*x:], h, p.Stride, n.Radius)
			}
		}
		p = out
		if err := ctx.Preview(p.scaled(min(160, w))); err != nil {
			return Picture{}, err
		}
	}
	ctx.Progress(passes, passes)
	return p, nil
}

// average blurs a line of n pixels with a running sum. step is the distance between
// two pixels, in bytes.
func average(dst, src []byte, n, step, radius int) {
	for c := range 4 {
		sum, count := 0, 0
		for i := range min(radius, n) {
			sum += int(src[i*step+c])
			count++
		}
		for i := range n {
			if i+radius < n {
				sum += int(src[(i+radius)*step+c])
				count++
			}
			if i-radius > 0 {
				sum -= int(src[(i-radius-1)*step+c])
				count--
			}
			dst[i*step+c] = byte((sum + count/2) / count)
		}
	}
}
