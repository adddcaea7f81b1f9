//go:build e2e

package e2e

import (
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// line is the way from the browser to a server. A test can break it, with POST requests
// to the line:
//
//   - ?break=reset resets all connections, like a router that restarts.
//   - ?break=silent keeps all connections but lets no byte through, in either direction, like
//     a router that has forgotten them. New connections are accepted, and are as silent.
//   - ?break= mends the line. Connections that were silent stay silent.
type line struct {
	listener net.Listener
	back     string // address of the server

	mu     sync.Mutex
	silent bool
	wires  map[*wire]struct{}
}

// wire is one connection of the browser, and its continuation to the server.
type wire struct {
	ends   [2]net.Conn
	silent bool // line.mu guards it
}

func newLine(t *testing.T, back string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &line{listener: listener, back: back, wires: map[*wire]struct{}{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { l.carry(c) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.each(func(w *wire) { w.close() })
		running.Wait()
	})
	return l
}

func (l *line) address() string { return l.listener.Addr().String() }

// ServeHTTP breaks or mends the line.
func (l *line) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	how := r.FormValue("break")
	l.mu.Lock()
	l.silent = how == "silent"
	l.mu.Unlock()
	l.each(func(w *wire) {
		switch how {
		case "reset":
			w.reset()
		case "silent":
			w.silent = true
		}
	})
}

// each calls f for each wire, with the lock held.
func (l *line) each(f func(*wire)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for w := range l.wires {
		f(w)
	}
}

// carry carries the bytes of a connection until it ends.
func (l *line) carry(c net.Conn) {
	s, err := net.Dial("tcp", l.back)
	if err != nil {
		_ = c.Close()
		return
	}
	w := &wire{ends: [2]net.Conn{c, s}}
	l.mu.Lock()
	w.silent = l.silent
	l.wires[w] = struct{}{}
	l.mu.Unlock()
	var copying sync.WaitGroup
	copying.Go(func() { l.copy(w, c, s) })
	copying.Go(func() { l.copy(w, s, c) })
	copying.Wait()
	l.mu.Lock()
	delete(l.wires, w)
	l.mu.Unlock()
}

// copy carries the bytes in one direction. The end of one direction of a wire is the end of
// the wire, unless the wire is silent: then the other side must not notice.
func (l *line) copy(w *wire, from io.Reader, to io.Writer) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		l.mu.Lock()
		silent := w.silent
		l.mu.Unlock()
		switch {
		case silent && err == nil:
			continue
		case silent:
			return
		}
		if _, failed := to.Write(buf[:n]); failed != nil || err != nil {
			w.close()
			return
		}
	}
}

func (w *wire) close() {
	for _, end := range w.ends {
		_ = end.Close()
	}
}

// reset closes the wire with an RST, which discards what is under way.
func (w *wire) reset() {
	for _, end := range w.ends {
		_ = end.(*net.TCPConn).SetLinger(0)
	}
	w.close()
}
