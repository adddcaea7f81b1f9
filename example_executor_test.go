package nodebus_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// DryRun is an executor that runs no nodes. It reports which nodes would run.
type DryRun struct{}

// Execute publishes the events of each node. An executor that really runs nodes needs
// twenty lines more; see examples/ownexecutor.
func (DryRun) Execute(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
	id := job.Prompt.ID
	for _, n := range job.Prompt.Nodes {
		if err := ctx.Err(); err != nil {
			return nodebus.Report{}, err // interrupted
		}
		place := nodebus.Place{UniqueID: n.ID, DisplayID: n.ID}
		shown := nodebus.Text("would run " + n.Class)
		_ = pub.Publish(nodebus.Event{Payload: nodebus.Executing{UniqueID: n.ID, DisplayID: n.ID, PromptID: id}})
		_ = pub.Publish(nodebus.Event{Payload: nodebus.Executed{Place: place, Output: shown, PromptID: id}})
	}
	return nodebus.Report{}, nil // the engine has seen the outputs
}

// Launch is a node that must not run by mistake.
type Launch struct{}

// Run panics, because it must not be called.
func (Launch) Run(*nodebus.Context) (nodebus.UI, error) { panic("too late") }

// A custom executor. The engine does the rest: the queue, the record, and the events at
// the start and at the end of a prompt.
func ExampleExecutor() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, Launch{}, nodebus.Info{})
	engine := flow.NewEngine(r, hub, &flow.EngineOptions{Executor: DryRun{}})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })

	g := nodebus.NewGraph()
	g.AddAs("7", "Launch", nil)
	events := hub.Subscribe(ctx)
	_, err := engine.Submit(ctx, &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}, nil)
	fmt.Println(err)
	for ev := range events {
		if ev.PromptID == "p" {
			fmt.Println(ev.Payload.EventType())
		}
		switch p := ev.Payload.(type) {
		case nodebus.Executed:
			fmt.Println(p.Output["text"])
		case nodebus.Executing:
			if p.UniqueID == "" {
				cancel()
			}
		}
	}
	running.Wait()
	_ = hub.Close()
	// Output:
	// <nil>
	// execution_start
	// execution_cached
	// executing
	// executed
	// [would run Launch]
	// execution_success
	// executing
}
