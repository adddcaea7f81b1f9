package nodebus_test

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/nodebus/nodebus"
)

// Lines is a transport that writes each event as a line. A test with package conform
// can check a transport.
type Lines struct{ to io.WriteCloser }

// Write sends frames in order. It runs in a goroutine of this client, so it may wait.
func (l Lines) Write(_ context.Context, frames []nodebus.Frame) error {
	for _, f := range frames {
		if _, err := fmt.Fprintf(l.to, "%s\n", f.Data); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the connection. It could send cause to the client.
func (l Lines) Close(error) error { return l.to.Close() }

// A client joins the hub through a custom transport.
func ExampleHub_Join() {
	hub := nodebus.NewHub(nil)
	there, here := io.Pipe()
	session := hub.Join("ann", &nodebus.SessionOptions{Hello: []nodebus.Payload{nodebus.Status{SID: "ann"}}})
	served := make(chan error)
	go func() { served <- session.Serve(context.Background(), Lines{here}) }()

	_ = hub.SendSync(nodebus.Custom{Type: "example.secret", Data: 1}, "bob")
	_ = hub.SendSync(nodebus.Custom{Type: "example.secret", Data: 2}, "ann")
	_ = hub.Broadcast(nodebus.Custom{Type: "example.news", Data: 3})
	lines := bufio.NewScanner(there)
	for range 3 {
		lines.Scan()
		fmt.Println(lines.Text())
	}
	_ = hub.Close()
	fmt.Println(<-served)
	// Output:
	// {"type":"status","data":{"status":{"exec_info":{"queue_remaining":0}},"sid":"ann"}}
	// {"type":"example.secret","data":2}
	// {"type":"example.news","data":3}
	// nodebus: closed
}
