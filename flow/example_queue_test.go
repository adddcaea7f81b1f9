package flow_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// A queue has a maximum length. If the queue is full, Submit returns an error at
// once and does not wait.
func ExampleNewQueue() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	defer hub.Close()
	flow.Register(r, Toss{}, nodebus.Info{})
	engine := flow.NewEngine(r, hub, &flow.EngineOptions{Queue: flow.NewQueue(&flow.QueueOptions{Len: 2, PerClient: 2})})
	ctx := context.Background()
	for i := range 3 { // the engine does not run, so all prompts wait
		g := nodebus.NewGraph()
		g.Add("Toss", nodebus.Inputs{"side": "heads"})
		_, err := submit(engine, ctx, &nodebus.Prompt{ID: fmt.Sprint("toss ", i+1), Nodes: g.Nodes()})
		fmt.Println(err, errors.Is(err, flow.ErrFull))
	}
	gone, err := engine.Delete(ctx, "toss 1")
	fmt.Println(gone, err, engine.Remaining())
	// Output:
	// <nil> false
	// <nil> false
	// nodebus: queue is full: 2 prompts wait or run; submit again later, or raise QueueOptions.Len: prompt "toss 3" true
	// [toss 1] <nil> 1
}
