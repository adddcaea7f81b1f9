package nodebus_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Times multiplies.
type Times struct{ A, B int }

// Run multiplies.
func (n Times) Run(*nodebus.Context) (int, error) { return n.A * n.B, nil }

// Factorial does not compute its result. It returns nodes that compute the result.
type Factorial struct {
	N   int
	Acc int `in:"acc,optional" default:"1"`
}

// Run makes the nodes of one iteration of a loop. The last node of the graph is again a
// Factorial.
func (n Factorial) Run(ctx *nodebus.Context) (nodebus.Out[int], error) {
	if n.N < 2 {
		return nodebus.Out[int]{Value: n.Acc}, nil
	}
	g := ctx.NewGraph()
	acc := g.Add("Times", nodebus.Inputs{"a": n.Acc, "b": n.N})
	next := g.Add("Factorial", nodebus.Inputs{"n": n.N - 1, "acc": acc})
	return nodebus.Out[int]{Graph: g, From: next}, nil
}

// Number shows a number.
type Number struct{ Value int }

// Run shows the number.
func (n Number) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(fmt.Sprint(n.Value)), nil
}

// A node may return a graph that replaces its output. Its method Run is then over, and it
// occupies no worker. The node counts as done when the graph is done.
func ExampleOut() {
	r := flow.NewRegistry()
	flow.Register(r, Times{}, nodebus.Info{})
	flow.Register(r, Factorial{}, nodebus.Info{})
	flow.Register(r, Number{}, nodebus.Info{})

	g := nodebus.NewGraph()
	g.AddAs("result", "Number", nodebus.Inputs{"value": g.Add("Factorial", nodebus.Inputs{"n": 5})})
	outcome, err := flow.Do(context.Background(), flow.NewEngine(r, nodebus.NewHub(nil), nil), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
	if err != nil {
		panic(err)
	}
	fmt.Println(outcome.Output("result"), outcome.Err())
	// Output:
	// map[text:[120]] <nil>
}
