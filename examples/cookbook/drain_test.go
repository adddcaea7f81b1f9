package cookbook_test

import (
	"context"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// serve runs the engine until ctx ends. Then it lets running prompts end, for as long as grace.
func serve(ctx context.Context, engine *flow.Engine, grace time.Duration) error {
	run, interrupt := context.WithCancel(context.Background()) // not ctx, which would interrupt prompts
	defer interrupt()
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(run) }()
	select {
	case err := <-ended:
		return err // the queue has failed
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := engine.Drain(limit); err != nil {
		interrupt() // prompts that still run end as interrupted
	}
	return <-ended
}

func Example_drain() {
	ctx, stop := context.WithCancel(context.Background()) // in a program: signal.NotifyContext with SIGTERM
	registry, hub := classes(func(context.Context, string) (string, error) {
		stop() // the signal comes while a prompt runs
		return "the page", nil
	}), nodebus.NewHub(nil)
	engine := flow.NewEngine(registry, hub, nil)
	submitted, err := engine.Submit(ctx, page("p", "/"), nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(serve(ctx, engine, time.Minute))
	outcome, err := submitted.Wait(context.Background())
	fmt.Println(outcome.State, err)
	_ = hub.Close() // sends the last events
	// Output:
	// <nil>
	// success <nil>
}
