package nodebus_test

import (
	"bytes"
	"context"
	"fmt"
	"image"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Batch makes several pictures that nobody saves as files.
type Batch struct{ Count int }

// Run sends each picture when it is finished.
func (n Batch) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	for i := range n.Count {
		if err := ctx.Picture(image.NewGray(image.Rect(0, 0, 10+i, 10))); err != nil {
			return nil, err
		}
	}
	return nodebus.Text("done"), nil
}

// A finished picture does not replace the one before it.
func ExampleContext_Picture() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, Batch{}, nodebus.Info{})

	g := nodebus.NewGraph()
	g.AddAs("7", "Batch", nodebus.Inputs{"count": 3})
	events := hub.Subscribe(context.Background())
	_, err := flow.Do(context.Background(), flow.NewEngine(r, hub, nil), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
	fmt.Println(err)
	_ = hub.Close()
	for ev := range events {
		if p, ok := ev.Payload.(nodebus.Preview); ok {
			size, format, err := image.DecodeConfig(bytes.NewReader(p.Image))
			fmt.Println("picture", p.Final, "of node", p.UniqueID, format, size.Width, size.Height, err)
		}
	}
	// Output:
	// <nil>
	// picture 1 of node 7 png 10 10 <nil>
	// picture 2 of node 7 png 11 10 <nil>
	// picture 3 of node 7 png 12 10 <nil>
}
