package cookbook_test

import (
	"context"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/flow/around"
)

func Example_timeoutClass() {
	registry, hub := classes(func(ctx context.Context, url string) (string, error) {
		<-ctx.Done() // the other side never answers
		return "", ctx.Err()
	}), nodebus.NewHub(nil)

	limits := around.Timeout(&around.TimeoutOptions{
		Default: time.Hour,
		Classes: map[string]time.Duration{"Fetch": 20 * time.Millisecond},
	})
	local := flow.NewLocal(registry, &flow.LocalOptions{Around: []flow.Around{limits}})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Executor: local})

	outcome, err := flow.Do(context.Background(), engine, page("p", "/"))
	if err != nil {
		panic(err)
	}
	fmt.Println(outcome.State, outcome.Error.NodeID, outcome.Error.ExceptionType)
	fmt.Println(outcome.Err())
	_ = hub.Close()
	// Output:
	// error fetch timeout
	// nodebus: node fetch (Fetch): the call took longer than the limit of 20ms for class Fetch
}
