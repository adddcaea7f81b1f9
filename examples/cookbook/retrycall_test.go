package cookbook_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/flow/around"
)

func Example_retryCall() {
	busy := errors.New("503 Service Unavailable")
	tries := 0
	registry, hub := classes(func(context.Context, string) (string, error) {
		if tries++; tries < 3 {
			return "", busy
		}
		return "the page", nil
	}), nodebus.NewHub(nil)

	retry := around.Retry(&around.RetryOptions{
		Attempts: 5,                     // tries in all
		Pause:    10 * time.Millisecond, // doubles each time; a part of it is random
		If:       func(_ *flow.Call, err error) bool { return errors.Is(err, busy) },
	})
	local := flow.NewLocal(registry, &flow.LocalOptions{Around: []flow.Around{retry}})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Executor: local})

	outcome, err := flow.Do(context.Background(), engine, page("p", "/"))
	if err != nil {
		panic(err)
	}
	fmt.Println(outcome.State, outcome.Output("show")["text"])
	for _, node := range outcome.Nodes {
		fmt.Println(node.UniqueID, node.Result, "attempt", node.Attempt)
	}
	_ = hub.Close()
	// Output:
	// success [the page]
	// fetch done attempt 3
	// show done attempt 0
}
