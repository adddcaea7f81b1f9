package flow_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// A function around the calls of nodes sees each call with its inputs and its result. Here
// it also replaces the results of one class.
func ExampleAround() {
	trace := func(next flow.CallFunc) flow.CallFunc {
		return func(ctx *nodebus.Context, call *flow.Call) (flow.Result, error) {
			res, err := next(ctx, call)
			fmt.Println("node", ctx.UniqueID(), call.Class.Name(), call.Inputs(), "gives", res.Outputs, err)
			return res, err
		}
	}
	replace := func(next flow.CallFunc) flow.CallFunc {
		return func(ctx *nodebus.Context, call *flow.Call) (flow.Result, error) {
			if call.Class.Name() != "Step" {
				return next(ctx, call)
			}
			return flow.Result{Outputs: []any{100}}, nil
		}
	}
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, step{}, nodebus.Info{Name: "Step"})
	flow.Register(r, sink{}, nodebus.Info{Name: "Sink"})
	engine := flow.NewEngine(r, hub, &flow.EngineOptions{
		Executor: flow.NewLocal(r, &flow.LocalOptions{Around: []flow.Around{trace, replace}}),
	})
	g := nodebus.NewGraph()
	g.AddAs("show", "Sink", nodebus.Inputs{"in": g.AddAs("one", "Step", nodebus.Inputs{"in": 1})})
	outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: g.Nodes()})
	if err != nil {
		panic(err)
	}
	_ = hub.Close()
	fmt.Println(outcome.State, outcome.Err())
	// Output:
	// node one Step map[in:1] gives [100] <nil>
	// node show Sink map[in:100] gives [] <nil>
	// success <nil>
}
