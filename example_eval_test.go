package nodebus_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Double is a node that Grow makes at run time.
type Double struct{ Value int }

// Run returns twice the number.
func (n Double) Run(*nodebus.Context) (int, error) { return 2 * n.Value, nil }

// Grow doubles a number until it is large enough.
type Grow struct {
	From int `min:"1"`
	Over int
}

// Run makes nodes and waits for their results, in a Go loop.
func (n Grow) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	v := n.From
	for v <= n.Over {
		g := ctx.NewGraph()
		var err error
		if v, err = nodebus.Eval[int](ctx, g, g.Add("Double", nodebus.Inputs{"value": v})); err != nil {
			return nil, err
		}
	}
	return nodebus.Text(fmt.Sprint(v)), nil
}

// Nodes that a node makes run in the same way as the nodes of the prompt. They have
// their own ids and events. Clients show them on the node that made them.
func ExampleEval() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, Double{}, nodebus.Info{})
	flow.Register(r, Grow{}, nodebus.Info{})

	g := nodebus.NewGraph()
	g.AddAs("tree", "Grow", nodebus.Inputs{"from": 3, "over": 10})
	events := hub.Subscribe(context.Background())
	outcome, err := flow.Do(context.Background(), flow.NewEngine(r, hub, nil), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
	if err != nil {
		panic(err)
	}
	_ = hub.Close()
	for ev := range events {
		if p, ok := ev.Payload.(nodebus.Executing); ok && p.UniqueID != "" {
			fmt.Println(p.UniqueID, "runs, shown on", p.DisplayID)
		}
	}
	fmt.Println(outcome.Output("tree"), outcome.Err())
	// Output:
	// tree runs, shown on tree
	// tree.0.0.1 runs, shown on tree
	// tree runs, shown on tree
	// tree.0.1.1 runs, shown on tree
	// tree runs, shown on tree
	// map[text:[12]] <nil>
}
