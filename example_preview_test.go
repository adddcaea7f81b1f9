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

// PNG is an image as Preview takes one: whatever appends a JPEG or PNG file.
type PNG struct{ image.Image }

// AppendBinary appends the file.
func (p PNG) AppendBinary(b []byte) ([]byte, error) {
	buf := bytes.NewBuffer(b)
	err := png.Encode(buf, p.Image)
	return buf.Bytes(), err
}

// Render shows an image before it is done.
type Render struct{ Size int }

// Run renders.
func (n Render) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	img := image.NewGray(image.Rect(0, 0, n.Size, n.Size))
	for y := range n.Size {
		img.Pix[y*n.Size] = 0xff
		if y == n.Size/2 {
			ctx.Preview(PNG{img})
		}
	}
	return nodebus.Images(nodebus.File{Filename: "line.png", Type: "temp"}), ctx.Err()
}

// An image of work in progress, which clients draw on the node.
func ExampleContext_Preview() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, Render{}, nodebus.Info{})

	g := nodebus.NewGraph()
	g.AddAs("7", "Render", nodebus.Inputs{"size": 64})
	events := hub.Subscribe(context.Background())
	_, err := flow.NewLocal(r, nil).Execute(context.Background(), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}, hub)
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
