package around_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/flow/around"
)

// Load is a node that uses a service.
type Load struct {
	service func(ctx context.Context) (string, error)
}

// Run asks the service.
func (n Load) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	text, err := n.service(ctx)
	return nodebus.Text(text), err
}

// load runs a prompt of one Load with functions around its call.
func load(service func(ctx context.Context) (string, error), all ...flow.Around) (nodebus.Outcome, error) {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	defer func() { _ = hub.Close() }()
	flow.Register(r, Load{service}, nodebus.Info{Async: true})
	engine := flow.NewEngine(r, hub, &flow.EngineOptions{
		Executor: flow.NewLocal(r, &flow.LocalOptions{Around: all}),
	})
	g := nodebus.NewGraph()
	g.AddAs("load", "Load", nil)
	return flow.Do(context.Background(), engine, &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
}

func ExampleRetry() {
	calls := 0
	outcome, err := load(func(context.Context) (string, error) {
		if calls++; calls < 3 {
			return "", errors.New("the service is busy")
		}
		return "loaded", nil
	}, around.Retry(&around.RetryOptions{Attempts: 4, Pause: time.Millisecond}))
	fmt.Println(outcome.Output("load"), calls, err)
	// Output: map[text:[loaded]] 3 <nil>
}

func ExampleTimeout() {
	outcome, _ := load(func(ctx context.Context) (string, error) {
		<-ctx.Done() // the service does not answer
		return "", ctx.Err()
	}, around.Timeout(&around.TimeoutOptions{
		Default: time.Hour,
		Classes: map[string]time.Duration{"Load": time.Millisecond},
	}))
	fmt.Println(outcome.Err())
	// Output: nodebus: node load (Load): the call took longer than the limit of 1ms for class Load
}

func ExampleLog() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "duration" {
				return slog.Attr{} // they differ in each run
			}
			return a
		},
	}))
	calls := 0
	_, err := load(func(context.Context) (string, error) {
		if calls++; calls < 2 {
			return "", errors.New("the service is busy")
		}
		return "loaded", nil
	}, around.Log(logger), around.Retry(&around.RetryOptions{Pause: time.Millisecond}))
	fmt.Println(err)
	// Output:
	// level=INFO msg=node prompt=p node=load class=Load cached=false attempts=2
	// <nil>
}
