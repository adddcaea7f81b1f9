package main

import (
	"bytes"
	"image"
	"image/draw"
	"image/jpeg"
	"math/rand/v2"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/examples/imagenodes"
)

// Brush is a message of this program's own: a node has taken another brush.
type Brush struct {
	Node    string `json:"node"` // its UNIQUE_ID
	Radius  int    `json:"radius"`
	Strokes int    `json:"strokes"` // that will be made with it
}

// EventType is its name on the wire; the extension listens for it by that name.
func (Brush) EventType() string { return "example.brush" }

// Paint paints a picture over, first with a broad brush and then with finer ones.
type Paint struct {
	Picture imagenodes.Picture
	Radius  int     `default:"48" min:"1" max:"200" tip:"of the first brush, in pixels"`
	Seed    uint64  `default:"1" tip:"other numbers give other paintings"`
	Pause   float64 `default:"0.03" min:"0" max:"10" step:"0.01" tip:"seconds after each look at the painting, so that there is something to see"`
}

// Run makes as many strokes with each brush as cover the picture about four times.
func (n Paint) Run(ctx *nodebus.Context) (imagenodes.Picture, error) {
	const looks = 16 // at the painting, with each brush: it is shown that often
	size := n.Picture.Rect.Size()
	painting := imagenodes.Picture{RGBA: image.NewRGBA(n.Picture.Rect)}
	draw.Draw(painting, painting.Rect, image.White, image.Point{}, draw.Src)
	random := rand.New(rand.NewPCG(n.Seed, 0))
	brushes := brushes(n.Radius)
	for i, radius := range brushes {
		strokes := max(size.X*size.Y*4/(radius*radius*3*looks), 1)
		if err := ctx.SendSync(Brush{Node: ctx.UniqueID(), Radius: radius, Strokes: strokes * looks}); err != nil {
			return painting, err
		}
		for look := range looks {
			for range strokes {
				n.stroke(painting, random.IntN(size.X), random.IntN(size.Y), radius)
			}
			ctx.Preview(preview{painting}) // first: front ends draw it when the progress comes
			ctx.Progress(float64(i*looks+look+1), float64(len(brushes)*looks))
			if err := pause(ctx, n.Pause); err != nil {
				return painting, err
			}
		}
	}
	return painting, nil
}

// brushes are the radii of the brushes, each half the one before.
func brushes(radius int) (all []int) {
	for ; radius > 3; radius /= 2 {
		all = append(all, radius)
	}
	return append(all, radius)
}

// stroke is a dot of the colour that the picture has in the middle of it.
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

// pause waits, unless the node is interrupted.
func pause(ctx *nodebus.Context, seconds float64) error {
	select {
	case <-time.After(time.Duration(seconds * float64(time.Second))):
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// preview is a picture as a JPEG file.
type preview struct{ imagenodes.Picture }

// AppendBinary appends the file.
func (p preview) AppendBinary(b []byte) ([]byte, error) {
	file := bytes.NewBuffer(b)
	err := jpeg.Encode(file, p, nil)
	return file.Bytes(), err
}
