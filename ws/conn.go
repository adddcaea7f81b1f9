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

// Conn is the accepted WebSocket of one client. It is a [nodebus.TryWriter] and a
// transport that reads (see [nodebus.Transport]). Close, Heard, Probe and the methods that write are safe for
// concurrent use; one goroutine at a time may read.
type Conn struct {
	ws      *websocket.Conn
	net     *netConn
	opts    *Options
	receive func(data []byte, binary bool) // nil: messages are ignored

	mu   sync.Mutex
	ping *time.Timer // nil without pings, and after Close
}

// Accept answers the handshake of r. If Accept returns an error, it has already
// sent the error response: status 400 for a request that is not a handshake, or
// 403 for a page of another origin that opts does not list.
//
// The caller must call Serve. Or it must call Read until Read fails; then the
// connection is closed and holds nothing any more.
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

// AppendFrame appends f as one WebSocket frame. It makes Conn a [nodebus.TryWriter].
func (c *Conn) AppendFrame(dst []byte, f nodebus.Frame) []byte { return appendMessage(dst, f) }

// TryWrite writes as much of wire as the socket takes now, and keeps the rest for the
// next Write. It returns [errors.ErrUnsupported] if the connection cannot write without
// waiting, for example with TLS.
func (c *Conn) TryWrite(wire []byte) (all bool, err error) { return c.net.tryWrite(wire) }

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
			if err := c.net.writeAll(deadline, b, nil); err != nil {
				return err
			}
			b = b[:0]
		}
		if len(f.Data)+16 > cap(b) { // too large to copy
			if err := c.net.writeAll(deadline, appendHeader(b, f), f.Data); err != nil {
				return err
			}
			continue
		}
		b = appendMessage(b, f)
	}
	return c.net.writeAll(deadline, b, nil)
}

// Serve runs a session over the connection and passes the client's messages to
// receive. A nil receive ignores them. Serve blocks until the session or the
// connection ends. It returns the reason. Call it once.
func (c *Conn) Serve(ctx context.Context, s *nodebus.Session, receive func(*nodebus.Session, []byte, bool)) error {
	if receive != nil {
		c.receive = func(data []byte, binary bool) { receive(s, data, binary) }
	}
	return s.Serve(ctx, c)
}

// ReadLoop reads until the connection ends, and returns the reason. It makes Conn a
// transport that reads (see [nodebus.Transport]); [Conn.Serve] is for programs.
func (c *Conn) ReadLoop(context.Context) error {
	for {
		if c.receive == nil {
			if err := c.skip(); err != nil {
				return err
			}
			continue
		}
		data, binary, err := c.Read()
		if err != nil {
			return err
		}
		c.receive(data, binary)
	}
}

// Close ends the connection. It stops the pings. If there is room, it sends a close
// frame first: status 1001 (going away) if the program ends, 1013 (try again later) if
// the client was too slow. The client then has one second to answer; Read fails after the answer or that second. For
// any other cause, nil included, the connection ends at once without a close frame.
func (c *Conn) Close(cause error) error {
	code, reason := closeStatus(cause)
	if code == 0 {
		c.free()
		return nil
	}
	c.stopPings()
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
	}
	return 0, ""
}

// errGone ends a session whose client is gone.
var errGone = errors.New("ws: client is gone")

// gone frees the connection after an error of reading.
func (c *Conn) gone(err error) error {
	c.free()
	return fmt.Errorf("%w: %w", errGone, err)
}

// Read waits for the next message from the client. The caller must call it
// continuously, because Read also answers pings and notices a closed connection.
func (c *Conn) Read() (data []byte, binary bool, err error) {
	typ, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return nil, false, c.gone(err)
	}
	data, err = io.ReadAll(r)
	if err != nil {
		return nil, false, c.gone(err)
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
		return c.gone(err)
	}
	return nil
}

// free stops the pings and closes the connection without a close frame.
func (c *Conn) free() {
	c.stopPings()
	_ = c.ws.CloseNow()
}

func (c *Conn) stopPings() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ping != nil {
		c.ping.Stop()
		c.ping = nil
	}
}
