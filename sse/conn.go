package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus"
)

// conn is the response to one client, with net/http: for HTTP/2, TLS and HTTP/1.0. It is a
// [nodebus.TryWriter], so that all clients share the wire form of a batch. An
// [http.ResponseWriter] cannot write without waiting; TryWrite therefore only keeps the
// bytes for the next Write.
type conn struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	opts     *Options
	previews *previews
	http2    bool
	hangUp   func(cause error) // ends the session

	closed atomic.Bool
	began  time.Time
	due    atomic.Int64 // when the current write must end, in nanoseconds after began; 0 if nothing is written
	rest   *[]byte      // what TryWrite keeps; used only by TryWrite and Write

	lock     lock      // held while something is written
	last     time.Time // when the newest write began
	ping     *time.Timer
	deadline time.Duration // the deadline of writes, after began
	failed   bool          // nothing can be written any more
}

// lock is a mutex. A wait for a channel can be tested with synctest, although the holder
// of the lock waits for the network.
type lock chan struct{}

func (l lock) take() { l <- struct{}{} }
func (l lock) free() { <-l }

func (l lock) try() bool {
	select {
	case l <- struct{}{}:
		return true
	default:
		return false
	}
}

const (
	// pieceSize is how many bytes a client must take within WriteTimeout.
	pieceSize = 16 << 10
	// closeWait limits the time for telling a client why the stream ends.
	closeWait = time.Second
)

// unfit is the error for a response that cannot be a stream.
type unfit struct{ error }

func (e unfit) Unwrap() error { return e.error }

var errEnded = errors.New("sse: the stream has ended")

// newConn checks that w can do what a stream needs. It has not sent anything if it
// returns an error.
func newConn(w http.ResponseWriter, r *http.Request, h *Handler) (*conn, error) {
	c := &conn{
		w: w, control: http.NewResponseController(w), opts: h.opts, previews: h.previews,
		http2: r.ProtoMajor >= 2, began: time.Now(), lock: make(lock, 1),
	}
	if !canFlush(w) {
		return nil, unfit{fmt.Errorf("sse: the ResponseWriter %T cannot flush; a handler around this one hides Flush, let its ResponseWriter have a method Unwrap", w)}
	}
	if err := c.control.SetWriteDeadline(time.Time{}); err != nil {
		return nil, unfit{fmt.Errorf("sse: the ResponseWriter %T cannot set a deadline; a handler around this one hides SetWriteDeadline, let its ResponseWriter have a method Unwrap: %w", w, err)}
	}
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, bodyLimits.Bytes)); err != nil {
		return nil, err
	}
	// The ReadTimeout of the server would end the request. Not every connection has one.
	_ = c.control.SetReadDeadline(time.Time{})
	return c, nil
}

// canFlush reports whether [http.ResponseController] can flush w.
func canFlush(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case interface{ FlushError() error }, http.Flusher:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// setHeaders sets the headers of the response.
func setHeaders(h http.Header) {
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx passes each event on at once
	h.Set("X-Content-Type-Options", "nosniff")
}

// firstLine returns the line that says how long an EventSource waits before it
// reconnects.
func (o *Options) firstLine() []byte {
	return append(strconv.AppendInt([]byte("retry: "), o.Retry.Milliseconds(), 10), "\n\n"...)
}

// begin sends the headers and the first line, and starts the comments. It calls hangUp
// if the client cannot be written to.
func (c *conn) begin(hangUp func(cause error)) {
	c.hangUp = hangUp
	c.lock.take()
	defer c.lock.free()
	c.w.WriteHeader(http.StatusOK) // routers may have noted another status
	if err := c.send(c.opts.firstLine(), c.opts.WriteTimeout); err != nil {
		hangUp(err)
		return
	}
	if c.opts.PingInterval > 0 {
		c.ping = time.AfterFunc(c.opts.PingInterval, c.tick)
	}
}

// finish waits until nothing is written any more. The handler returns after it.
func (c *conn) finish() {
	c.lock.take()
	defer c.lock.free()
	c.failed = true
	if c.ping != nil {
		c.ping.Stop()
	}
}

// tick sends a comment if the stream was silent for an interval.
func (c *conn) tick() {
	c.lock.take()
	defer c.lock.free()
	if c.failed || c.closed.Load() {
		return
	}
	left := c.opts.PingInterval - time.Since(c.last)
	if left <= 0 {
		if err := c.send([]byte(":\n\n"), c.opts.WriteTimeout); err != nil {
			c.hangUp(err)
			return
		}
		left = c.opts.PingInterval
	}
	c.ping.Reset(left)
}

// buffers holds the buffers of writes.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

func takeBuffer() *[]byte { return buffers.Get().(*[]byte) }

// giveBack returns a buffer. Large buffers are rare and are not kept.
func giveBack(b *[]byte) {
	if cap(*b) <= 4*pieceSize {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// AppendFrame appends the lines of a frame, and the image of a preview.
func (*conn) AppendFrame(dst []byte, f nodebus.Frame) []byte { return appendBlock(dst, f) }

// TryWrite keeps wire for the next Write.
func (c *conn) TryWrite(wire []byte) (all bool, err error) {
	if c.closed.Load() {
		return false, errEnded
	}
	if c.rest == nil {
		c.rest = takeBuffer()
	}
	*c.rest = c.previews.takeImages(*c.rest, wire)
	return false, nil
}

// Write sends what TryWrite has kept, and the frames, and flushes once.
func (c *conn) Write(_ context.Context, frames []nodebus.Frame) error {
	buf := c.rest
	c.rest = nil
	if buf == nil {
		if len(frames) == 0 {
			return nil
		}
		buf = takeBuffer()
	}
	defer giveBack(buf)
	c.lock.take()
	defer c.lock.free()
	for _, f := range frames {
		if len(*buf) >= pieceSize {
			if err := c.put(*buf, c.opts.WriteTimeout); err != nil {
				return err
			}
			*buf = (*buf)[:0]
		}
		*buf = c.append(*buf, f)
	}
	return c.send(*buf, c.opts.WriteTimeout)
}

// append appends a frame, and stores its image.
func (c *conn) append(dst []byte, f nodebus.Frame) []byte {
	if !f.Binary {
		return appendBlock(dst, f)
	}
	return c.previews.takeImages(dst, appendBlock(nil, f))
}

// send writes b and flushes. c.lock is held.
func (c *conn) send(b []byte, timeout time.Duration) error {
	if err := c.put(b, timeout); err != nil {
		return err
	}
	if err := c.control.Flush(); err != nil {
		return c.fail(err)
	}
	c.due.Store(0)
	if c.http2 { // a deadline that passes ends the response, also if nothing is written
		c.deadline = 0
		_ = c.control.SetWriteDeadline(time.Time{})
	}
	return nil
}

// put writes b in pieces, each with its own deadline: a client that takes bytes, however
// slowly, is not cut off. c.lock is held.
func (c *conn) put(b []byte, timeout time.Duration) error {
	for len(b) > 0 {
		if c.failed {
			return errEnded
		}
		if err := c.renew(timeout); err != nil {
			return c.fail(err)
		}
		if c.closed.Load() { // after the deadline is set, see Close
			return c.fail(errEnded)
		}
		n, err := c.w.Write(b[:min(len(b), pieceSize)])
		if err != nil {
			return c.fail(err)
		}
		b = b[n:]
	}
	return nil
}

// renew makes sure that a write may last for timeout. A new deadline costs as much as a
// quarter of a small write, so the deadline is later than necessary, and serves the
// writes of the next time, too. c.lock is held.
func (c *conn) renew(timeout time.Duration) error {
	c.last = time.Now()
	now := c.last.Sub(c.began)
	if c.deadline-now < timeout {
		c.deadline = now + timeout + timeout/4
		if err := c.control.SetWriteDeadline(c.began.Add(c.deadline)); err != nil {
			return err
		}
	}
	c.due.Store(int64(c.deadline))
	return nil
}

// fail returns the reason for an error of writing. c.lock is held.
func (c *conn) fail(err error) error {
	c.failed = true
	if c.closed.Load() {
		return errEnded
	}
	return c.reason(fmt.Errorf("sse: the client is gone: %w", err))
}

// reason returns err, or an error that wraps ErrSlow if the time of a write is over. Not
// the error but the time decides: HTTP/2 has an error of its own for a deadline, and
// net/http also ends the context of the request, perhaps before the write returns.
func (c *conn) reason(err error) error {
	if due := c.due.Load(); due == 0 || int64(time.Since(c.began)) < due {
		return err
	}
	return fmt.Errorf("sse: the client took less than %d bytes in %v: %w", pieceSize, c.opts.WriteTimeout, nodebus.ErrSlow)
}

// Close ends the stream. If nothing is being written, it first sends a comment that says
// why. The handler then returns.
func (c *conn) Close(cause error) error {
	c.closed.Store(true)
	if !c.lock.try() {
		// Something is being written. put looks at closed after it has set a deadline, so
		// that it sees closed, or waits with this deadline.
		return c.control.SetWriteDeadline(time.Unix(1, 0))
	}
	defer c.lock.free()
	if reason := goodbye(cause); reason != "" && !c.failed {
		c.last = time.Now()
		_ = c.control.SetWriteDeadline(c.last.Add(closeWait))
		if _, err := c.w.Write([]byte(reason)); err == nil {
			_ = c.control.Flush()
		}
	}
	c.failed = true
	return nil
}

// goodbye returns the last comment of a stream.
func goodbye(cause error) string {
	switch {
	case errors.Is(cause, nodebus.ErrClosed):
		return ": the server is going away\n\n"
	case errors.Is(cause, nodebus.ErrSlow):
		return ": too far behind; reconnect\n\n"
	}
	return ""
}
