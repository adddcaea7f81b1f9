package nats_test

import (
	"context"
	"fmt"
	"os"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
)

// Two processes share a log: what one publishes, clients of the other receive. Here both are
// in one program, and a server runs in it, too.
func ExampleBus_Log() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	server, err := embed.Start(ctx, &embed.Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	defer server.Close()
	var hubs []*nodebus.Hub
	for range 2 {
		nc, err := server.Connect()
		if err != nil {
			panic(err)
		}
		defer nc.Close()
		bus, err := nats.Open(ctx, nc, &nats.Options{LogBytes: 64 << 20})
		if err != nil {
			panic(err)
		}
		defer bus.Close()
		hub := nodebus.NewHub(&nodebus.HubOptions{Log: bus.Log()})
		defer hub.Close()
		hubs = append(hubs, hub)
	}

	events := hubs[1].Subscribe(ctx)
	err = hubs[0].Publish(nodebus.Event{PromptID: "p", To: "ann", Payload: nodebus.ExecutionStart{PromptID: "p"}})
	if err != nil {
		fmt.Println(err)
	}
	for ev, err := range events {
		fmt.Println(ev.PromptID, ev.Payload.EventType(), err)
		break
	}
	fmt.Println(hubs[0].Epoch() == hubs[1].Epoch())
	// Output:
	// p execution_start <nil>
	// true
}

// After a backup was restored, a new epoch begins: clients with older cursors receive a gap.
func ExampleRenew() {
	name := newName() // a bus that was open before
	open := func() string {
		bus, err := nats.Open(context.Background(), shared.Conn(), &nats.Options{Name: name, LogBytes: 64 << 20})
		if err != nil {
			panic(err)
		}
		defer bus.Close()
		hub := nodebus.NewHub(&nodebus.HubOptions{Log: bus.Log()})
		defer hub.Close()
		return hub.Epoch()
	}
	before := open()
	err := nats.Renew(context.Background(), shared.Conn(), &nats.Options{Name: name})
	fmt.Println(err, before == open())
	// Output: <nil> false
}
