package nodebus_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"

	"github.com/nodebus/nodebus"
)

// Render sends previews of an unfinished image.
type Render struct{ Size int }

// Run draws the image, and shows it after each line.
func (n Render) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	img := image.NewGray(image.Rect(0, 0, n.Size, n.Size))
	for y := range n.Size {
		ctx.Progress(float64(y), float64(n.Size)) // before the first preview, or some clients fail
		img.Pix[y*n.Size] = 0xff
		if err := ctx.Preview(img); err != nil {
			return nil, err
		}
	}
	return nodebus.Images(nodebus.File{Filename: "line.png", Type: "temp"}), ctx.Err()
}

// A preview is an image of unfinished work. Clients show it on the node. They receive the
// newest one, so a test of the node asks for all of them.
func ExampleContext_Preview() {
	var sent nodebus.Publisher = viewer{}
	ctx := nodebus.NewContext(context.Background(), nodebus.CallInfo{
		Place: nodebus.Place{UniqueID: "7"}, Publisher: sent, PreviewNow: true,
	})
	_, err := Render{Size: 3}.Run(ctx)
	fmt.Println(err)
	// Output:
	// node 7 shows an image/jpeg of 3×3 pixels
	// node 7 shows an image/jpeg of 3×3 pixels
	// node 7 shows an image/jpeg of 3×3 pixels
	// <nil>
}

// viewer is a publisher that prints previews.
type viewer struct{}

// Publish prints a preview.
func (viewer) Publish(ev nodebus.Event) error {
	if p, ok := ev.Payload.(nodebus.Preview); ok {
		size, _, err := image.DecodeConfig(bytes.NewReader(p.Image))
		fmt.Printf("node %s shows an %s of %d×%d pixels\n", p.UniqueID, p.ImageType, size.Width, size.Height)
		return err
	}
	return nil
}

// A node that has image files already sends them as they are.
func ExampleContext_PreviewFile() {
	ctx := nodebus.NewContext(context.Background(), nodebus.CallInfo{Place: nodebus.Place{UniqueID: "7"}, Publisher: viewer{}})
	var file bytes.Buffer
	fmt.Println(png.Encode(&file, image.NewGray(image.Rect(0, 0, 64, 32))))
	fmt.Println(ctx.PreviewFile(file.Bytes()))
	// Output:
	// <nil>
	// node 7 shows an image/png of 64×32 pixels
	// <nil>
}
