package cookbook_test

import (
	"context"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

func Example_deadline() {
	registry, hub := classes(nil), nodebus.NewHub(nil)
	engine := flow.NewEngine(registry, hub, nil) // nothing runs it: all prompts wait

	prompt := page("p", "/")
	prompt.Policy.Deadline = time.Now().Add(20 * time.Millisecond)
	submitted, err := engine.Submit(context.Background(), prompt, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println("waiting:", engine.Remaining())
	outcome, err := submitted.Wait(context.Background())
	if err != nil {
		panic(err)
	}
	fmt.Println(outcome.State, outcome.Error.ExceptionType, "nodes:", len(outcome.Nodes))
	fmt.Println("waiting:", engine.Remaining())
	_ = hub.Close()
	// Output:
	// waiting: 1
	// error deadline nodes: 0
	// waiting: 0
}
