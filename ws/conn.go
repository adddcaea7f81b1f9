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

// Conn is one client's WebSocket, accepted. It is a [nodebus.Transport], and
// what [Conn.Transport] returns is a [nodebus.TryWriter] if the system has a way
// to write without waiting.
type Conn struct {
	ws   *websocket.Conn
	net  *netConn
	opts *Options

	mu   sync.Mutex
	ping *time.Timer // nil if there are no pings, or no more
}

// Accept answers the handshake. It has answered r with the error if there is
// one: status 400 for a request that is no handshake, 403 for a page of another
// origin that opts does not name.
//
// The caller reads until Read fails, and then calls Free.
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

// Heard is when the client was last heard of: it has joined, said something or
// answered a ping. What was sent to a connection that was lost may have reached
// the client until then. It is safe for concurrent use.
func (c *Conn) Heard() time.Time { return time.Unix(0, c.net.heard.Load()) }

// Probe sends a ping, unless one of Probe's is still to be answered, and calls f
// once when the client is next heard of, which it may never be. It is the goroutine
// that reads which calls f, so f must not wait. Probe is safe for concurrent use.
func (c *Conn) Probe(f func()) { c.net.probe(f) }

// Transport is the write half: c itself, or c with a way to write without
// waiting.
func (c *Conn) Transport() nodebus.Transport {
	if c.net.try == nil {
		return c
	}
	return direct{c}
}

// direct is a Conn whose socket can be tried.
type direct struct{ *Conn }

func (c direct) TryWrite(b *nodebus.Batch) (all bool, err error) {
	return c.net.tryWrite(b.Wire(form))
}

// buffers are for the batches of clients that are written to one by one.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}

// Write sends frames as one write for each 64 KiB; all of it must be done within
// Options.WriteTimeout.
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

// Close tells the client why, if it can be told: status 1001 if the program
// ends, 1013 (try again) if the client was too slow.
func (c *Conn) Close(cause error) error {
	code, reason := closeStatus(cause)
	if code == 0 {
		return c.net.Conn.Close()
	}
	c.net.sendClose(appendClose(nil, code, reason), closeWait)
	return nil
}

// closeWait is how long a client may take to answer a close frame.
const closeWait = time.Second

func closeStatus(cause error) (code uint16, reason string) {
	switch {
	case errors.Is(cause, errGone), errors.Is(cause, context.DeadlineExceeded):
		return 0, ""
	case errors.Is(cause, nodebus.ErrClosed), errors.Is(cause, context.Canceled):
		return uint16(websocket.StatusGoingAway), "the server is going away"
	case errors.Is(cause, nodebus.ErrSlow):
		return uint16(websocket.StatusTryAgainLater), "too far behind; come back"
	case errors.Is(cause, nodebus.ErrReplaced):
		return 4000, "replaced by a newer connection"
	}
	return 0, ""
}

// errGone is why a session ends whose client has gone; ErrLeft, if it took its
// leave.
var errGone = errors.New("ws: client is gone")

// ErrLeft is part of what Serve returns if the client closed the connection
// itself, rather than being lost.
var ErrLeft = errors.New("ws: client has left")

// gone says why reading has ended.
func gone(err error) error {
	if websocket.CloseStatus(err) >= 0 {
		return fmt.Errorf("%w: %w: %w", errGone, ErrLeft, err)
	}
	return fmt.Errorf("%w: %w", errGone, err)
}

// Read waits for the next message of the client. It must be called all the
// time: it also answers pings and notices when the client has gone.
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

// skip reads and forgets a message.
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

// Free closes the connection for good.
func (c *Conn) Free() {
	c.mu.Lock()
	if c.ping != nil {
		c.ping.Stop()
		c.ping = nil
	}
	c.mu.Unlock()
	_ = c.ws.CloseNow()
}
