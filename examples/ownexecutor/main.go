// Ownexecutor replaces the executor of nodebus with an executor of forty lines. It
// calls the nodes one after another, in the order of the workflow, without a cache and
// without lazy inputs. The engine does the rest: it keeps the queue and the records,
// and publishes the events at the start and at the end of a prompt.
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

// sequential is an executor that runs one node at a time.
type sequential struct{ registry *flow.Registry }

// Execute runs the nodes of p in order.
func (x sequential) Execute(ctx context.Context, p *nodebus.Prompt, pub nodebus.Publisher) (map[string]nodebus.UI, error) {
	shown := map[string]nodebus.UI{}
	results := map[string]flow.Result{}
	for _, node := range p.Nodes {
		if err := ctx.Err(); err != nil {
			return shown, err // interrupted
		}
		_ = pub.Publish(nodebus.Event{Payload: nodebus.Executing{UniqueID: node.ID, DisplayID: node.ID, PromptID: p.ID}})
		inputs := nodebus.Inputs{}
		for name, v := range node.Inputs {
			if link, ok := v.(nodebus.Link); ok {
				v = results[link.Node].Outputs[link.Slot]
			}
			inputs[name] = v
		}
		class, _ := x.registry.Class(node.Class) // the class exists: Submit has checked it
		call := nodebus.NewContext(ctx, nodebus.CallInfo{Prompt: p, Place: nodebus.Place{UniqueID: node.ID}, Publisher: pub})
		result, err := class.Call(call, inputs)
		call.End()
		if err != nil {
			return shown, err // a *NodeError
		}
		results[node.ID] = result
		if result.UI != nil {
			shown[node.ID] = result.UI
			_ = pub.Publish(nodebus.Event{Payload: nodebus.Executed{Place: nodebus.Place{UniqueID: node.ID, DisplayID: node.ID}, Output: result.UI, PromptID: p.ID}})
		}
	}
	return shown, nil
}

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
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := hub.Subscribe(ctx)
	done := make(chan struct{})
	go func() { defer close(done); _ = engine.Run(ctx) }()

	graph := nodebus.NewGraph()
	sum := graph.Add("Add", nodebus.Inputs{"a": 1, "b": 2})
	graph.Add("Show", nodebus.Inputs{"value": graph.Add("Add", nodebus.Inputs{"a": sum, "b": 4})})
	if _, err := engine.Submit(ctx, &nodebus.Prompt{ID: "sum", Nodes: graph.Nodes()}); err != nil {
		fmt.Fprintln(out, err)
	}
	for ev, err := range events {
		if err != nil {
			fmt.Fprintln(out, err)
		}
		frame, _ := nodebus.JSON.Encode(ev)
		fmt.Fprintf(out, "%s\n", frame.Data)
		if p, ok := ev.Payload.(nodebus.Executing); ok && p.UniqueID == "" {
			cancel()
		}
	}
	<-done
	_ = hub.Close()
}
