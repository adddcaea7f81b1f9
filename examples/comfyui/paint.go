package main

import (
	"image"
	"image/draw"
	"math/rand/v2"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/examples/imagenodes"
)

// Brush is a custom message: a node has taken another brush.
type Brush struct {
	Node    string `json:"node"` // its UNIQUE_ID
	Radius  int    `json:"radius"`
	Strokes int    `json:"strokes"` // number of strokes with this brush
}

// EventType returns the name of the message on the wire. The extension listens for it.
func (Brush) EventType() string { return "example.brush" }

// Paint paints a picture, first with a broad brush and then with finer brushes.
type Paint struct {
	Picture imagenodes.Picture
	Radius  int     `default:"48" min:"1" max:"200" tip:"radius of the first brush, in pixels"`
	Seed    uint64  `default:"1" tip:"another number gives another painting"`
	Pause   float64 `default:"0.03" min:"0" max:"10" step:"0.01" tip:"seconds to wait after each preview, so that people can watch"`
}

// Run makes enough strokes with each brush to cover the picture about four times.
func (n Paint) Run(ctx *nodebus.Context) (imagenodes.Picture, error) {
	const looks = 16 // number of previews for each brush
	size := n.Picture.Rect.Size()
	painting := imagenodes.Picture{RGBA: image.NewRGBA(n.Picture.Rect)}
	draw.Draw(painting, painting.Rect, image.White, image.Point{}, draw.Src)
	random := rand.New(rand.NewPCG(n.Seed, 0))
	brushes := brushes(n.Radius)
	total := float64(len(brushes) * looks)
	for i, radius := range brushes {
		strokes := max(size.X*size.Y*4/(radius*radius*3*looks), 1)
		if err := ctx.SendSync(Brush{Node: ctx.UniqueID(), Radius: radius, Strokes: strokes * looks}); err != nil {
			return painting, err
		}
		for look := range looks {
			// The progress comes before the preview: some clients fail on a preview that comes before any progress.
			ctx.Progress(float64(i*looks+look), total)
			for range strokes {
				n.stroke(painting, random.IntN(size.X), random.IntN(size.Y), radius)
			}
			if err := ctx.Preview(painting); err != nil {
				return painting, err
			}
			if err := pause(ctx, n.Pause); err != nil {
				return painting, err
			}
		}
	}
	ctx.Progress(total, total)
	return painting, nil
}

// brushes returns the radii of the brushes. Each radius is half the previous radius.
func brushes(radius int) (all []int) {
	for ; radius > 3; radius /= 2 {
		all = append(all, radius)
	}
	return append(all, radius)
}

// stroke paints a dot. Its colour is the picture's colour at the centre of the dot.
func (n Paint) stroke(on imagenodes.Picture, x, y, radius int) {
	c := n.Picture.RGBAAt(x, y)
	for dy := -radius; dy <= radius; dy++ {
		for dx := -radius; dx <= radius; dx++ {
			if dx*dx+dy*dy <= radius*radius {
				on.SetRGBA(x+dx, y+dy, c)
			}
		}
	}
}

// pause waits for some seconds. It returns early with an error if the node is
// interrupted.
func pause(ctx *nodebus.Context, seconds float64) error {
	select {
	case <-time.After(time.Duration(seconds * float64(time.Second))):
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
