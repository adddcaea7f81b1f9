package ws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/nowait"
)

// Conn is the accepted WebSocket of one client. It is a [nodebus.TryWriter] and a
// transport that reads (see [nodebus.Transport]). Close, Probe and the methods that write
// are safe for concurrent use; one goroutine at a time may read.
type Conn struct {
	net     netConn
	in      incoming
	pings   pings
	receive func(data []byte, binary bool) // nil: messages are ignored
}

// Accept answers the handshake of r. If Accept returns an error, it has already
// sent the error response: status 400, 405 or 426 for a request that is not a
// handshake, 403 for a page of another origin that opts does not list, or 501 if w does
// not allow to take over the connection. The answer contains the header of w.
//
// The caller must call Serve. Or it must call Read until Read fails; then the
// connection is closed and holds nothing any more.
func Accept(w http.ResponseWriter, r *http.Request, opts *Options) (*Conn, error) {
	o := opts.withDefaults()
	if err := check(w, r, o); err != nil {
		return nil, err
	}
	return upgrade(w, r, o)
}

// upgrade answers the handshake of a request that check has accepted.
func upgrade(w http.ResponseWriter, r *http.Request, o *Options) (*Conn, error) {
	nc, early, err := takeOver(w, r)
	if err != nil {
		return nil, err
	}
	return newConn(nc, early, o), nil
}

// newConn returns the connection of a client and starts its pings. early holds the bytes
// that the client has sent already.
func newConn(nc net.Conn, early []byte, o *Options) *Conn {
	c := &Conn{net: netConn{Conn: nc, opts: o, sock: nowait.Of(nc)}}
	c.net.over.L = &c.net.mu
	c.net.heard.Store(unheard)
	c.in.net, c.in.early = &c.net, early
	c.pings.net = &c.net
	c.pings.start()
	return c
}

// Probe sends a ping, unless an earlier ping of Probe has no answer yet. It calls f
// once when the next bytes arrive from the client; if no bytes arrive, it never
// calls f. The reading goroutine calls f, so f must not block. Probe is safe for
// concurrent use.
func (c *Conn) Probe(f func()) { c.net.probe(f) }

// AppendFrame appends f as one WebSocket frame. Before the frame of an outcome, it
// appends a ping that asks for a receipt. It makes Conn a [nodebus.TryWriter].
func (c *Conn) AppendFrame(dst []byte, f nodebus.Frame) []byte { return appendMessage(dst, f) }

// TryWrite writes as much of wire as the socket takes now, and keeps the rest for the
// next Write. It returns [errors.ErrUnsupported] if the connection cannot write without
// waiting, for example with TLS.
func (c *Conn) TryWrite(wire []byte) (all bool, err error) { return c.net.tryWrite(wire) }

// buffers holds write buffers for clients that get their own batches.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}

// Write sends frames, joined into writes of at most 64 KiB. Write waits as long as the
// client takes bytes. It returns an error that wraps [nodebus.ErrSlow] if the client takes
// nothing for Options.WriteTimeout.
func (c *Conn) Write(_ context.Context, frames []nodebus.Frame) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	b := (*buf)[:0]
	var outcomes []uint64 // in b
	for _, f := range frames {
		if len(b) > 0 && len(b)+headerMax+len(f.Data) > cap(b) {
			if err := c.net.write(b, nil, outcomes); err != nil {
				return err
			}
			b, outcomes = b[:0], outcomes[:0]
		}
		if f.Outcome {
			outcomes = append(outcomes, f.ID)
		}
		if headerMax+len(f.Data) > cap(b) { // too large to copy
			b = appendHeader(b, f)
			n := min(cap(b)-len(b), len(f.Data))
			if err := c.net.write(append(b, f.Data[:n]...), f.Data[n:], outcomes); err != nil {
				return err
			}
			b, outcomes = b[:0], outcomes[:0]
			continue
		}
		b = appendMessage(b, f)
	}
	return c.net.write(b, nil, outcomes)
}

// Serve runs a session over the connection and passes the client's messages to
// receive, except the messages to the hub (see [nodebus.Session.Receive]). A nil receive
// ignores them. Serve tells the session what the client has received (see
// [nodebus.Session.Confirm]), so the session may be joined with SessionOptions.Confirms.
// Serve blocks until the session or the connection ends. It returns the reason. Call it
// once.
func (c *Conn) Serve(ctx context.Context, s *nodebus.Session, receive func(*nodebus.Session, []byte, bool)) error {
	c.net.session = s
	if receive != nil {
		c.receive = func(data []byte, binary bool) { receive(s, data, binary) }
	}
	return s.Serve(ctx, c)
}

// ReadLoop reads until the connection ends, and returns the reason. It makes Conn a
// transport that reads (see [nodebus.Transport]); [Conn.Serve] is for programs.
func (c *Conn) ReadLoop(context.Context) error {
	for {
		c.await()
		data, binary, err := c.read()
		if err != nil {
			return err
		}
		switch s := c.net.session; {
		case s != nil && !binary && len(data) <= watchMax && s.Receive(data): // a message to the hub
		case c.receive != nil:
			c.receive(data, binary)
		}
	}
}

// await reads the first bytes of the next frame, if none are there. Most clients are idle
// and their goroutines wait here: ReadLoop has called nothing else that needs stack, so
// that a stack of 2 KiB is enough.
func (c *Conn) await() {
	if in := &c.in; in.at == in.to && len(in.early) == 0 {
		c.net.listen()
		in.at = 0
		if in.to, _ = c.net.Conn.Read(in.buf[:]); in.to > 0 { // after an error, read fails too
			c.net.hear()
		}
	}
}

// Close ends the connection. It stops the pings. If there is room, it sends a close
// frame first: status 1001 (going away) if the program ends, or 1013 (try again later) if
// the client was too slow. The client then has one second to answer; Read fails after the
// answer or that second. For any other cause, nil included, the connection ends at once
// without a close frame.
func (c *Conn) Close(cause error) error {
	code, reason := closeStatus(cause)
	if code == 0 {
		c.free()
		return nil
	}
	c.pings.stop()
	c.net.sendClose(appendClose(nil, code, reason), closeWait)
	return nil
}

// closeWait is how long the server waits for the client's answer to a close frame.
const closeWait = time.Second

func closeStatus(cause error) (code uint16, reason string) {
	switch {
	case errors.Is(cause, errGone), errors.Is(cause, context.DeadlineExceeded):
		return 0, ""
	case errors.Is(cause, nodebus.ErrClosed), errors.Is(cause, context.Canceled):
		return codeGoingAway, "the server is going away"
	case errors.Is(cause, nodebus.ErrSlow):
		return codeTryAgain, "too far behind; reconnect"
	}
	return 0, ""
}

// errGone ends a session whose client is gone.
var errGone = errors.New("ws: client is gone")

// Read waits for the next message from the client. The caller must call it
// continuously, because Read also answers pings and notices a closed connection. Read
// returns a whole message or an error. After a close frame of the client the error wraps
// a CloseError of package coder/websocket. Read does not check that text is UTF-8.
func (c *Conn) Read() (data []byte, binary bool, err error) { return c.read() }

// watchMax is the maximum size of a message to the hub, see [nodebus.Session.Receive].
const watchMax = 8 << 10

// read reads the next message for Read and ReadLoop. In ReadLoop, a message that nobody
// receives is not kept in memory.
func (c *Conn) read() (data []byte, binary bool, err error) {
	keep := c.net.opts.ReadLimit
	if c.receive == nil && c.net.session != nil {
		keep = watchMax // only messages to the hub
	}
	c.net.listen()
	data, binary, err = c.in.message(keep)
	c.net.heard.Store(unheard)
	if err != nil {
		c.in.refuse(err)
		c.free()
		return nil, false, fmt.Errorf("%w: %w", errGone, c.net.reason(err))
	}
	return data, binary, nil
}

// free stops the pings and closes the connection without a close frame.
func (c *Conn) free() {
	c.pings.stop()
	_ = c.net.Conn.Close()
}
