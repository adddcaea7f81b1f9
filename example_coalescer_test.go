package nodebus_test

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/nodebus/nodebus"
)

// Temperature is an event. A slow client needs only the newest value.
type Temperature struct {
	Oven    string `json:"oven"`
	Degrees int    `json:"degrees"`
}

func (Temperature) EventType() string { return "example.temperature" }

// CoalesceKey returns the key under which a newer Temperature replaces an older one: in
// the queue of a slow client, and in the log for clients that join later.
func (t Temperature) CoalesceKey() string { return t.Oven }

// A client that is not behind receives every event. A client that is behind receives
// the newest event only.
func ExampleCoalescer() {
	hub := nodebus.NewHub(nil)
	for degrees := range 180 {
		_ = hub.Publish(nodebus.Event{PromptID: "cake", Payload: Temperature{"left", degrees + 1}})
	}
	_ = hub.Publish(nodebus.Event{PromptID: "cake", Payload: nodebus.Custom{Type: "example.ready", Data: true}})

	there, here := io.Pipe()
	session := hub.Join("ann", &nodebus.SessionOptions{Watch: []string{"cake"}})
	served := make(chan error)
	go func() { served <- session.Serve(context.Background(), Lines{here}) }() // see ExampleHub_Join
	lines := bufio.NewScanner(there)
	for range 2 {
		lines.Scan()
		fmt.Println(lines.Text())
	}
	_ = hub.Close()
	fmt.Println(<-served)
	// Output:
	// {"type":"example.temperature","data":{"oven":"left","degrees":180}}
	// {"type":"example.ready","data":true}
	// nodebus: closed
}
