package cookbook_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

func Example_retryPrompt() {
	tries := 0
	registry, hub := classes(func(context.Context, string) (string, error) {
		if tries++; tries < 3 {
			return "", errors.New("no route to host")
		}
		return "the page", nil
	}), nodebus.NewHub(nil)
	engine := flow.NewEngine(registry, hub, nil)

	ctx := context.Background()
	events := hub.Subscribe(ctx)
	prompt := page("p", "/")
	prompt.Policy = nodebus.Policy{Retries: 2, RetryAfter: 10 * time.Millisecond}
	outcome, err := flow.Do(ctx, engine, prompt)
	if err != nil {
		panic(err)
	}
	_ = hub.Close() // ends the loop below
	for ev, err := range events {
		if err != nil {
			panic(err) // this reader fell too far behind
		}
		switch p := ev.Payload.(type) {
		case nodebus.ExecutionStart, nodebus.ExecutionError, nodebus.ExecutionSuccess:
			fmt.Println(p.EventType(), "of attempt", ev.Attempt)
		}
	}
	fmt.Println(outcome.State, "in attempt", outcome.Attempt)
	// Output:
	// execution_start of attempt 1
	// execution_start of attempt 2
	// execution_start of attempt 3
	// execution_success of attempt 3
	// success in attempt 3
}
