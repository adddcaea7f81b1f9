package nats_test

import (
	"bytes"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// fault is what becomes of the bytes that a script waits for.
type fault int

const (
	breaks   fault = iota // the pipe breaks, once
	stalls                // the server takes nothing more on this connection, until mend
	swallows              // they never come, until mend
)

// script is the way of one connection to the shared server, with faults at some bytes.
type script struct {
	mu    sync.Mutex
	fault fault
	when  string        // the bytes; empty: there is no fault
	met   chan struct{} // closed when they have come
	free  chan struct{} // closed by mend
}

// at makes the next write of some bytes meet a fault. met is closed then.
func (s *script) at(f fault, when string) (met <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.when, s.met, s.free = f, when, make(chan struct{}), make(chan struct{})
	return s.met
}

// mend ends the fault.
func (s *script) mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.when = ""; s.free != nil {
		close(s.free)
		s.free = nil
	}
}

// InProcessConn is for [natsgo.InProcessServer].
func (s *script) InProcessConn() (net.Conn, error) {
	c, err := shared.InProcessConn()
	if err != nil {
		return nil, err
	}
	return &scriptConn{Conn: c, script: s, closed: make(chan struct{})}, nil
}

type scriptConn struct {
	net.Conn
	script *script
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	until time.Time // the deadline of Write
}

func (c *scriptConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (c *scriptConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	c.until = t
	c.mu.Unlock()
	return c.Conn.SetWriteDeadline(t)
}

func (c *scriptConn) Write(b []byte) (int, error) {
	s := c.script
	s.mu.Lock()
	f, free := s.fault, s.free
	hit := s.when != "" && bytes.Contains(b, []byte(s.when))
	if hit && s.met != nil {
		close(s.met)
		s.met = nil
	}
	if hit && f != swallows {
		s.when = ""
	}
	s.mu.Unlock()
	switch {
	case hit && f == breaks:
		_ = c.Close()
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
	case hit && f == swallows:
		return len(b), nil
	case hit:
		if err := c.stall(free); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}

// stall waits until the script is mended, the connection is closed, or the deadline is over.
func (c *scriptConn) stall(free <-chan struct{}) error {
	var late <-chan time.Time
	c.mu.Lock()
	if !c.until.IsZero() {
		late = time.After(time.Until(c.until))
	}
	c.mu.Unlock()
	select {
	case <-free:
		return nil
	case <-c.closed:
		return net.ErrClosed
	case <-late:
		return os.ErrDeadlineExceeded
	}
}

// scripted opens a bus on a connection with a script.
func scripted(t *testing.T, opts nats.Options, more ...natsgo.Option) (*script, *nats.Bus) {
	t.Helper()
	s, nc := scriptedConn(t, more...)
	opts.Logger, opts.LogBytes = quiet, 64<<20
	bus, err := nats.Open(t.Context(), nc, &opts)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.mend()
		_ = bus.Close()
	})
	return s, bus
}

// scriptedConn returns a connection with a script.
func scriptedConn(t *testing.T, more ...natsgo.Option) (*script, *natsgo.Conn) {
	t.Helper()
	s := &script{}
	nc, err := nats.Connect("", append([]natsgo.Option{natsgo.InProcessServer(s), natsgo.ReconnectWait(10 * time.Millisecond), natsgo.ReconnectJitter(0, 0)}, more...)...)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.mend()
		nc.Close()
	})
	return s, nc
}

// waiting returns the number of goroutines that are in a function, and in a state such as
// "chan receive".
func waiting(function, state string) (n int) {
	stacks := make([]byte, 4<<20)
	for g := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		head, _, _ := strings.Cut(g, "\n")
		if strings.Contains(g, function) && strings.Contains(head, state) {
			n++
		}
	}
	return n
}

// come waits until a channel is closed, or has a value.
func come[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		require.FailNow(t, "it does not come: "+what)
	}
	return v
}
