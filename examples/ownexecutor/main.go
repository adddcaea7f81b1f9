// Ownexecutor replaces the executor of nodebus with an executor of seventy lines. It calls
// the nodes one after another. It has no cache, no lazy inputs and no nodes made at run
// time, and does not call a node for each element of a list.
//
// The engine does the rest: it keeps the queue and the records, and publishes the events at
// the start and at the end of a prompt. A nodebus.Tracker publishes the events of the
// nodes. The executor is in sequential.go; its test checks it with conform.Executor.
//
//	go run ./examples/ownexecutor
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Add and Show are two nodes to run.
type (
	Add  struct{ A, B int }
	Show struct{ Value int }
)

// Run returns the sum.
func (n Add) Run(*nodebus.Context) (int, error) { return n.A + n.B, nil }

// Run shows the value.
func (n Show) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(fmt.Sprint(n.Value)), nil
}

func main() { run(os.Stdout) }

func run(out io.Writer) {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, Add{}, nodebus.Info{})
	flow.Register(registry, Show{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Executor: sequential{registry}})
	ctx, graph := context.Background(), nodebus.NewGraph()
	sum := graph.Add("Add", nodebus.Inputs{"a": 1, "b": 2})
	graph.Add("Show", nodebus.Inputs{"value": graph.Add("Add", nodebus.Inputs{"a": sum, "b": 4})})
	events := hub.Subscribe(ctx)
	outcome, err := flow.Do(ctx, engine, &nodebus.Prompt{ID: "sum", Nodes: graph.Nodes()})
	if err != nil {
		panic(err)
	}
	_ = hub.Close()
	for ev, err := range events {
		if err != nil {
			fmt.Fprintln(out, err) // this reader fell too far behind
			break
		}
		frame, _ := nodebus.JSON.Encode(ev)
		fmt.Fprintf(out, "%s\n", frame.Data)
	}
	fmt.Fprintln(out, outcome.State, outcome.Err())
}
