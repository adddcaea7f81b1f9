package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
)

// greet is a node that shows a greeting.
type greet struct{ Name string }

func (n greet) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text("Hello, " + n.Name), nil
}

// refuseAll is a node that fails.
type refuseAll struct{}

func (refuseAll) Run(*nodebus.Context) (nodebus.UI, error) {
	return nil, errors.New("the printer is on fire")
}

// forever is a node that runs until somebody interrupts it.
type forever struct{}

func (forever) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// paint is a node that writes a file and shows it.
type paint struct{ dir string }

func (n paint) Run(*nodebus.Context) (nodebus.UI, error) {
	err := os.WriteFile(n.dir+"/heron.txt", []byte("a heron"), 0o600)
	return nodebus.Images(nodebus.File{Filename: "heron.txt", Type: "output"}), err
}

// startExample starts a program with an engine and a server, for the examples. Its nodes
// are of the classes above.
func startExample() (url string, stop func()) {
	output, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, greet{}, nodebus.Info{Name: "Greet"})
	flow.Register(registry, refuseAll{}, nodebus.Info{Name: "Print"})
	flow.Register(registry, forever{}, nodebus.Info{Name: "Forever"})
	flow.Register(registry, paint{output}, nodebus.Info{Name: "Paint"})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Parallel: 1})
	handler := comfy.New(engine, &comfy.Options{Output: output})
	server := httptest.NewServer(handler)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })
	return server.URL, func() {
		cancel()
		running.Wait()
		_ = hub.Close()
		_ = handler.Close()
		server.Close()
		_ = os.RemoveAll(output)
	}
}

// A program submits a prompt and follows it to its end.
func ExampleClient_Submit() {
	url, stop := startExample() // a server with a class Greet
	defer stop()
	ctx := context.Background()

	c, err := client.Dial(ctx, url+"/ws", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	g := nodebus.NewGraph()
	g.AddAs("7", "Greet", nodebus.Inputs{"name": "world"})
	id, err := c.Submit(ctx, &nodebus.Prompt{Nodes: g.Nodes()})
	if err != nil {
		fmt.Println(err)
		return
	}
	for ev, err := range c.Follow(ctx, id) {
		switch p := ev.Payload.(type) {
		case nodebus.Executed:
			fmt.Println("node", p.UniqueID, "shows", p.Output["text"])
		case nodebus.ExecutionSuccess:
			fmt.Println("all done")
		case nil:
			fmt.Println(err)
		}
	}

	g.AddAs("8", "Greeting", nil) // there is no such class
	_, err = c.Submit(ctx, &nodebus.Prompt{Nodes: g.Nodes()})
	var invalid *nodebus.ValidationError
	if errors.As(err, &invalid) {
		fmt.Println(invalid.Message, invalid.Details)
	}
	// Output:
	// node 7 shows [Hello, world]
	// all done
	// Node 'Greeting' not found. The custom node may not be installed. Node ID '#8'
}

// Several goroutines follow several prompts over one connection. Each loop has its own
// queue.
func ExampleClient_Follow() {
	url, stop := startExample()
	defer stop()
	ctx := context.Background()

	c, err := client.Dial(ctx, url+"/ws", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	names := []string{"Ada", "Grace", "Lynn"}
	greetings := make([]any, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			g := nodebus.NewGraph()
			g.Add("Greet", nodebus.Inputs{"name": name})
			id, err := c.Submit(ctx, &nodebus.Prompt{Nodes: g.Nodes()})
			if err != nil {
				fmt.Println(err)
				return
			}
			for ev, err := range c.Follow(ctx, id) {
				if err != nil {
					fmt.Println(err)
				}
				if p, ok := ev.Payload.(nodebus.Executed); ok {
					greetings[i] = p.Output["text"][0]
				}
			}
		})
	}
	all.Wait()
	fmt.Println(greetings)
	// Output: [Hello, Ada Hello, Grace Hello, Lynn]
}
