package nodebus_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Render sends a preview of an unfinished image.
type Render struct{ Size int }

// Run draws the image and sends a preview.
func (n Render) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	img := image.NewGray(image.Rect(0, 0, n.Size, n.Size))
	for y := range n.Size {
		img.Pix[y*n.Size] = 0xff
		if y == n.Size/2 {
			var file bytes.Buffer
			if err := png.Encode(&file, img); err != nil {
				return nil, err
			}
			if err := ctx.PreviewFile(file.Bytes()); err != nil {
				return nil, err
			}
		}
	}
	return nodebus.Images(nodebus.File{Filename: "line.png", Type: "temp"}), ctx.Err()
}

// A preview is an image of unfinished work. Clients show it on the node.
func ExampleContext_Preview() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, Render{}, nodebus.Info{})

	g := nodebus.NewGraph()
	g.AddAs("7", "Render", nodebus.Inputs{"size": 64})
	events := hub.Subscribe(context.Background())
	_, err := flow.Do(context.Background(), flow.NewEngine(r, hub, nil), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
	fmt.Println(err)
	_ = hub.Close()
	for ev := range events {
		if p, ok := ev.Payload.(nodebus.Preview); ok {
			size, format, err := image.DecodeConfig(bytes.NewReader(p.Image))
			fmt.Println("node", p.UniqueID, "previews", p.ImageType, format, size.Width, size.Height, err)
		}
	}
	// Output:
	// <nil>
	// node 7 previews image/png png 64 64 <nil>
}
