package client_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
)

// A program looks at the queue and deletes what waits.
func ExampleClient_Queue() {
	url, stop := startExample()
	defer stop()
	ctx := context.Background()
	c, err := client.Dial(ctx, url+"/ws", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	first, err := start(ctx, c, "Forever", nil)
	second, secondErr := start(ctx, c, "Greet", nodebus.Inputs{"name": "nobody"})
	if err = errors.Join(err, secondErr); err != nil {
		fmt.Println(err)
		return
	}
	for ev := range c.Follow(ctx, first) {
		if _, ok := ev.Payload.(nodebus.ExecutionStart); ok {
			break
		}
	}
	running, waiting, err := c.Queue(ctx)
	fmt.Println(len(running), "runs,", len(waiting), "waits:", waiting[0].Nodes[0].Class, err)
	if err := c.Delete(ctx, second); err != nil {
		fmt.Println(err)
	}
	_, err = c.Wait(ctx, second)
	fmt.Println("deleted:", errors.Is(err, client.ErrNotFound))
	// Output:
	// 1 runs, 1 waits: Greet <nil>
	// deleted: true
}

// A program that has not followed a prompt asks for its state, and for the outcomes of the
// last prompts.
func ExampleClient_History() {
	url, stop := startExample()
	defer stop()
	ctx := context.Background()
	c, err := client.Dial(ctx, url+"/ws", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	for _, name := range []string{"Ada", "Grace"} {
		id, err := start(ctx, c, "Greet", nodebus.Inputs{"name": name})
		if err == nil {
			_, err = c.Wait(ctx, id)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	last, err := c.History(ctx, 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, outcome := range last {
		run, err := c.State(ctx, outcome.PromptID)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(outcome.State, outcome.Output("7")["text"], run.Nodes["7"].State)
	}
	// Output:
	// success [Hello, Ada] finished
	// success [Hello, Grace] finished
}
