package conform

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// line is a network line between clients and a server. It can be bad.
type line struct {
	listener net.Listener
	to       string
	carried  atomic.Int64 // bytes to clients

	mu     sync.Mutex
	fault  fault
	conns  map[net.Conn]struct{}
	closed bool
	busy   sync.WaitGroup
}

// fault is what happens to the bytes that a server sends on a new connection.
type fault struct {
	cut   int             // after so many bytes the connection is reset; 0: never
	chunk int             // the bytes come in pieces of this size; 0: as they are
	stall <-chan struct{} // no byte comes before the channel is closed
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	l := &line{listener: listener, to: to, conns: map[net.Conn]struct{}{}}
	l.busy.Go(l.accept)
	t.Cleanup(l.close)
	return l
}

func (l *line) addr() string { return l.listener.Addr().String() }

// set changes the fault of later connections.
func (l *line) set(f fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = f
}

func (l *line) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", l.to)
		if err != nil {
			_ = client.Close()
			continue
		}
		for _, c := range []net.Conn{client, server} { // small buffers, so that a client that does not read is soon felt
			if tcp, ok := c.(*net.TCPConn); ok {
				_, _ = tcp.SetReadBuffer(64<<10), tcp.SetWriteBuffer(64<<10)
			}
		}
		l.mu.Lock()
		f := l.fault
		l.conns[client], l.conns[server] = struct{}{}, struct{}{}
		if l.closed {
			_, _ = client.Close(), server.Close()
		}
		l.mu.Unlock()
		l.busy.Go(func() {
			_, _ = io.Copy(server, client)
			l.reset(server, client)
		})
		l.busy.Go(func() {
			l.carry(client, server, f)
			l.reset(server, client)
		})
	}
}

// carry copies what the server sends.
func (l *line) carry(client, server net.Conn, f fault) {
	if f.stall != nil {
		<-f.stall
	}
	buf, sent := make([]byte, 32<<10), 0
	for {
		n, err := server.Read(buf)
		for at := 0; at < n; {
			end := n
			if f.chunk > 0 {
				end = min(n, at+f.chunk)
			}
			if f.cut > 0 {
				end = min(end, at+f.cut-sent)
			}
			if _, err := client.Write(buf[at:end]); err != nil {
				return
			}
			sent += end - at
			l.carried.Add(int64(end - at))
			at = end
			if f.cut > 0 && sent >= f.cut {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// reset ends connections without saying goodbye.
func (l *line) reset(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
		delete(l.conns, c)
	}
}

// resetAll ends all connections.
func (l *line) resetAll() {
	l.mu.Lock()
	var all []net.Conn
	for c := range l.conns {
		all = append(all, c)
	}
	l.mu.Unlock()
	l.reset(all...)
}

func (l *line) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	_ = l.listener.Close()
	l.resetAll()
	l.busy.Wait()
}
