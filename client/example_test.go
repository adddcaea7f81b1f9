package client_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/ws"
)

// greet is a node that shows a greeting.
type greet struct{ Name string }

func (n greet) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text("Hello, " + n.Name), nil
}

// A program submits a prompt for its client and follows the prompt to its end. In this
// example, the server is in the same program, so the program calls Engine.Submit.
func ExampleClient_Follow() {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, greet{}, nodebus.Info{Name: "Greet"})
	engine := flow.NewEngine(registry, hub, nil)
	server := httptest.NewServer(ws.New(hub, nil))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })
	defer func() {
		cancel()
		running.Wait()
		_ = hub.Close()
		server.Close()
	}()

	c, err := client.Dial(ctx, server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	g := nodebus.NewGraph()
	g.AddAs("7", "Greet", nodebus.Inputs{"name": "world"})
	submitted, err := engine.Submit(ctx, &nodebus.Prompt{ClientID: c.ID(), Nodes: g.Nodes()}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for ev, err := range c.Follow(ctx, submitted.ID) {
		switch p := ev.Payload.(type) {
		case nodebus.Executed:
			fmt.Println("node", p.UniqueID, "shows", p.Output["text"])
		case nodebus.ExecutionSuccess:
			fmt.Println("all done")
		case nil:
			fmt.Println(err)
		}
	}
	// Output:
	// node 7 shows [Hello, world]
	// all done
}
