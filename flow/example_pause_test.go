package flow_test

import (
	"context"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// A paused engine accepts prompts, and begins them when it is resumed.
func ExampleEngine_Pause() {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, Greet{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = engine.Run(ctx) }()

	engine.Pause()
	submission, err := engine.Submit(ctx, greeting("you"), nil)
	if err != nil {
		panic(err)
	}
	fmt.Println("waiting:", engine.Remaining(), "paused:", engine.Paused())

	engine.Resume()
	outcome, err := submission.Wait(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(outcome.State, outcome.Err())
	// Output:
	// waiting: 1 paused: true
	// success <nil>
}

// A program that stops lets what runs end, and leaves in the queue what waits.
func ExampleEngine_Drain() {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, Greet{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, nil)
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(context.Background()) }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	submission, err := engine.Submit(ctx, greeting("you"), nil)
	if err != nil {
		panic(err)
	}
	outcome, _ := submission.Wait(ctx)
	fmt.Println(outcome.State)

	if err := engine.Drain(ctx); err != nil {
		fmt.Println("something still runs:", err)
	}
	fmt.Println("Run has ended:", <-ended)

	if _, err := engine.Submit(ctx, greeting("you"), nil); err != nil {
		panic(err)
	}
	fmt.Println("waiting:", engine.Remaining())
	// Output:
	// success
	// Run has ended: <nil>
	// waiting: 1
}

// Waiting prompts can be moved, and know their places.
func ExampleEngine_Reorder() {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, Greet{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, nil)
	ctx := context.Background()
	for _, id := range []string{"a", "b", "c"} {
		p := greeting(id)
		p.ID = id
		if _, err := engine.Submit(ctx, p, nil); err != nil {
			panic(err)
		}
	}
	if err := engine.Reorder(ctx, "c", "b"); err != nil {
		panic(err)
	}
	if err := engine.Prioritize(ctx, "b", 10); err != nil { // a larger number waits longer
		panic(err)
	}
	for q, err := range engine.Queued(ctx) {
		if err != nil {
			panic(err)
		}
		position, err := engine.Position(ctx, q.Prompt.ID)
		fmt.Println(q.Prompt.ID, "ahead:", position.Ahead, err)
	}
	// Output:
	// c ahead: 0 <nil>
	// a ahead: 1 <nil>
	// b ahead: 2 <nil>
}

// greeting is a prompt with one node.
func greeting(name string) *nodebus.Prompt {
	g := nodebus.NewGraph()
	g.Add("Greet", nodebus.Inputs{"name": name})
	return &nodebus.Prompt{Nodes: g.Nodes()}
}

// Greet shows a greeting.
type Greet struct{ Name string }

// Run implements the node.
func (n Greet) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text("Hello, " + n.Name), nil
}
