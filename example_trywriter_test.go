package nodebus_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/nodebus/nodebus"
)

// asLines is how frames look on this wire. That is made once for all clients that
// are sent the same.
var asLines = &nodebus.Form{Append: func(dst []byte, f nodebus.Frame) []byte {
	return append(append(dst, f.Data...), '\n')
}}

// Memory is a transport that always has room, so that no client needs a goroutine
// that waits for it. One for a socket keeps what does not fit for the next Write.
type Memory struct {
	mu     sync.Mutex
	text   []byte
	closed bool
	due    sync.WaitGroup // a line each
}

// TryWrite takes a batch that other clients may be sent, too.
func (m *Memory) TryWrite(b *nodebus.Batch) (all bool, err error) {
	return true, m.keep(b.Wire(asLines))
}

// Write is called with what had to wait.
func (m *Memory) Write(_ context.Context, frames []nodebus.Frame) error {
	for _, f := range frames {
		if err := m.keep(f.Wire(asLines)); err != nil {
			return err
		}
	}
	return nil
}

func (m *Memory) keep(lines []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nodebus.ErrClosed
	}
	m.text = append(m.text, lines...)
	m.due.Add(-bytes.Count(lines, []byte("\n")))
	return nil
}

// Close makes later writes fail.
func (m *Memory) Close(error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// Two clients are sent the same bytes, which are made once.
func ExampleTryWriter() {
	hub := nodebus.NewHub(nil)
	clients := []*Memory{{}, {}}
	var serving sync.WaitGroup
	for i, m := range clients {
		s := hub.Join(fmt.Sprint("client ", i), nil)
		serving.Go(func() { _ = s.Serve(context.Background(), m) })
		m.due.Add(2)
	}
	_ = hub.Broadcast(nodebus.Custom{Type: "example.news", Data: 1})
	_ = hub.Broadcast(nodebus.Custom{Type: "example.news", Data: 2})
	for _, m := range clients {
		m.due.Wait()
	}
	_ = hub.Close()
	serving.Wait()
	for _, m := range clients {
		fmt.Printf("%s", m.text)
	}
	// Output:
	// {"type":"example.news","data":1}
	// {"type":"example.news","data":2}
	// {"type":"example.news","data":1}
	// {"type":"example.news","data":2}
}
