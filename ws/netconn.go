package ws

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// coder/websocket does the handshake, the reading and the control frames. It uses a
// netConn (see hijack). Batches of data frames are written to the netConn directly,
// not through coder/websocket: each batch is encoded once for all clients, is one
// write, and does not block if the system has room.

// netConn is the connection between a socket and coder/websocket. mu keeps frames
// whole: while a part of a frame is unsent, all later bytes wait behind it in rest.
type netConn struct {
	net.Conn
	heard   atomic.Int64 // time of the last read with data, in Unix nanoseconds
	rmu     sync.Mutex
	silence time.Duration // a client that sends nothing for this time is gone; 0: no limit
	probes  []func()      // functions to call after the next read with data

	closeBy atomic.Int64 // deadline of the close frame, in Unix nanoseconds; 0: there is no close frame

	mu      sync.Mutex
	try     func(p []byte) (int, error) // writes as much as the socket takes now; nil if the system cannot do this
	rest    []byte                      // unsent bytes
	control int                         // number of bytes of control frames in rest
	err     error                       // the first error of a write
	ending  bool                        // a close frame was written: nothing may follow it
}

// controlMax limits the bytes of control frames that wait behind unsent data.
// Without a limit, a client that sends pings and never reads could fill the memory.
const controlMax = 16 << 10

// controlTimeout is how long a control frame may wait for room on a connection
// without try.
const controlTimeout = 5 * time.Second

var errStalled = errors.New("ws: client does not read")

// Read fails if the client is silent for too long; every client answers pings.
func (c *netConn) Read(p []byte) (int, error) {
	if err := c.expect(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.heard.Store(time.Now().UnixNano())
		for _, f := range c.probed() {
			f()
		}
	}
	return n, err
}

func (c *netConn) probed() (fs []func()) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	fs, c.probes = c.probes, nil
	return fs
}

// probe sends a ping, unless an earlier probe still waits. It calls f when the next
// bytes arrive.
func (c *netConn) probe(f func()) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	if c.probes = append(c.probes, f); len(c.probes) == 1 {
		go func() { _, _ = c.Write([]byte{opPing, 0}) }() // in a goroutine: the lock of Write may be held for long
	}
}

func (c *netConn) expect() error {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	if c.silence == 0 {
		return nil
	}
	return c.Conn.SetReadDeadline(time.Now().Add(c.silence))
}

// hangUp gives the client the time wait for its last messages.
func (c *netConn) hangUp(wait time.Duration) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	c.silence = 0
	_ = c.Conn.SetReadDeadline(time.Now().Add(wait))
}

// Write writes control frames of coder/websocket. Each call gets a whole frame,
// because the buffer of coder/websocket (see hijack) is larger than any control frame.
func (c *netConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return 0, c.err
	case c.ending: // coder/websocket answers a close frame, but an answer is not needed
		return len(p), nil
	case len(c.rest) > 0:
		return len(p), c.queue(p)
	case c.try == nil:
		_ = c.allow(time.Now().Add(controlTimeout))
		if _, c.err = c.Conn.Write(p); c.err == nil {
			c.err = c.Conn.SetWriteDeadline(time.Time{})
		}
		return len(p), c.err
	}
	n := 0
	if n, c.err = c.try(p); c.err != nil || n == len(p) {
		return n, c.err
	}
	return len(p), c.queue(p[n:])
}

// queue keeps a control frame, or the unsent end of a control frame, until data is
// written again. c.mu must be held.
func (c *netConn) queue(p []byte) error {
	if c.control += len(p); c.control > controlMax {
		c.err = errStalled
		return c.err
	}
	c.rest = append(c.rest, p...)
	return nil
}

// unfit returns an error if no more data can be written. c.mu must be held.
func (c *netConn) unfit() error {
	if c.err == nil && c.ending {
		return net.ErrClosed
	}
	return c.err
}

// tryWrite writes as much as the socket takes now and keeps the rest. all is true if
// nothing is left.
func (c *netConn) tryWrite(p []byte) (all bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.unfit(); err != nil {
		return false, err
	}
	if c.try == nil {
		return false, errors.ErrUnsupported
	}
	n := 0
	if len(c.rest) == 0 {
		if n, c.err = c.try(p); c.err != nil {
			return false, c.err
		}
	}
	c.rest = append(c.rest, p[n:]...)
	return len(c.rest) == 0, nil
}

// writeAll writes the kept rest, then head and then data, which may be empty. It waits
// for room until the deadline.
func (c *netConn) writeAll(deadline time.Time, head, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.unfit(); err != nil {
		return err
	}
	if c.err = c.allow(deadline); c.err != nil {
		return c.err
	}
	if len(c.rest) > 0 {
		_, c.err = c.Conn.Write(c.rest)
		c.rest, c.control = nil, 0
	}
	switch {
	case c.err != nil || len(head) == 0:
	case len(data) == 0:
		_, c.err = c.Conn.Write(head)
	default: // one system call for both, without a copy of data
		_, c.err = (&net.Buffers{head, data}).WriteTo(c.Conn)
	}
	if c.err == nil { // the deadline would also affect try
		c.err = c.Conn.SetWriteDeadline(time.Time{})
	}
	return c.err
}

// allow sets the write deadline. The deadline of a close frame has precedence: the
// two deadlines may be set at the same time, and then the close frame's must win.
func (c *netConn) allow(deadline time.Time) error {
	err := c.Conn.SetWriteDeadline(deadline)
	if by := c.closeBy.Load(); by != 0 && err == nil {
		err = c.Conn.SetWriteDeadline(time.Unix(0, by))
	}
	return err
}

// sendClose writes a close frame if there is room within the time wait, and then
// waits as long for the client's answer.
func (c *netConn) sendClose(frame []byte, wait time.Duration) {
	by := time.Now().Add(wait)
	c.closeBy.Store(by.UnixNano())
	if !c.mu.TryLock() { // another write holds the lock and may wait for room
		_ = c.Conn.SetWriteDeadline(by)
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	if c.err != nil || c.ending || len(c.rest) > 0 {
		c.Conn.Close()
		return
	}
	c.ending = true
	_ = c.Conn.SetWriteDeadline(by)
	if _, err := c.Conn.Write(frame); err != nil {
		c.Conn.Close()
		return
	}
	c.hangUp(wait)
}

// ping sends a ping. It sends nothing while another write holds the lock: this write
// has its own deadline, so a ping is not needed.
func (c *netConn) ping() {
	if c.mu.TryLock() {
		c.mu.Unlock()
		_, _ = c.Write([]byte{opPing, 0})
	}
}

// hijack makes coder/websocket use a netConn. It also replaces the buffers of net/http
// with smaller buffers, because they are most of the memory of an idle client.
type hijack struct {
	http.ResponseWriter
	conn *netConn
}

const (
	readBuffer  = 512
	writeBuffer = 256 // more than the longest control frame, 127 bytes, so that each frame is one Write
)

func (h *hijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, brw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(controlTimeout))
	if err := brw.Writer.Flush(); err != nil { // the handshake response
		nc.Close()
		return nil, nil, fmt.Errorf("answering the handshake: %w", err)
	}
	_ = nc.SetDeadline(time.Time{})
	c := &netConn{Conn: nc, try: nonBlocking(nc)}
	c.heard.Store(time.Now().UnixNano())
	h.conn = c
	r := bufio.NewReaderSize(c, readBuffer)
	if n := brw.Reader.Buffered(); n > 0 { // the client sent bytes before the handshake response
		early, _ := brw.Reader.Peek(n)
		r = bufio.NewReaderSize(bytes.NewReader(bytes.Clone(early)), max(n, readBuffer))
		_, _ = r.Peek(n) // coder/websocket takes the buffered bytes first, and then reads from c
	}
	return c, bufio.NewReadWriter(r, bufio.NewWriterSize(c, writeBuffer)), nil
}
