package nodebus_test

import (
	"fmt"

	"github.com/nodebus/nodebus"
)

// A program in the same process listens for one type of event.
func ExampleOn() {
	hub := nodebus.NewHub(nil)
	half := make(chan struct{})
	stop := nodebus.On(hub, func(ev nodebus.Event, p nodebus.Progress) {
		fmt.Printf("prompt %s, node %s: %g of %g\n", ev.PromptID, p.UniqueID, p.Value, p.Max)
		close(half)
	})
	_ = hub.Publish(nodebus.Event{PromptID: "p", Payload: nodebus.Executing{UniqueID: "7", PromptID: "p"}})
	_ = hub.Publish(nodebus.Event{PromptID: "p", Payload: nodebus.Progress{Value: 1, Max: 2, PromptID: "p", UniqueID: "7"}})
	<-half
	fmt.Println(stop())
	// Output:
	// prompt p, node 7: 1 of 2
	// <nil>
}
