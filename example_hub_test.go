package nodebus_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
)

// A loop in the same program receives every event. The payload is the Go value that was
// sent.
func ExampleHub_Subscribe() {
	hub := nodebus.NewHub(nil)
	events := hub.Subscribe(context.Background())
	for _, ev := range []nodebus.Event{
		{PromptID: "p", To: "ann", Payload: nodebus.Executing{UniqueID: "7", PromptID: "p"}},
		{PromptID: "p", To: "ann", Payload: nodebus.Progress{UniqueID: "7", Value: 1, Max: 20, PromptID: "p"}},
		{Broadcast: true, Payload: nodebus.Custom{Type: "example.news", Data: "spring is here"}},
	} {
		if err := hub.Publish(ev); err != nil {
			fmt.Println(err)
		}
	}
	_ = hub.Close() // the loop still receives the events that wait, and then ends

	for ev, err := range events {
		switch p := ev.Payload.(type) {
		case nodebus.Executing:
			fmt.Println(ev.To, "hears that node", p.UniqueID, "runs")
		case nodebus.Progress:
			fmt.Printf("%s hears that node %s is at %g of %g\n", ev.To, p.UniqueID, p.Value, p.Max)
		case nil:
			fmt.Println(err) // nodebus.ErrSlow: the loop is too far behind
		default:
			fmt.Println("everyone hears", p.EventType())
		}
	}
	// Output:
	// ann hears that node 7 runs
	// ann hears that node 7 is at 1 of 20
	// everyone hears example.news
}

// A program sends a message to some clients or to all clients. SendSync returns an
// error if the payload cannot be encoded.
func ExampleHub_SendSync() {
	hub := nodebus.NewHub(nil)
	events := hub.Subscribe(context.Background())
	fmt.Println(hub.SendSync(nodebus.Custom{Type: "example.invoice", Data: 12.5}, "ann", "bob"))
	fmt.Println(hub.Broadcast(nodebus.Custom{Type: "example.closing", Data: "at ten"}))
	fmt.Println(hub.SendSync(nodebus.Custom{Type: "example.invoice", Data: make(chan int)}, "ann"))
	_ = hub.Close()
	for ev := range events {
		fmt.Printf("%s for %q\n", ev.Payload.EventType(), ev.To)
	}
	// Output:
	// <nil>
	// <nil>
	// nodebus: cannot encode nodebus.Custom: json: unsupported type: chan int
	// example.invoice for "ann"
	// example.invoice for "bob"
	// example.closing for ""
}
