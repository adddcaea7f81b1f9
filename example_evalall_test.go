package nodebus_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Total adds the doubles of several numbers.
type Total struct{ Numbers nodebus.List[int] }

// Run makes a Double for each number. All of them run side by side.
func (n Total) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	g := ctx.NewGraph()
	var outs []nodebus.Link
	for _, number := range n.Numbers {
		outs = append(outs, g.Add("Double", nodebus.Inputs{"value": number}))
	}
	doubles, err := nodebus.EvalAll[int](ctx, g, outs...)
	return nodebus.Text(fmt.Sprint(doubles)), err
}

// A node evaluates several graphs side by side. The values have the order of the links.
func ExampleEvalAll() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, Double{}, nodebus.Info{})
	flow.Register(r, Total{}, nodebus.Info{})
	g := nodebus.NewGraph()
	g.AddAs("total", "Total", nodebus.Inputs{"numbers": []int{3, 4, 5}})
	outcome, err := flow.Do(context.Background(), flow.NewEngine(r, hub, nil), &nodebus.Prompt{Nodes: g.Nodes()})
	if err != nil {
		panic(err)
	}
	_ = hub.Close()
	fmt.Println(outcome.Output("total"), outcome.Err())
	// Output: map[text:[[6 8 10]]] <nil>
}
