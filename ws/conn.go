package ws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
)

// Conn is the accepted WebSocket of one client. It is a [nodebus.Transport]. The
// result of [Conn.Transport] is also a [nodebus.TryWriter] if the system supports
// writes that do not block.
type Conn struct {
	ws   *websocket.Conn
	net  *netConn
	opts *Options

	mu   sync.Mutex
	ping *time.Timer // nil without pings, and after Free
}

// Accept answers the handshake of r. If Accept returns an error, it has already
// sent the error response: status 400 for a request that is not a handshake, or
// 403 for a page of another origin that opts does not list.
//
// The caller must call Read until it fails, and then Free.
func Accept(w http.ResponseWriter, r *http.Request, opts *Options) (*Conn, error) {
	o := opts.withDefaults()
	if err := o.policy().Check(r); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return nil, fmt.Errorf("ws: %w", err)
	}
	if r.Header.Get("Upgrade") == "" {
		http.Error(w, "this is the address of a WebSocket", http.StatusBadRequest)
		return nil, errors.New("ws: not a WebSocket handshake")
	}
	h := &hijack{ResponseWriter: w}
	c, err := websocket.Accept(h, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // checked above
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, fmt.Errorf("ws: %w", err)
	}
	c.SetReadLimit(o.ReadLimit)
	conn := &Conn{ws: c, net: h.conn, opts: o}
	if o.PingInterval > 0 {
		h.conn.silence = 2*o.PingInterval + o.PingInterval/2
		conn.mu.Lock()
		defer conn.mu.Unlock()
		conn.ping = time.AfterFunc(o.PingInterval, conn.tick)
	}
	return conn, nil
}

func (c *Conn) tick() {
	c.net.ping()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ping != nil {
		c.ping.Reset(c.opts.PingInterval)
	}
}

// Heard returns the time at which the client was last heard: when it joined, sent
// a message or answered a ping. If the connection is lost, messages that were sent
// before this time may have reached the client. Heard is safe for concurrent use.
func (c *Conn) Heard() time.Time { return time.Unix(0, c.net.heard.Load()) }

// Probe sends a ping, unless an earlier ping of Probe has no answer yet. It calls f
// once when the next bytes arrive from the client; if no bytes arrive, it never
// calls f. The reading goroutine calls f, so f must not block. Probe is safe for
// concurrent use.
func (c *Conn) Probe(f func()) { c.net.probe(f) }

// Transport returns the write half of the connection: c itself, or c with a
// TryWrite method if the system supports writes that do not block.
func (c *Conn) Transport() nodebus.Transport {
	if c.net.try == nil {
		return c
	}
	return direct{c}
}

// direct is a Conn whose socket supports writes that do not block.
type direct struct{ *Conn }

func (c direct) TryWrite(b *nodebus.Batch) (all bool, err error) {
	return c.net.tryWrite(b.Wire(form))
}

// buffers holds write buffers for clients that get their own batches.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}

// Write sends frames, joined into writes of at most 64 KiB; a larger frame is one
// write. All writes together must end within Options.WriteTimeout.
func (c *Conn) Write(_ context.Context, frames []nodebus.Frame) error {
	deadline := time.Now().Add(c.opts.WriteTimeout)
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	b := (*buf)[:0]
	for _, f := range frames {
		if len(b) > 0 && len(b)+len(f.Data) > cap(b) {
			if err := c.net.writeAll(b, deadline); err != nil {
				return err
			}
			b = b[:0]
		}
		if len(f.Data)+16 > cap(b) {
			if err := c.net.writeAll(f.Wire(form), deadline); err != nil {
				return err
			}
			continue
		}
		b = appendMessage(b, f)
	}
	return c.net.writeAll(b, deadline)
}

// Close ends the connection. If there is room, it sends a close frame first: status
// 1001 (going away) if the program ends, 1013 (try again later) if the client was too
// slow, 4000 if a newer connection replaces this connection. The client has one second
// to answer. For any other cause there is no close frame.
func (c *Conn) Close(cause error) error {
	code, reason := closeStatus(cause)
	if code == 0 {
		return c.net.Conn.Close()
	}
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
		return uint16(websocket.StatusGoingAway), "the server is going away"
	case errors.Is(cause, nodebus.ErrSlow):
		return uint16(websocket.StatusTryAgainLater), "too far behind; reconnect"
	case errors.Is(cause, nodebus.ErrReplaced):
		return 4000, "replaced by a newer connection"
	}
	return 0, ""
}

// errGone ends a session whose client is gone. If the client closed the connection
// itself, the error is also ErrLeft.
var errGone = errors.New("ws: client is gone")

// ErrLeft is part of the error that Serve returns if the client closed the
// connection itself. A lost connection does not have this error.
var ErrLeft = errors.New("ws: client has left")

// gone converts an error of reading into an error that says how the client left.
func gone(err error) error {
	if websocket.CloseStatus(err) >= 0 {
		return fmt.Errorf("%w: %w: %w", errGone, ErrLeft, err)
	}
	return fmt.Errorf("%w: %w", errGone, err)
}

// Read waits for the next message from the client. The caller must call it
// continuously, because Read also answers pings and notices a closed connection.
func (c *Conn) Read() (data []byte, binary bool, err error) {
	typ, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return nil, false, gone(err)
	}
	data, err = io.ReadAll(r)
	if err != nil {
		return nil, false, gone(err)
	}
	return data, typ == websocket.MessageBinary, nil
}

// skip reads a message and discards it.
func (c *Conn) skip() error {
	_, r, err := c.ws.Reader(context.Background())
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	if err != nil {
		return gone(err)
	}
	return nil
}

// Free stops the pings and closes the connection without a close frame.
func (c *Conn) Free() {
	c.mu.Lock()
	if c.ping != nil {
		c.ping.Stop()
		c.ping = nil
	}
	c.mu.Unlock()
	_ = c.ws.CloseNow()
}
