package nodebus_test

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/nodebus/nodebus"
)

// Temperature is an event whose newest value alone matters.
type Temperature struct {
	Oven    string `json:"oven"`
	Degrees int    `json:"degrees"`
}

func (Temperature) EventType() string { return "example.temperature" }

// CoalesceKey says which older one it replaces, where events wait: for a client
// that is behind, or for one that is yet to come.
func (t Temperature) CoalesceKey() string { return t.Oven }

// A client that keeps up sees every event; any other sees the latest.
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
