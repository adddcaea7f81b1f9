package cookbook_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

func Example_pause() {
	registry, hub := classes(func(context.Context, string) (string, error) { return "the page", nil }), nodebus.NewHub(nil)
	engine := flow.NewEngine(registry, hub, nil)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })

	engine.Pause()
	submitted, err := engine.Submit(ctx, page("p", "/"), nil)
	if err != nil {
		panic(err)
	}
	fmt.Println("paused:", engine.Paused(), "waiting:", engine.Remaining())

	engine.Resume()
	outcome, err := submitted.Wait(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(outcome.State, outcome.Err())
	stop()
	running.Wait()
	_ = hub.Close()
	// Output:
	// paused: true waiting: 1
	// success <nil>
}
