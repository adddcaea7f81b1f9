package nodebus_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Quiet is a publisher that passes on all events except progress. To log, trace or
// filter events, wrap a publisher.
type Quiet struct{ nodebus.Publisher }

// Publish drops progress events and passes on the others.
func (q Quiet) Publish(ev nodebus.Event) error {
	switch ev.Payload.(type) {
	case nodebus.Progress, nodebus.ProgressState:
		return nil
	}
	return q.Publisher.Publish(ev)
}

// Stir is a node that reports its progress.
type Stir struct{}

// Run reports progress.
func (Stir) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	for i := range 100 {
		ctx.Progress(float64(i+1), 100)
	}
	return nodebus.Text("smooth"), nil
}

// EngineOptions.Wrap puts a publisher around the hub. All events of prompts pass through it.
func ExamplePublisher() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, Stir{}, nodebus.Info{})

	g := nodebus.NewGraph()
	g.AddAs("7", "Stir", nil)
	events := hub.Subscribe(context.Background())
	engine := flow.NewEngine(r, hub, &flow.EngineOptions{
		Wrap: func(pub nodebus.Publisher) nodebus.Publisher { return Quiet{pub} },
	})
	_, err := flow.Do(context.Background(), engine, &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
	fmt.Println(err)
	_ = hub.Close()
	for ev := range events {
		if ev.PromptID == "p" {
			fmt.Println(ev.Payload.EventType())
		}
	}
	// Output:
	// <nil>
	// execution_start
	// execution_cached
	// executing
	// executed
	// execution_success
	// executing
}
