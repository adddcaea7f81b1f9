package flow_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Double shows twice its input.
type Double struct{ N int }

func (d Double) Run(*nodebus.Context) (nodebus.UI, error) {
	if d.N > 100 {
		return nil, fmt.Errorf("%d is too large", d.N)
	}
	return nodebus.Text(fmt.Sprint(2 * d.N)), nil
}

func doubling(n int) *nodebus.Prompt {
	g := nodebus.NewGraph()
	g.AddAs("double", "Double", nodebus.Inputs{"n": n})
	return &nodebus.Prompt{ID: fmt.Sprint("double ", n), Nodes: g.Nodes()}
}

// Do runs a graph and returns the outcome.
func ExampleDo() {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	defer hub.Close()
	flow.Register(registry, Double{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, nil)

	for _, n := range []int{21, 101} {
		outcome, err := flow.Do(context.Background(), engine, doubling(n))
		if err != nil { // the prompt was not accepted, or the context has ended
			fmt.Println(err)
			return
		}
		fmt.Println(outcome.State, outcome.Output("double")["text"], outcome.Err())
	}
	// Output:
	// success [42] <nil>
	// error [] nodebus: node double (Double): 101 is too large
}

// A long-running program calls Run once and waits for the prompts that it submits.
func ExampleEngine_Submit() {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, Double{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, nil)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error)
	go func() { ended <- engine.Run(ctx) }()

	submission, err := engine.Submit(ctx, doubling(4), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	outcome, err := submission.Wait(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(submission.ID, outcome.State, outcome.Output("double")["text"], outcome.Err())

	stop() // interrupts the running prompts
	fmt.Println(<-ended)
	_ = hub.Close() // tells clients that the program ends
	// Output:
	// double 4 success [8] <nil>
	// context canceled
}

// Ready delays a prompt until the program is ready for its events.
func ExampleSubmitOptions() {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	defer hub.Close()
	flow.Register(registry, Double{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, nil)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() { _ = engine.Run(ctx) }()

	ready := make(chan struct{})
	submission, err := engine.Submit(ctx, doubling(4), &flow.SubmitOptions{Ready: ready})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("waiting:", engine.Remaining())
	close(ready)
	outcome, err := submission.Wait(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(outcome.State, outcome.Err())
	// Output:
	// waiting: 1
	// success <nil>
}

// eventCounter counts events by type.
type eventCounter struct {
	nodebus.Publisher
	n map[string]int
}

func (c eventCounter) Publish(ev nodebus.Event) error {
	c.n[ev.Payload.EventType()]++
	return c.Publisher.Publish(ev)
}

// A publisher from Wrap receives every event of the engine, for tracing and metrics.
func ExampleEngineOptions() {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	defer hub.Close()
	flow.Register(registry, Double{}, nodebus.Info{})
	seen := map[string]int{}
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{
		Parallel: 1,
		Wrap:     func(next nodebus.Publisher) nodebus.Publisher { return eventCounter{next, seen} },
	})
	if _, err := flow.Do(context.Background(), engine, doubling(1)); err != nil {
		fmt.Println(err)
	}
	fmt.Println(seen["execution_start"], seen["executed"], seen["execution_success"])
	// Output:
	// 1 1 1
}
