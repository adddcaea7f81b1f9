package client_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/ws"
)

// A client follows a prompt of another client: first what the prompt has said before, and
// then what it says now.
func ExampleClient_Watch() {
	hub := nodebus.NewHub(nil)
	server := httptest.NewServer(ws.New(hub, nil))
	defer server.Close()
	defer hub.Close()
	say := func(text string) {
		_ = hub.Publish(nodebus.Event{PromptID: "p", To: "somebody", Payload: nodebus.Custom{Type: "said", Data: text}})
	}
	ctx := context.Background()
	c, err := client.Dial(ctx, server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	say("before")
	if err := c.Watch(ctx, "p"); err != nil {
		fmt.Println(err)
		return
	}
	say("after")
	for ev, err := range c.Events(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		switch p := ev.Payload.(type) {
		case nodebus.Watching:
			fmt.Println("watching:", p.Watching)
		case nodebus.Custom:
			said := fmt.Sprintf("%s", p.Data)
			fmt.Println(said)
			if said == `"after"` {
				return
			}
		}
	}
	// Output:
	// "before"
	// watching: true
	// "after"
}

// A program stores its place. Another program, or the same program after a restart,
// continues there and misses nothing.
func ExampleClient_Cursor() {
	hub := nodebus.NewHub(nil)
	server := httptest.NewServer(ws.New(hub, nil))
	defer server.Close()
	defer hub.Close()
	ctx := context.Background()
	stored := "" // a program keeps it in a file

	for _, text := range []string{"first", "second"} {
		since, err := nodebus.ParseCursor(stored)
		if err != nil {
			fmt.Println(err)
			return
		}
		c, err := client.Dial(ctx, server.URL, &client.Options{ID: "me", Since: since})
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = hub.SendSync(nodebus.Custom{Type: "said", Data: text}, "me")
		for ev := range c.Events(ctx) {
			if p, ok := ev.Payload.(nodebus.Custom); ok {
				fmt.Printf("%s\n", p.Data)
				break
			}
		}
		stored = c.Cursor().String()
		_ = c.Close()
		_ = hub.SendSync(nodebus.Custom{Type: "said", Data: "while it is away"}, "me")
	}
	// Output:
	// "first"
	// "while it is away"
}
