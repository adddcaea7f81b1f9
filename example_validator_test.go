package nodebus_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Between is a node with two inputs that depend on each other.
type Between struct{ Low, High int }

// Run shows the limits.
func (n Between) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(fmt.Sprint(n.Low, " to ", n.High)), nil
}

// Validate is called when a prompt is submitted. An InputError marks one input. Any
// other error marks all inputs.
func (n Between) Validate(*nodebus.Context) error {
	if n.Low > n.High {
		return &nodebus.InputError{Input: "high", Err: errors.New("must not be below low")}
	}
	return nil
}

// A node that checks its inputs before the prompt runs.
func ExampleValidator() {
	r := flow.NewRegistry()
	flow.Register(r, Between{}, nodebus.Info{})
	engine := flow.NewEngine(r, nodebus.NewHub(nil), nil)

	for _, in := range []nodebus.Inputs{{"low": 1, "high": 3}, {"low": 5, "high": 3}} {
		g := nodebus.NewGraph()
		g.AddAs("7", "Between", in)
		_, err := engine.Submit(context.Background(), &nodebus.Prompt{Nodes: g.Nodes()}, nil)
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// nodebus: Prompt outputs failed validation; node 7 (Between): Custom validation failed for node: high - must not be below low
}
