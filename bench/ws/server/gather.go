//go:build linux

package server

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	batchMax     = 64 << 10
	writeTimeout = 10 * time.Second
)

// gatherHijack makes Hijack return a gatherConn behind a small buffer. So all frames of
// the library go through the gatherConn.
type gatherHijack struct {
	http.ResponseWriter
	conn *gatherConn
}

func (h *gatherHijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if err := rw.Writer.Flush(); err != nil { // the handshake response
		_ = c.Close()
		return nil, nil, err
	}
	h.conn = &gatherConn{Conn: c}
	return h.conn, bufio.NewReadWriter(rw.Reader, bufio.NewWriterSize(h.conn, 256)), nil
}

var batchPool = sync.Pool{New: func() any { b := make([]byte, 0, batchMax); return &b }}

// gatherConn joins all writes between hold and release into one write. At other times,
// for example for a pong, it writes at once. It borrows a buffer only while it holds
// bytes.
type gatherConn struct {
	net.Conn
	mu   sync.Mutex
	held bool
	buf  *[]byte
	err  error
}

func (c *gatherConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	if !c.held {
		return c.Conn.Write(p)
	}
	if c.buf != nil && len(*c.buf)+len(p) > batchMax {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	if len(p) > batchMax {
		return c.Conn.Write(p)
	}
	if c.buf == nil {
		c.buf = batchPool.Get().(*[]byte)
	}
	*c.buf = append(*c.buf, p...)
	return len(p), nil
}

func (c *gatherConn) flush() error {
	if c.buf == nil {
		return c.err
	}
	if c.err = c.SetWriteDeadline(time.Now().Add(writeTimeout)); c.err == nil {
		_, c.err = c.Conn.Write(*c.buf)
	}
	*c.buf = (*c.buf)[:0]
	batchPool.Put(c.buf)
	c.buf = nil
	return c.err
}

func (c *gatherConn) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = true
}

func (c *gatherConn) release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	return c.flush()
}
