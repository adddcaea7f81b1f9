package cookbook_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Quote is a node that puts marks around a text.
type Quote struct{ Text string }

func (n Quote) Run(*nodebus.Context) (string, error) { return "»" + n.Text + "«", nil }

// Quoted is a node that expands into a workflow of two nodes.
type Quoted struct{ URL string }

func (n Quoted) Run(ctx *nodebus.Context) (nodebus.Out[string], error) {
	g := ctx.NewGraph()
	text := g.AddAs("get", "Fetch", nodebus.Inputs{"url": n.URL})
	quote := g.AddAs("mark", "Quote", nodebus.Inputs{"text": text})
	return nodebus.Out[string]{Graph: g, From: quote}, nil // the output of mark is the output of Quoted
}

func Example_subWorkflow() {
	registry, hub := classes(func(context.Context, string) (string, error) { return "the page", nil }), nodebus.NewHub(nil)
	flow.Register(registry, Quote{}, nodebus.Info{})
	flow.Register(registry, Quoted{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, nil)

	g := nodebus.NewGraph()
	g.AddAs("show", "Show", nodebus.Inputs{"text": g.AddAs("quoted", "Quoted", nodebus.Inputs{"url": "/"})})
	outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: g.Nodes()})
	if err != nil {
		panic(err)
	}
	_ = hub.Close()
	fmt.Println(outcome.Output("show")["text"], outcome.Err())
	for _, node := range outcome.Nodes {
		fmt.Printf("%s %s, shown on %s\n", node.Class, node.Result, node.DisplayID)
	}
	// Output:
	// [»the page«] <nil>
	// Fetch done, shown on quoted
	// Quote done, shown on quoted
	// Quoted done, shown on quoted
	// Show done, shown on show
}
