package nodebus_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// InTurn is an executor that calls the nodes one after another. It supports no links
// and no cache. For an executor with links see examples/ownexecutor.
type InTurn struct{ classes *flow.Registry }

// Execute calls each node with a context that contains the ids of the node.
func (x InTurn) Execute(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (report nodebus.Report, err error) {
	for _, n := range job.Prompt.Nodes {
		class, _ := x.classes.Class(n.Class) // with an engine, Submit has checked that the class exists
		at := nodebus.Place{UniqueID: n.ID}
		call := nodebus.NewContext(ctx, nodebus.CallInfo{Place: at, Job: &job, Publisher: pub})
		res, err := class.Call(call, n.Inputs)
		call.End()
		if err != nil {
			return report, err
		}
		report.Outputs = append(report.Outputs, nodebus.NodeOutput{Place: at, UI: res.UI})
	}
	return report, nil
}

// A custom executor makes a context for each call of a node, and ends the context after
// the call.
func ExampleNewContext() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	defer hub.Close()
	flow.Register(r, Toss{}, nodebus.Info{})
	g := nodebus.NewGraph()
	g.AddAs("1", "Toss", nodebus.Inputs{"side": "heads"})
	g.AddAs("2", "Toss", nodebus.Inputs{"side": "tails"})
	job := nodebus.Job{Prompt: &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}, Attempt: 1}
	report, err := InTurn{r}.Execute(context.Background(), job, hub)
	fmt.Println(report.Outputs[0].UI["text"])
	fmt.Println(err)
	// Output:
	// [heads]
	// nodebus: node 2 (Toss): lost
}

// Toss fails for tails.
type Toss struct{ Side string }

// Run returns an error for tails.
func (n Toss) Run(*nodebus.Context) (nodebus.UI, error) {
	if n.Side == "tails" {
		return nil, errors.New("lost")
	}
	return nodebus.Text(n.Side), nil
}
