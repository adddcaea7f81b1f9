package golden_test

import (
	"context"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// network is a network in memory. It carries the same bytes as a real network, but
// synctest can detect when all bytes have arrived.
type network struct {
	t        *testing.T
	calls    chan net.Conn
	closed   chan struct{}
	shutDown func()
}

func newNetwork(t *testing.T) *network {
	n := &network{t: t, calls: make(chan net.Conn), closed: make(chan struct{})}
	n.shutDown = sync.OnceFunc(func() { close(n.closed) })
	return n
}

func (n *network) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	n.calls <- newWire(n.t, server)
	return client, nil
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.calls:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error {
	n.shutDown()
	return nil
}

// Addr returns the address of the recorded server.
func (n *network) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8188} }

// wire is the server's end of a connection. Like a socket, it accepts every write at
// once. It also has a file descriptor for direct writes: bytes that a server writes
// directly are sent before any later message can replace them.
type wire struct {
	net.Conn
	file  *os.File
	taken int64 // number of bytes of file that are sent already

	mu     sync.Mutex
	closed bool
	out    chan []byte
}

func newWire(t *testing.T, c net.Conn) *wire {
	f, err := os.Create(filepath.Join(t.TempDir(), "wire"))
	require.NoError(t, err)
	w := &wire{Conn: c, file: f, out: make(chan []byte, 1024)}
	go func() {
		defer func() { _, _ = w.file.Close(), w.Conn.Close() }()
		for p := range w.out {
			if _, err := w.Conn.Write(p); err != nil {
				_ = w.Conn.Close()
			}
		}
	}()
	return w
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(p), w.send(append([]byte(nil), p...))
}

// send sends p. w.mu must be held.
func (w *wire) send(p []byte) error {
	if w.closed {
		return net.ErrClosed
	}
	w.out <- p
	return nil
}

// Close closes the connection after all written bytes have arrived.
func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		close(w.out)
	}
	return nil
}

func (w *wire) SetDeadline(at time.Time) error        { return w.SetReadDeadline(at) }
func (w *wire) SetWriteDeadline(time.Time) error      { return nil } // a write never blocks
func (w *wire) SyscallConn() (syscall.RawConn, error) { return descriptor{w}, nil }

// descriptor uses a file as if it were a socket.
type descriptor struct{ *wire }

func (d descriptor) Control(f func(fd uintptr)) error {
	f(d.file.Fd())
	return nil
}

func (d descriptor) Read(func(fd uintptr) bool) error { return os.ErrInvalid }

// Write lets f write to the file, and then sends the new bytes of the file.
func (d descriptor) Write(f func(fd uintptr) bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	f(d.file.Fd())
	p, err := io.ReadAll(io.NewSectionReader(d.file, d.taken, math.MaxInt64-d.taken))
	if err != nil {
		return err
	}
	d.taken += int64(len(p))
	return d.send(p)
}
