package ws

import (
	"errors"
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus/internal/nowait"
)

// netConn writes to the connection of a client. Batches of data frames come from the
// hub, control frames and answers come from the goroutine that reads. netConn keeps
// frames whole: while a part of a frame is unsent, all later bytes wait behind it.
//
// Only write waits for room in the connection. The goroutine that reads never waits for
// it, so that a client can send while it does not read.
type netConn struct {
	net.Conn
	opts  *Options
	sock  *nowait.Writer // nil if the system cannot write without waiting or is not asked
	heard atomic.Int64   // time since epoch at which the client was last heard; see hear

	closeBy atomic.Int64 // deadline of the close frame, in Unix nanoseconds; 0: there is no close frame

	mu      sync.Mutex // held shortly; never while a write waits
	writing bool       // a goroutine runs write or sends the close frame: later bytes wait in rest
	parted  bool       // the client has sent a close frame
	over    sync.Cond  // signals that writing has become false
	flush   bool       // a goroutine will run write
	ending  bool       // a close frame was written: nothing may follow it
	rest    []byte     // unsent bytes
	control int        // number of bytes in rest that do not come from the hub
	err     error      // the first error of a write
	probes  []func()   // functions to call when the client is next heard
	receipts

	session session // nil if the program reads by itself
}

// controlMax limits the bytes of control frames and answers that wait behind unsent
// data. Without a limit, a client that sends pings and never reads could fill the
// memory.
const controlMax = 16 << 10

// writeMax and writeBlind are the maximum number of bytes of one write to the connection.
// A client has taken something when it has taken this many bytes, or when the system
// says so. writeBlind is for connections about which the system says nothing.
const (
	writeMax   = 64 << 10
	writeBlind = 8 << 10
)

var errStalled = errors.New("ws: client does not read")

// epoch is the zero of netConn.heard, because a monotonic time has no number.
var epoch = time.Now()

// unheard is the value of netConn.heard while nobody reads. The silence of a client
// means nothing then.
const unheard = math.MaxInt64

// listen notes that somebody reads from now on.
func (c *netConn) listen() { c.heard.Store(int64(time.Since(epoch))) }

// hear notes that the client was heard, and calls the functions that wait for it.
func (c *netConn) hear() {
	c.listen()
	c.mu.Lock()
	probes := c.probes
	c.probes = nil
	c.mu.Unlock()
	for _, f := range probes {
		f()
	}
}

// probe sends a ping, unless an earlier probe still waits. It calls f when the client is
// next heard.
func (c *netConn) probe(f func()) {
	c.mu.Lock()
	c.probes = append(c.probes, f)
	first, id := len(c.probes) == 1, c.newest()
	c.mu.Unlock()
	if first {
		_ = c.post(appendPing(nil, id)) // after an error the client is never heard again
	}
}

// unfit returns an error if no more data can be written. c.mu is held.
func (c *netConn) unfit() error {
	if c.err == nil && c.ending {
		return net.ErrClosed
	}
	return c.err
}

// tryWrite writes as much as the socket takes now and keeps the rest. all is true if
// nothing is left.
func (c *netConn) tryWrite(wire []byte) (all bool, err error) {
	writes := uint64(0)
	if c.session != nil { // otherwise nobody wants the receipts
		writes = c.session.Outcomes()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.unfit(); err != nil {
		return false, err
	}
	if c.sock == nil {
		return false, errors.ErrUnsupported
	}
	if writes != c.writes {
		c.writes = writes
		c.expectAll(wire)
	}
	n := 0
	if !c.writing && len(c.rest) == 0 {
		if n, c.err = c.sock.Write(wire); c.err != nil {
			return false, c.err
		}
	}
	if n == len(wire) {
		c.unsent = 0
		return true, nil
	}
	c.rest = append(c.rest, wire[n:]...)
	return false, nil
}

// post sends a frame that does not come from the hub. It does not wait: what the
// connection does not take now is written by another goroutine.
func (c *netConn) post(frame []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return c.err
	case c.ending:
		return nil
	}
	n := 0
	if c.sock != nil && !c.writing && len(c.rest) == 0 {
		if n, c.err = c.sock.Write(frame); c.err != nil || n == len(frame) {
			return c.err
		}
	}
	if c.control += len(frame) - n; c.control > controlMax {
		c.err = errStalled
		return c.err
	}
	if c.rest = append(c.rest, frame[n:]...); !c.writing && !c.flush {
		c.flush = true
		go func() {
			if err := c.write(nil, nil, nil); err != nil {
				c.Conn.Close()
			}
		}()
	}
	return nil
}

// ping sends a ping. It sends nothing while other bytes wait: a client that does not
// take them ends anyway.
func (c *netConn) ping() {
	c.mu.Lock()
	var frame []byte
	if !c.writing && len(c.rest) == 0 {
		frame = appendPing(nil, c.newest())
	}
	c.mu.Unlock()
	if frame != nil {
		_ = c.post(frame)
	}
}

// write writes the kept bytes, then head and data, which may be empty, and then what was
// kept meanwhile. It waits for room as long as the client takes bytes. outcomes are the
// outcomes in head.
func (c *netConn) write(head, data []byte, outcomes []uint64) error {
	rest, err := c.begin(outcomes)
	if err != nil {
		return err
	}
	w := c.watch()
	for _, p := range [...][]byte{rest, head, data} {
		if err == nil {
			err = w.write(p)
		}
	}
	for more := true; more; {
		var confirm uint64
		if rest, confirm, more = c.more(w, err); more {
			err = w.write(rest)
		}
		c.confirm(confirm)
	}
	if err == nil && c.leftMeanwhile() {
		c.session.ConfirmWritten()
	}
	return err
}

// leftMeanwhile reports whether the client has sent a close frame during a write.
func (c *netConn) leftMeanwhile() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parted && c.session != nil && len(c.rest) == 0
}

// isWriting reports whether a goroutine runs write.
func (c *netConn) isWriting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writing
}

// begin waits for its turn and takes the kept bytes. From then on all other bytes are kept.
func (c *netConn) begin(outcomes []uint64) (rest []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.writing {
		c.over.Wait()
	}
	c.flush = false
	if err := c.unfit(); err != nil {
		return nil, err
	}
	c.writing = true
	rest = c.rest
	c.rest, c.control = nil, 0
	for _, id := range outcomes {
		c.expect(id)
	}
	return rest, nil
}

// more takes the bytes that were kept during a write. It returns false if there are
// none; then the write is over. err is the error of the write. confirm is an outcome that
// the client has answered for and that is written now, or 0.
func (c *netConn) more(w *patience, err error) (rest []byte, confirm uint64, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	if len(c.rest) == 0 || err != nil || c.ending {
		w.stop()
		c.writing = false
		c.over.Broadcast()
		if err == nil {
			confirm = c.written()
		}
		return nil, confirm, false
	}
	rest = c.rest
	c.rest, c.control = nil, 0
	return rest, 0, true
}

// end ends the connection because of err.
func (c *netConn) end(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	c.Conn.Close()
}

// reason returns why reading failed with err. If the server has closed the connection,
// the first error says more.
func (c *netConn) reason(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil && (errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)) {
		return c.err
	}
	return err
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

// expectBy sets the read deadline. As in allow, the deadline of a close frame has
// precedence.
func (c *netConn) expectBy(deadline time.Time) {
	_ = c.Conn.SetReadDeadline(deadline)
	if by := c.closeBy.Load(); by != 0 {
		_ = c.Conn.SetReadDeadline(time.Unix(0, by))
	}
}

// sendClose writes a close frame if there is room within the time wait, and then
// waits as long for the client's answer.
func (c *netConn) sendClose(frame []byte, wait time.Duration) {
	by := time.Now().Add(wait)
	c.closeBy.Store(by.UnixNano())
	_ = c.Conn.SetWriteDeadline(by) // ends a write that waits for room
	c.mu.Lock()
	for c.writing {
		c.over.Wait()
	}
	ready := c.err == nil && !c.ending && len(c.rest) == 0
	c.ending, c.writing = true, true
	c.mu.Unlock()
	var err error
	if ready {
		_, err = c.Conn.Write(frame)
	}
	if !ready || err != nil {
		c.Conn.Close()
	} else {
		_ = c.Conn.SetReadDeadline(by)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = false
	c.over.Broadcast()
}

// session is a [nodebus.Session].
type session interface {
	Outcomes() (writes uint64)
	Confirm(id uint64)
	ConfirmWritten()
	Receive(data []byte) (handled bool)
}

// pong handles the payload of a pong. Only the answer to a ping of this connection is a
// receipt.
func (c *netConn) pong(payload []byte) {
	c.mu.Lock()
	id := c.answer(markedID(payload))
	c.mu.Unlock()
	c.confirm(id)
}

func (c *netConn) confirm(id uint64) {
	if id != 0 && c.session != nil {
		c.session.Confirm(id)
	}
}

// left handles a close frame that the client sends first: the client says by this that
// it has everything that was sent. A write that has not returned yet counts when it has
// returned without an error, because a quick client may have read it all. left returns false
// if the server has closed first, because the answer to the server's close frame says
// nothing.
func (c *netConn) left() bool {
	if c.closeBy.Load() != 0 {
		return false
	}
	c.mu.Lock()
	all, id := len(c.rest) == 0 && !c.writing && c.err == nil, c.sent()
	c.parted = true
	c.mu.Unlock()
	if all && c.session != nil {
		c.session.ConfirmWritten()
	} else {
		c.confirm(id)
	}
	return true
}
