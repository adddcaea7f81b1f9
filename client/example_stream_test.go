package client_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/sse"
)

// A client reads Server-Sent Events, where a network lets no WebSocket through. Two loops
// read the same connection, and each has all events of its prompt.
func ExampleDial_serverSentEvents() {
	hub := nodebus.NewHub(nil)
	server := httptest.NewServer(sse.New(hub, nil))
	defer server.Close()
	defer hub.Close()

	ctx := context.Background()
	c, err := client.Dial(ctx, server.URL, &client.Options{ID: "ann", SSE: true, Watch: []string{"p", "q"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	var loops sync.WaitGroup
	for _, id := range []string{"p", "q"} {
		loops.Go(func() {
			n := 0
			for _, err := range c.Follow(ctx, id) {
				if err != nil {
					fmt.Println(err)
				}
				n++
			}
			fmt.Println(n, "events")
		})
	}
	for _, id := range []string{"p", "q"} {
		_ = hub.Publish(nodebus.Event{PromptID: id, To: "somebody", Payload: Found{Node: "7", Word: id}})
		_ = hub.Publish(nodebus.Event{PromptID: id, To: "somebody", Payload: nodebus.Executing{PromptID: id}})
	}
	loops.Wait()
	// Unordered output:
	// 2 events
	// 2 events
}
