package loops_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/flow/loops"
)

// Grow is a node of a program: it adds a percentage.
type Grow struct {
	Amount  float64
	Percent float64
}

// Run adds the percentage.
func (n Grow) Run(*nodebus.Context) (float64, error) { return n.Amount * (1 + n.Percent/100), nil }

// Print is an output node.
type Print struct{ Values nodebus.List[float64] }

// Run shows the values.
func (n Print) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(fmt.Sprintf("%.2f", n.Values)), nil
}

// The node Grow lies between StartLoop and EndLoop, so that it runs once for each iteration. The
// value goes round from next_iteration_value to current_iteration_value, which is output 4.
func Example() {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, Grow{}, nodebus.Info{})
	flow.Register(registry, Print{}, nodebus.Info{})
	if err := loops.Register(registry, nil); err != nil {
		panic(err)
	}
	engine := flow.NewEngine(registry, hub, nil)

	nodes, err := nodebus.ParseNodes([]byte(`{
		"capital": {"class_type": "Grow", "inputs": {"amount": 1000, "percent": 0}},
		"start": {"class_type": "StartLoop", "inputs": {"mode": "simple", "mode.num_iterations": 3,
			"cache_iterations": false, "initial_iteration_value": ["capital", 0]}},
		"year": {"class_type": "Grow", "inputs": {"amount": ["start", 4], "percent": 5}},
		"end": {"class_type": "EndLoop", "inputs": {"output_value": ["year", 0],
			"next_iteration_value": ["year", 0], "accumulate": true}},
		"print": {"class_type": "Print", "inputs": {"values": ["end", 0]}}}`))
	if err != nil {
		panic(err)
	}
	outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: nodes})
	if err != nil {
		panic(err)
	}
	_ = hub.Close()
	fmt.Println(outcome.Output("print")["text"])
	// Output:
	// [[1050.00 1102.50 1157.62]]
}
