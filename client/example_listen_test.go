package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/ws"
)

// Found is a custom event.
type Found struct {
	Node string `json:"node"`
	Word string `json:"word"`
}

func (Found) EventType() string { return "example.found" }

// Dial connects and learns the client's id. It reads no further messages.
func ExampleDial() {
	hub := nodebus.NewHub(nil)
	server := httptest.NewServer(ws.New(hub, nil))
	defer server.Close()
	defer hub.Close()

	c, err := client.Dial(context.Background(), server.URL, &client.Options{ID: "ann"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	fmt.Println("connected as", c.ID())
	// Output: connected as ann
}

// A listener for a type makes the type known: events of this type then have a payload
// of this type.
func ExampleOn() {
	hub := nodebus.NewHub(nil)
	server := httptest.NewServer(ws.New(hub, nil))
	defer server.Close()
	defer hub.Close()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, err := client.Dial(ctx, server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	client.On(c, func(_ nodebus.Event, p nodebus.Progress) {
		fmt.Printf("node %s is at %g of %g\n", p.UniqueID, p.Value, p.Max)
	})
	client.On(c, func(_ nodebus.Event, f Found) {
		fmt.Println("node", f.Node, "found", f.Word)
	})
	c.OnType("example.bye", func(nodebus.Event) { cancel() })

	_ = hub.Broadcast(nodebus.Progress{UniqueID: "7", Value: 1, Max: 2})
	_ = hub.Broadcast(Found{Node: "7", Word: "wheelbarrow"})
	_ = hub.Broadcast(nodebus.Custom{Type: "example.bye"})
	fmt.Println(c.Run(ctx)) // calls listeners until ctx ends
	// Output:
	// node 7 is at 1 of 2
	// node 7 found wheelbarrow
	// context canceled
}

// A loop over all events of the server. The payload of an unknown type is a Custom with
// JSON data.
func ExampleClient_Events() {
	hub := nodebus.NewHub(nil)
	server := httptest.NewServer(ws.New(hub, nil))
	defer server.Close()
	defer hub.Close()

	ctx := context.Background()
	c, err := client.Dial(ctx, server.URL, &client.Options{ID: "ann"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	_ = hub.SendSync(nodebus.Executing{UniqueID: "7"}, "ann")
	_ = hub.SendSync(Found{Node: "7", Word: "wheelbarrow"}, "ann")
	for ev, err := range c.Events(ctx) {
		switch p := ev.Payload.(type) {
		case nodebus.Executing:
			fmt.Println("node", p.UniqueID, "runs")
			continue
		case nodebus.Custom:
			fmt.Printf("%s: %s\n", p.Type, p.Data.(json.RawMessage))
		case nil:
			fmt.Println(err)
		}
		break
	}
	// Output:
	// node 7 runs
	// example.found: {"node":"7","word":"wheelbarrow"}
}
