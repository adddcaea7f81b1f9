package cookbook_test

import (
	"context"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

func Example_drain() {
	ctx, stop := context.WithCancel(context.Background()) // in a program: signal.NotifyContext with SIGTERM
	registry, hub := classes(func(context.Context, string) (string, error) {
		stop() // the signal comes while a prompt runs
		return "the page", nil
	}), nodebus.NewHub(nil)
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Drain: time.Minute})
	submitted, err := engine.Submit(ctx, page("p", "/"), nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(engine.Run(ctx)) // returns when the running prompts have ended, or after a minute
	outcome, err := submitted.Wait(context.Background())
	if err != nil {
		panic(err)
	}
	fmt.Println(outcome.State, outcome.Err())
	_ = hub.Close() // sends the last events
	// Output:
	// context canceled
	// success <nil>
}
