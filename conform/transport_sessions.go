package conform

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nodebus/nodebus"
)

// servesSession runs a session of a hub over the transport until the hub is closed.
func servesSession(t *testing.T, tr nodebus.Transport, c Receiver) {
	hub := nodebus.NewHub(nil)
	s := hub.Join("client", nil)
	over := make(chan error, 1)
	go func() { over <- s.Serve(context.Background(), tr) }()
	const n = 500
	go func() {
		for i := range n {
			if err := hub.Broadcast(note{i}); err != nil {
				t.Errorf("send %d: %v", i, err)
			}
		}
	}()
	within(t, "receiving", func() {
		for i := range n {
			got, err := c.Receive()
			if err != nil {
				t.Errorf("event %d: %v", i, err)
				return
			}
			if want := fmt.Sprintf(`{"type":"conform.note","data":{"N":%d}}`, i); string(got.Data) != want {
				t.Errorf("event %d is %.80q, want %q", i, got.Data, want)
				return
			}
		}
	})
	within(t, "closing the hub", func() { _ = hub.Close() })
	within(t, "serving", func() {
		if err := <-over; !errors.Is(err, nodebus.ErrClosed) {
			t.Errorf("Serve ended with %v, want ErrClosed", err)
		}
	})
}

type note struct{ N int }

func (note) EventType() string { return "conform.note" }

// slowClient publishes to a client that does not read at first, and then reads everything.
func slowClient(t *testing.T, tr nodebus.Transport, c Receiver) {
	hub := nodebus.NewHub(&nodebus.HubOptions{QueueBytes: 1 << 30})
	s := hub.Join("client", nil)
	over := make(chan error, 1)
	go func() { over <- s.Serve(context.Background(), tr) }()
	const n = 300
	pad := strings.Repeat("x", 64<<10)
	within(t, "publishing to a client that does not read", func() {
		for i := range n {
			if err := hub.Broadcast(nodebus.Custom{Type: "conform", Data: []any{i, pad}}); err != nil {
				t.Errorf("send %d: %v", i, err)
			}
		}
	})
	within(t, "receiving", func() {
		for i := range n {
			got, err := c.Receive()
			if err != nil {
				t.Errorf("event %d: %v", i, err)
				return
			}
			if want := fmt.Sprintf(`{"type":"conform","data":[%d,"x`, i); !strings.HasPrefix(string(got.Data), want) {
				t.Errorf("event %d is %.60q", i, got.Data)
				return
			}
		}
	})
	within(t, "closing the hub", func() { _ = hub.Close() })
	within(t, "serving", func() {
		if err := <-over; !errors.Is(err, nodebus.ErrClosed) {
			t.Errorf("Serve ended with %v, want ErrClosed", err)
		}
	})
}

// endsDuringWrite ends a session while a Write of it waits. Serve must wait for the Write.
func endsDuringWrite(t *testing.T, tr nodebus.Transport, c Receiver) {
	hub := nodebus.NewHub(&nodebus.HubOptions{QueueBytes: 1 << 30})
	defer func() { _ = hub.Close() }()
	s := hub.Join("client", nil)
	w := &counted{Transport: tr}
	over := make(chan error, 1)
	go func() { over <- s.Serve(context.Background(), w) }()
	pad := strings.Repeat("x", 1<<20)
	for i := range 32 { // more than a connection holds
		if err := hub.Broadcast(nodebus.Custom{Type: "conform", Data: []any{i, pad}}); err != nil {
			t.Errorf("send %d: %v", i, err)
		}
	}
	within(t, "receiving", func() { _, _ = c.Receive() }) // a Write is under way
	s.Close(nil)
	within(t, "serving", func() {
		if err := <-over; !errors.Is(err, nodebus.ErrClosed) {
			t.Errorf("Serve ended with %v, want ErrClosed", err)
		}
	})
	if n := w.inside.Load(); n != 0 {
		t.Errorf("Serve has ended, but %d methods of the transport still run", n)
	}
}

// counted counts the methods that run.
type counted struct {
	nodebus.Transport
	inside atomic.Int32
}

func (w *counted) Write(ctx context.Context, frames []nodebus.Frame) error {
	w.inside.Add(1)
	defer w.inside.Add(-1)
	return w.Transport.Write(ctx, frames)
}
