package flow_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Endless runs until its context ends.
type Endless struct{}

// Run returns the reason why its context ended.
func (Endless) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// Interrupt ends one prompt; other prompts continue.
func ExampleEngine_Interrupt() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, Endless{}, nodebus.Info{})
	engine := flow.NewEngine(r, hub, nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })

	g := nodebus.NewGraph()
	g.AddAs("7", "Endless", nil)
	events := hub.Subscribe(ctx)
	_, err := submit(engine, ctx, &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
	fmt.Println(err)
	for ev := range events {
		switch p := ev.Payload.(type) {
		case nodebus.Executing:
			if p.UniqueID != "" {
				fmt.Println(interrupt(engine, "q"), interrupt(engine, "p"))
			}
		case nodebus.ExecutionInterrupted:
			fmt.Println("interrupted at node", p.NodeID)
			cancel()
		}
	}
	running.Wait()
	_ = hub.Close()
	// Output:
	// <nil>
	// false true
	// interrupted at node 7
}
