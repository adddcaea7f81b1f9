package nodetest_test

import (
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/nodetest"
)

// Found is an event that Search sends.
type Found struct {
	Node string `json:"node"`
	At   int    `json:"at"`
}

func (Found) EventType() string { return "example.found" }

// Search is the node under test.
type Search struct {
	Text string
	For  rune
}

func (n Search) Run(ctx *nodebus.Context) (hits int, err error) {
	for at, r := range n.Text {
		ctx.Progress(float64(at), float64(len(n.Text)))
		if r != n.For {
			continue
		}
		hits++
		if err := ctx.SendSync(Found{ctx.UniqueID(), at}); err != nil {
			return hits, err
		}
	}
	return hits, nil
}

// A test creates the node, runs it with a context of the recorder, and checks the
// outputs and the sent events.
func Example() {
	t := new(testing.T) // in a real test: the argument of the test function

	rec := nodetest.New(t, &nodetest.Options{UniqueID: "7"})
	hits, err := Search{Text: "wheelbarrow", For: 'r'}.Run(rec.Context())
	fmt.Println(hits, err)
	fmt.Println(nodetest.Sent[Found](rec))
	fmt.Println(len(nodetest.Sent[nodebus.Progress](rec)), "steps")
	fmt.Println(len(rec.Events()), "events in all")
	// Output:
	// 2 <nil>
	// [{7 7} {7 8}]
	// 11 steps
	// 13 events in all
}
