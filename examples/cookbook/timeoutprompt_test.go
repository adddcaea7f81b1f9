package cookbook_test

import (
	"context"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

func Example_timeoutPrompt() {
	registry, hub := classes(func(ctx context.Context, url string) (string, error) {
		<-ctx.Done()
		return "", context.Cause(ctx)
	}), nodebus.NewHub(nil)
	engine := flow.NewEngine(registry, hub, nil)

	prompt := page("p", "/")
	prompt.Policy.Timeout = 20 * time.Millisecond
	outcome, err := flow.Do(context.Background(), engine, prompt)
	if err != nil {
		panic(err)
	}
	fmt.Println(outcome.State, outcome.Error.ExceptionType)
	fmt.Println(outcome.Err())
	_ = hub.Close()
	// Output:
	// error timeout
	// nodebus: node fetch (Fetch): the attempt has taken longer than the timeout of the prompt
}
