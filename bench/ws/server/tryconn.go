//go:build linux

package server

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// tryConn is the connection that shardPeer gives to coder/websocket. shardPeer also writes
// whole data frames to it directly. mu keeps the frames whole. While running is true, only
// the goroutine of spill writes, and all other writes go to backlog.
type tryConn struct {
	net.Conn
	raw syscall.RawConn

	mu      sync.Mutex
	try     func(fd uintptr) bool
	buf     []byte // the input of try; n and err are its results
	n       int
	err     error
	closed  bool
	backlog []byte
	running bool
}

func newTryConn(c net.Conn) (*tryConn, error) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	t := &tryConn{Conn: c, raw: raw}
	t.try = func(fd uintptr) bool {
		t.n, t.err = syscall.Write(int(fd), t.buf)
		return true // do not wait for room in the socket
	}
	return t, nil
}

// Write writes control frames. Each call gets a whole frame, because the buffer in front
// of tryConn is larger than the longest control frame.
func (c *tryConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running {
		c.backlog = append(c.backlog, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *tryConn) send(b []byte, limit int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if c.running {
		if len(c.backlog)+len(b) <= limit {
			c.backlog = append(c.backlog, b...)
		}
		return
	}
	n, err := c.write(b)
	if err != nil {
		c.closed = true
		_ = c.Conn.Close()
		return
	}
	if n < len(b) {
		c.backlog = append(c.backlog, b[n:]...)
		c.running = true
		go c.spill()
	}
}

// write writes as much as the socket takes now. c.mu must be held.
func (c *tryConn) write(b []byte) (int, error) {
	c.buf = b
	err := c.raw.Write(c.try)
	c.buf = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(c.err, syscall.EAGAIN):
		return 0, nil
	}
	return max(c.n, 0), c.err
}

// spill writes the backlog until it is empty. It waits while the socket is full.
func (c *tryConn) spill() {
	for {
		c.mu.Lock()
		if len(c.backlog) == 0 || c.closed {
			c.backlog, c.running = nil, false
			c.mu.Unlock()
			return
		}
		b := c.backlog
		c.backlog = nil
		c.mu.Unlock()
		_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := c.Conn.Write(b); err != nil {
			c.shut()
			_ = c.Conn.Close()
			return
		}
	}
}

func (c *tryConn) shut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// tryHijack makes Hijack return a tryConn behind small buffers.
type tryHijack struct {
	http.ResponseWriter
	conn *tryConn
}

func (h *tryHijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if err = rw.Writer.Flush(); err == nil { // the handshake response
		h.conn, err = newTryConn(nc)
	}
	if err != nil {
		_ = nc.Close()
		return nil, nil, err
	}
	// net/http may have read the first byte of the client already. coder/websocket takes what
	// is buffered, and then reads from the connection.
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	r := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(early)), h.conn), max(512, len(early)))
	if _, err := r.Peek(len(early)); err != nil {
		_ = nc.Close()
		return nil, nil, err
	}
	return h.conn, bufio.NewReadWriter(r, bufio.NewWriterSize(h.conn, 256)), nil
}
