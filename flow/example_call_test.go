package flow_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// InTurn is an executor that calls node after node. It knows neither links nor
// caches: examples/ownexecutor does.
type InTurn struct{ classes *flow.Registry }

// Execute calls each node with the context that it needs to tell who it is.
func (x InTurn) Execute(ctx context.Context, p *nodebus.Prompt, pub nodebus.Publisher) (map[string]nodebus.UI, error) {
	shown := map[string]nodebus.UI{}
	for _, n := range p.Nodes {
		class, _ := x.classes.Class(n.Class) // checked by Submit
		call := nodebus.NewContext(ctx, nodebus.CallInfo{Prompt: p, Place: nodebus.Place{UniqueID: n.ID}, Publisher: pub})
		res, err := class.Call(call, n.Inputs)
		call.End()
		if err != nil {
			return shown, err
		}
		shown[n.ID] = res.UI
	}
	return shown, nil
}

// What an executor of one's own does for each node.
func ExampleNewContext() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	defer hub.Close()
	flow.Register(r, Toss{}, nodebus.Info{})
	g := nodebus.NewGraph()
	g.AddAs("1", "Toss", nodebus.Inputs{"side": "heads"})
	g.AddAs("2", "Toss", nodebus.Inputs{"side": "tails"})
	shown, err := InTurn{r}.Execute(context.Background(), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}, hub)
	fmt.Println(shown["1"]["text"])
	fmt.Println(err)
	// Output:
	// [heads]
	// nodebus: node 2 (Toss): lost
}
