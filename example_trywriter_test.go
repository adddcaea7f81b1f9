package nodebus_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/nodebus/nodebus"
)

// Memory is a transport that always has room, so no client needs its own goroutine for
// writing. A transport for a socket must keep the bytes that do not fit for the next
// Write.
type Memory struct {
	mu     sync.Mutex
	text   []byte
	closed bool
	due    sync.WaitGroup // counts the lines that are missing
}

// AppendFrame appends the wire form of a frame: a line. The hub calls it once for all
// clients that receive the same events.
func (*Memory) AppendFrame(dst []byte, f nodebus.Frame) []byte {
	return append(append(dst, f.Data...), '\n')
}

// TryWrite sends lines. Other clients may receive the same bytes.
func (m *Memory) TryWrite(wire []byte) (all bool, err error) { return true, m.keep(wire) }

// Write sends the events that had to wait.
func (m *Memory) Write(_ context.Context, frames []nodebus.Frame) error {
	var wire []byte
	for _, f := range frames {
		wire = m.AppendFrame(wire, f)
	}
	return m.keep(wire)
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

// Two clients receive the same bytes. The hub makes the bytes once.
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
