package client_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// pipes is a server in the bubble of a test. Its connections are pipes that can fall silent:
// nothing arrives any more in either direction, and neither end is closed.
type pipes struct {
	hub   *nodebus.Hub
	http  *http.Client
	lines []*line // in the order in which the client has dialled
	mu    sync.Mutex
	open  []*client.Client
}

const pipesURL = "http://pipes.test/ws"

// onPipes runs a test in a bubble with a server of a hub.
func onPipes(t *testing.T, handler func(*nodebus.Hub) http.Handler, test func(t *testing.T, p *pipes)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		p := &pipes{hub: nodebus.NewHub(nil)}
		accept := make(accepting)
		web := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			l := &line{Conn: ours, over: make(chan struct{}), silent: make(chan struct{})}
			p.mu.Lock()
			p.lines = append(p.lines, l)
			p.mu.Unlock()
			select {
			case accept <- theirs:
				return l, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
		p.http = &http.Client{Transport: web}
		srv := &http.Server{Handler: handler(p.hub)}
		served := make(chan struct{})
		go func() {
			_ = srv.Serve(accept)
			close(served)
		}()
		defer func() { // also after a failure
			for _, l := range p.lines {
				_ = l.Close()
			}
			for _, c := range p.open {
				_ = c.Close()
			}
			require.NoError(t, p.hub.Close())
			web.CloseIdleConnections()
			require.NoError(t, srv.Close())
			<-served
		}()
		test(t, p)
	})
}

// dial connects a client.
func (p *pipes) dial(t *testing.T, opts client.Options) *client.Client {
	t.Helper()
	opts.HTTPClient = p.http
	c, err := client.Dial(t.Context(), pipesURL, &opts)
	require.NoError(t, err)
	p.open = append(p.open, c)
	return c
}

// line returns a connection, by its number.
func (p *pipes) line(n int) *line {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines[n]
}

// line is the client's end of a connection.
type line struct {
	net.Conn
	once, quiet  sync.Once
	over, silent chan struct{}
}

// fallSilent lets nothing through any more.
func (l *line) fallSilent() { l.quiet.Do(func() { close(l.silent) }) }

func (l *line) Read(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := l.Conn.Read(p)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-l.silent:
		<-l.over
		return 0, net.ErrClosed
	}
}

func (l *line) Write(p []byte) (int, error) {
	select {
	case <-l.silent:
		return len(p), nil // as a system does for a while
	default:
		return l.Conn.Write(p)
	}
}

func (l *line) Close() error {
	l.once.Do(func() { close(l.over) })
	return l.Conn.Close()
}

// accepting is a listener that receives connections.
type accepting chan net.Conn

func (a accepting) Accept() (net.Conn, error) {
	c, ok := <-a
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (a accepting) Close() error {
	close(a)
	return nil
}

func (accepting) Addr() net.Addr { return &net.TCPAddr{} }
