package nodebus_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Again runs a copy of another node of the prompt.
type Again struct {
	Body nodebus.Link `in:",raw"`
}

// Run copies the node that the link points to. Clients show the copy on the original.
func (n Again) Run(ctx *nodebus.Context) (nodebus.Out[string], error) {
	for _, spec := range ctx.Hidden("PROMPT").(nodebus.Nodes) {
		if spec.ID == n.Body.Node {
			g := ctx.NewGraph()
			made := g.DisplayAs(g.Add(spec.Class, nodebus.Inputs{"name": "again"}), spec.ID)
			return nodebus.Out[string]{Graph: g, From: made}, nil
		}
	}
	return nodebus.Out[string]{}, fmt.Errorf("the prompt has no node %q", n.Body.Node)
}

// Report says who runs, and where clients show it.
type Report struct{ Name string }

// Run is called twice: for the node of the prompt, and for its copy.
func (n Report) Run(ctx *nodebus.Context) (string, error) {
	fmt.Println(n.Name, "is", ctx.UniqueID(), "and is shown on", ctx.DisplayID())
	return n.Name, nil
}

// A node that makes a copy of another node, which lights up the original.
func ExampleGraph_DisplayAs() {
	r := flow.NewRegistry()
	flow.Register(r, Report{}, nodebus.Info{})
	flow.Register(r, Again{}, nodebus.Info{Output: true})
	engine := flow.NewEngine(r, nodebus.NewHub(nil), nil)

	g := nodebus.NewGraph()
	body := g.AddAs("body", "Report", nodebus.Inputs{"name": "first"})
	g.AddAs("loop", "Again", nodebus.Inputs{"body": body})
	outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: g.Nodes()})
	fmt.Println(err, outcome.Err())
	// Output:
	// first is body and is shown on body
	// again is loop.0.0.1 and is shown on body
	// <nil> <nil>
}
