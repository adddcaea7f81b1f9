package cookbook_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

func Example_engines() {
	arrived := make(chan struct{})
	meet := func(ctx context.Context, url string) (string, error) {
		select { // each call waits for the other: the prompts run at the same time
		case arrived <- struct{}{}:
		case <-arrived:
		case <-ctx.Done():
		}
		return "page " + url, ctx.Err()
	}
	registry, hub := classes(meet), nodebus.NewHub(nil)
	shared := flow.EngineOptions{
		Queue: flow.NewQueue(nil), Store: flow.NewStore(nil), Signals: flow.NewSignals(nil),
		Parallel: 1, // for each engine
	}
	one, two := flow.NewEngine(registry, hub, &shared), flow.NewEngine(registry, hub, &shared)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = one.Run(ctx) })
	running.Go(func() { _ = two.Run(ctx) })

	a, _ := one.Submit(ctx, page("a", "/a"), nil)
	b, _ := one.Submit(ctx, page("b", "/b"), nil)
	for _, submitted := range []*flow.Submission{a, b} {
		outcome, err := submitted.Wait(ctx)
		if err != nil {
			panic(err)
		}
		fmt.Println(outcome.Output("show")["text"], outcome.Err())
	}
	stop()
	running.Wait()
	_ = hub.Close()
	// Output:
	// [page /a] <nil>
	// [page /b] <nil>
}
