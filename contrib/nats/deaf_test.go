package nats_test

import (
	"bytes"
	"net"
	"sync"
	"testing"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// line is a network between a process and the server, which can lose answers, or all.
type line struct {
	mu    sync.Mutex
	deaf  bool          // what the server sends does not come
	down  bool          // there are no connections
	when  string        // the line becomes deaf before it sends this
	heard chan struct{} // closed then
	conns []net.Conn
}

func newLine() *line { return &line{heard: make(chan struct{})} }

// deafAt makes the line deaf before it sends some bytes. heard is closed then.
func (l *line) deafAt(text string) (heard <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.when = text
	return l.heard
}

// Dial is for [natsgo.CustomDialer].
func (l *line) Dial(network, address string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, net.ErrClosed
	}
	c, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	l.conns = append(l.conns, c)
	return &deafConn{c, l}, nil
}

// set makes the line deaf, or takes it down. It cuts the connections when it is neither, so
// that what was lost never comes, and when it is down.
func (l *line) set(deaf, down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf, l.down = deaf, down
	if !deaf {
		for _, c := range l.conns {
			_ = c.Close()
		}
		l.conns = nil
	}
}

type deafConn struct {
	net.Conn
	line *line
}

func (c *deafConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		c.line.mu.Lock()
		deaf := c.line.deaf
		c.line.mu.Unlock()
		if err != nil || !deaf {
			return n, err
		}
	}
}

func (c *deafConn) Write(b []byte) (int, error) {
	l := c.line
	l.mu.Lock()
	if l.when != "" && bytes.Contains(b, []byte(l.when)) {
		l.when, l.deaf = "", true
		close(l.heard)
	}
	l.mu.Unlock()
	return c.Conn.Write(b)
}

// openOn opens a bus on a line to a server.
func openOn(t *testing.T, l *line, url string, opts nats.Options) *nats.Bus {
	t.Helper()
	nc, err := nats.Connect(url, natsgo.SetCustomDialer(l))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	opts.Logger = quiet
	bus, err := nats.Open(t.Context(), nc, &opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = bus.Close() })
	return bus
}
