package nodebus_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
)

// Inbox is a transport to the same program.
type Inbox chan nodebus.Frame

// Write sends frames to the channel.
func (in Inbox) Write(ctx context.Context, frames []nodebus.Frame) error {
	for _, f := range frames {
		select {
		case in <- f:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Close does nothing: a channel needs no end.
func (Inbox) Close(error) error { return nil }

// A client that reconnects receives the events that it missed, after the cursor that it
// sends.
func ExampleSessionOptions() {
	hub := nodebus.NewHub(nil)
	read := func(since nodebus.Cursor, events int) (last nodebus.Cursor) {
		session, inbox := hub.Join("ann", &nodebus.SessionOptions{Since: since}), make(Inbox)
		served := make(chan error)
		go func() { served <- session.Serve(context.Background(), inbox) }()
		if since == (nodebus.Cursor{}) {
			for n := range 3 {
				_ = hub.SendSync(nodebus.Custom{Type: "example.page", Data: n + 1}, "ann")
			}
		}
		for range events {
			f := <-inbox
			fmt.Printf("%s\n", f.Data)
			last = f.Cursor()
		}
		session.Close(nil) // the connection breaks
		fmt.Println(<-served)
		return last
	}
	last := read(nodebus.Cursor{}, 1)
	read(last, 2)
	// Output:
	// {"type":"example.page","data":1}
	// nodebus: closed
	// {"type":"example.page","data":2}
	// {"type":"example.page","data":3}
	// nodebus: closed
}
