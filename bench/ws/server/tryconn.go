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

// tryConn is the connection that coder/websocket is given by shardPeer, and the
// way around it for whole data frames. mu keeps frames whole; while running, the
// spill goroutine is the only writer and everything else queues in backlog.
type tryConn struct {
	net.Conn
	raw syscall.RawConn

	mu      sync.Mutex
	try     func(fd uintptr) bool
	buf     []byte // what try writes, and what became of it
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
		return true // do not wait until there is room
	}
	return t, nil
}

// Write gets control frames, each whole because the buffer in front of it holds
// more than one can be long.
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

// write writes what the socket takes now. c.mu is held.
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

// spill writes the backlog, waiting for room, until there is none.
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

// tryHijack makes Hijack hand out a tryConn, with small buffers.
type tryHijack struct {
	http.ResponseWriter
	conn *tryConn
}

func (h *tryHijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if err = rw.Writer.Flush(); err == nil { // the answer to the handshake
		h.conn, err = newTryConn(nc)
	}
	if err != nil {
		_ = nc.Close()
		return nil, nil, err
	}
	var r io.Reader = h.conn
	if early, _ := rw.Reader.Peek(rw.Reader.Buffered()); len(early) > 0 {
		r = io.MultiReader(bytes.NewReader(bytes.Clone(early)), r)
	}
	return h.conn, bufio.NewReadWriter(bufio.NewReaderSize(r, 512), bufio.NewWriterSize(h.conn, 256)), nil
}
