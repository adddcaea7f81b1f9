package nodebus_test

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Shout is a node. Its fields are its inputs. Run computes its output.
type Shout struct {
	Text  string
	Times int `default:"1" min:"1"`
}

// Run shows the text in capitals.
func (n Shout) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(strings.ToUpper(n.Text) + strings.Repeat("!", n.Times)), nil
}

// A whole program: it registers a node, runs a graph of one, and watches.
func Example() {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, Shout{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, nil)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })
	events := hub.Subscribe(ctx)

	graph := nodebus.NewGraph()
	graph.AddAs("7", "Shout", nodebus.Inputs{"text": "hello", "times": 3})
	submission, err := engine.Submit(ctx, &nodebus.Prompt{ID: "greeting", Nodes: graph.Nodes()}, nil)
	fmt.Println("submitted:", submission.ID, err)

	for ev, err := range events {
		switch p := ev.Payload.(type) {
		case nodebus.Executing:
			if p.UniqueID != "" {
				fmt.Println("node", p.UniqueID, "runs")
			} else {
				cancel() // the last word on this prompt
			}
		case nodebus.Executed:
			fmt.Println("node", p.UniqueID, "shows", p.Output["text"])
		case nodebus.ExecutionSuccess:
			fmt.Println("all done")
		case nil:
			fmt.Println(err)
		}
	}
	running.Wait()
	_ = hub.Close()
	// Output:
	// submitted: greeting <nil>
	// node 7 runs
	// node 7 shows [HELLO!!!]
	// all done
}
