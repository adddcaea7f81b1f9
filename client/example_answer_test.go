package client_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
)

// deploy is a node that asks before it does something.
type deploy struct{ Service string }

func (n deploy) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	yes, err := nodebus.Await[bool](ctx, "deploy", nil)
	if err != nil || !yes {
		return nodebus.Text("not deployed"), err
	}
	return nodebus.Text(n.Service + " is deployed"), nil
}

// A client answers a question of a node. A program with a person in front of it would
// show a form that fits the schema.
func ExampleClient_Answer() {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, deploy{}, nodebus.Info{Name: "Deploy"})
	engine := flow.NewEngine(registry, hub, nil)
	handler := comfy.New(engine, nil)
	server := httptest.NewServer(handler)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })
	defer func() {
		cancel()
		running.Wait()
		_ = hub.Close()
		_ = handler.Close()
		server.Close()
	}()

	c, err := client.Dial(ctx, server.URL+"/ws", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	g := nodebus.NewGraph()
	g.AddAs("7", "Deploy", nodebus.Inputs{"service": "shop"})
	submitted, err := engine.Submit(ctx, &nodebus.Prompt{ClientID: c.ID(), Nodes: g.Nodes()}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for ev, err := range c.Follow(ctx, submitted.ID) {
		switch p := ev.Payload.(type) {
		case nodebus.Waiting:
			fmt.Printf("node %s asks %q: %s\n", p.UniqueID, p.Name, p.Schema)
			if err := c.Answer(ctx, p.PromptID, p.UniqueID, p.Name, true); err != nil {
				fmt.Println(err)
			}
		case nodebus.Answered:
			fmt.Println(p.Name, "is", p.Result)
		case nodebus.Executed:
			fmt.Println(p.Output["text"])
		case nil:
			fmt.Println(err)
		}
	}
	// Output:
	// node 7 asks "deploy": {"type":"boolean"}
	// deploy is answered
	// [shop is deployed]
}
