package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
)

// start submits a prompt with one node, for the examples.
func start(ctx context.Context, c *client.Client, class string, in nodebus.Inputs) (id string, err error) {
	g := nodebus.NewGraph()
	g.AddAs("7", class, in)
	return c.Submit(ctx, &nodebus.Prompt{Nodes: g.Nodes()})
}

// Wait returns how a prompt has ended.
func ExampleClient_Wait() {
	url, stop := startExample()
	defer stop()
	ctx := context.Background()
	c, err := client.Dial(ctx, url+"/ws", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	good, err := start(ctx, c, "Greet", nodebus.Inputs{"name": "world"})
	bad, badErr := start(ctx, c, "Print", nil)
	if err = errors.Join(err, badErr); err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range []string{good, bad} {
		outcome, err := c.Wait(ctx, id)
		if err != nil {
			fmt.Println("not known:", err)
			return
		}
		fmt.Println(outcome.State, outcome.Output("7")["text"], outcome.Err())
	}
	// Output:
	// success [Hello, world] <nil>
	// error [] nodebus: node 7 (Print): the printer is on fire
}

// A file that a node has shown is fetched from the server.
func ExampleClient_File() {
	url, stop := startExample()
	defer stop()
	ctx := context.Background()
	c, err := client.Dial(ctx, url+"/ws", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	id, err := start(ctx, c, "Paint", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	outcome, err := c.Wait(ctx, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range outcome.Output("7").Files() {
		body, err := c.File(ctx, f)
		if err != nil {
			fmt.Println(err)
			return
		}
		content, err := io.ReadAll(body)
		_ = body.Close()
		fmt.Printf("%s: %s %v\n", f.Filename, content, err)
	}
	// Output: heron.txt: a heron <nil>
}

// Interrupt ends a prompt that runs or waits.
func ExampleClient_Interrupt() {
	url, stop := startExample()
	defer stop()
	ctx := context.Background()
	c, err := client.Dial(ctx, url+"/ws", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	id, err := start(ctx, c, "Forever", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	client.On(c, func(_ nodebus.Event, p nodebus.Executing) {
		if p.UniqueID == "7" {
			fmt.Println("interrupt:", c.Interrupt(ctx, p.PromptID))
		}
	})
	outcome, err := c.Wait(ctx, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(errors.Is(outcome.Err(), nodebus.ErrInterrupted))
	// Output:
	// interrupt: <nil>
	// true
}
