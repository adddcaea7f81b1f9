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

// The library that does the handshake, the reading and the control frames is
// given a connection of ours (see hijack), so that whole batches of data frames
// can be written past it: framed once for all clients, one write a batch, and
// without waiting if the system has room.

// netConn is that connection. mu keeps frames whole: while part of one is
// unsent, everything else queues up behind it in rest.
type netConn struct {
	net.Conn
	heard   atomic.Int64 // when something was read last, in Unix nanoseconds
	rmu     sync.Mutex
	silence time.Duration // a client that says nothing for so long is gone; 0: it may
	probes  []func()      // to be called when something has been read

	closeBy atomic.Int64 // when a close frame must be out, in Unix nanoseconds; 0: none is to be sent

	mu      sync.Mutex
	try     func(p []byte) (int, error) // writes what there is room for; nil if that cannot be done
	rest    []byte                      // what there was no room for
	control int                         // bytes of control frames in rest
	err     error                       // the first that a write met
	ending  bool                        // a close frame was written: nothing may follow
}

// controlMax bounds the control frames that wait behind unsent data: a client
// could send pings for ever and not read the answers.
const controlMax = 16 << 10

// controlTimeout is how long a control frame may wait for room where it cannot
// be tried whether there is any.
const controlTimeout = 5 * time.Second

var errStalled = errors.New("ws: client does not read")

// Read gives up on a client that is silent for too long: each answers pings.
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

// probe asks the client for a sign of life, unless it has been asked already, at
// which f is called.
func (c *netConn) probe(f func()) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	if c.probes = append(c.probes, f); len(c.probes) == 1 {
		go func() { _, _ = c.Write([]byte{opPing, 0}) }() // a write that is going on may have to wait
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

// hangUp leaves the client so long to say its last.
func (c *netConn) hangUp(wait time.Duration) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	c.silence = 0
	_ = c.Conn.SetReadDeadline(time.Now().Add(wait))
}

// Write gets the library's control frames, each in one piece, because the
// buffer in front of it (see hijack) is larger than a control frame can be.
func (c *netConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return 0, c.err
	case c.ending: // the library answers a close frame, and need not
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

// queue keeps a control frame, or the end of one, until data is written again.
// c.mu is held.
func (c *netConn) queue(p []byte) error {
	if c.control += len(p); c.control > controlMax {
		c.err = errStalled
		return c.err
	}
	c.rest = append(c.rest, p...)
	return nil
}

// unfit is why no more data can be written, if so. c.mu is held.
func (c *netConn) unfit() error {
	if c.err == nil && c.ending {
		return net.ErrClosed
	}
	return c.err
}

// tryWrite writes what there is room for and keeps the rest.
func (c *netConn) tryWrite(p []byte) (all bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.unfit(); err != nil {
		return false, err
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

// writeAll writes what is left over and then p, waiting for room until the
// deadline.
func (c *netConn) writeAll(p []byte, deadline time.Time) error {
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
	if c.err == nil && len(p) > 0 {
		_, c.err = c.Conn.Write(p)
	}
	if c.err == nil { // try heeds the deadline too
		c.err = c.Conn.SetWriteDeadline(time.Time{})
	}
	return c.err
}

// allow sets the deadline of a write, which is no later than that of a close
// frame: whichever of the two is set last heeds the other.
func (c *netConn) allow(deadline time.Time) error {
	err := c.Conn.SetWriteDeadline(deadline)
	if by := c.closeBy.Load(); by != 0 && err == nil {
		err = c.Conn.SetWriteDeadline(time.Unix(0, by))
	}
	return err
}

// sendClose writes a close frame if there is room for it in time, and lets the
// client answer it for a moment.
func (c *netConn) sendClose(frame []byte, wait time.Duration) {
	by := time.Now().Add(wait)
	c.closeBy.Store(by.UnixNano())
	if !c.mu.TryLock() { // a write is going on, which may be waiting for room
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

// ping sends a ping, unless a write is waiting for room: that has a deadline of
// its own.
func (c *netConn) ping() {
	if c.mu.TryLock() {
		c.mu.Unlock()
		_, _ = c.Write([]byte{opPing, 0})
	}
}

// hijack makes the library hijack a netConn. It also replaces net/http's
// buffers by smaller ones, which is most of what an idle client costs.
type hijack struct {
	http.ResponseWriter
	conn *netConn
}

const (
	readBuffer  = 512
	writeBuffer = 256 // more than a control frame, 127 bytes, so that each comes as one Write
)

func (h *hijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, brw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(controlTimeout))
	if err := brw.Writer.Flush(); err != nil { // the answer to the handshake
		nc.Close()
		return nil, nil, fmt.Errorf("answering the handshake: %w", err)
	}
	_ = nc.SetDeadline(time.Time{})
	c := &netConn{Conn: nc, try: nonBlocking(nc)}
	c.heard.Store(time.Now().UnixNano())
	h.conn = c
	r := bufio.NewReaderSize(c, readBuffer)
	if n := brw.Reader.Buffered(); n > 0 { // the client did not wait for the answer
		early, _ := brw.Reader.Peek(n)
		r = bufio.NewReaderSize(bytes.NewReader(bytes.Clone(early)), max(n, readBuffer))
		_, _ = r.Peek(n) // the library takes over what is buffered, and reads on from c
	}
	return c, bufio.NewReadWriter(r, bufio.NewWriterSize(c, writeBuffer)), nil
}
