package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
)

// next returns the next event for Events.
func (c *Client) next(ctx context.Context) (ev nodebus.Event, err error) {
	select {
	case c.reading <- struct{}{}:
		defer func() { <-c.reading }()
	case <-ctx.Done():
		return ev, context.Cause(ctx)
	case <-c.life.Done():
		return ev, nodebus.ErrClosed
	}
	if len(c.pending) > 0 && c.life.Err() == nil {
		ev, c.pending = c.pending[0], c.pending[1:]
		return ev, nil
	}
	return c.receive(ctx)
}

// receive reads an event. It reconnects as often as necessary. The caller has the right to
// read.
func (c *Client) receive(ctx context.Context) (nodebus.Event, error) {
	for {
		if c.life.Err() != nil {
			return nodebus.Event{}, nodebus.ErrClosed
		}
		c.mu.Lock()
		conn := c.conn
		c.mu.Unlock()
		if conn == nil {
			if err := c.reconnect(ctx); err != nil {
				return nodebus.Event{}, err
			}
			continue
		}
		ev, err := c.read(ctx, conn)
		if err == nil {
			return ev, nil
		}
		if c.life.Err() != nil {
			continue
		}
		c.drop(conn)
		if ctx.Err() != nil { // the end of ctx broke the connection
			return nodebus.Event{}, err
		}
		c.opts.Logger.Info("connection to the server broke", "error", err)
		if c.opts.Retry < 0 {
			return nodebus.Event{}, err
		}
	}
}

// reconnect tries to connect until it succeeds, ctx ends, the client is closed, or the
// server refuses the client.
func (c *Client) reconnect(ctx context.Context) error {
	if c.opts.Retry < 0 {
		return c.connect(ctx)
	}
	wait := c.opts.Retry
	for {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-c.life.Done():
			timer.Stop()
			return nodebus.ErrClosed
		}
		err := c.connect(ctx)
		var refused *RefusedError
		if err == nil || ctx.Err() != nil || errors.Is(err, nodebus.ErrClosed) || errors.As(err, &refused) {
			return err
		}
		c.opts.Logger.Info("no connection to the server", "error", err)
		wait = min(2*wait, 32*c.opts.Retry)
	}
}

// connect connects and resumes after the last received event.
func (c *Client) connect(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	conn, res, err := websocket.Dial(ctx, c.address(), &websocket.DialOptions{HTTPClient: c.opts.HTTPClient, HTTPHeader: c.opts.Header})
	if err != nil {
		if c.life.Err() != nil {
			return nodebus.ErrClosed
		}
		if res != nil && res.StatusCode != http.StatusSwitchingProtocols && res.StatusCode < 500 {
			return handshakeRefused(res, err)
		}
		return fmt.Errorf("client: %w", err)
	}
	conn.SetReadLimit(c.opts.ReadLimit)
	c.mu.Lock()
	if c.life.Err() != nil {
		c.mu.Unlock()
		_ = conn.CloseNow()
		return nodebus.ErrClosed
	}
	c.conn = conn
	again := c.request
	c.mu.Unlock()
	if again != nil { // the connection before broke before the answer
		_ = again.send(ctx, conn) // read reports that the connection is broken
	}
	return nil
}

// address returns the address of the server with the client's id, its place and the
// prompts that it watches.
func (c *Client) address() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := *c.url
	q := u.Query()
	if c.id != "" {
		q.Set("clientId", c.id)
	}
	q.Set("since", c.last.String()) // empty requests only cursors; servers without cursors ignore it
	for _, w := range c.watched {
		q.Add("watch", w)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// read waits for an event that can be decoded. The connection breaks when ctx ends.
func (c *Client) read(ctx context.Context, conn *websocket.Conn) (nodebus.Event, error) {
	for {
		typ, data, err := conn.Read(ctx)
		if err != nil {
			return nodebus.Event{}, fmt.Errorf("client: %w", err)
		}
		ev, err := c.decode(nodebus.Frame{Binary: typ == websocket.MessageBinary, Data: data})
		if err != nil {
			c.opts.Logger.Warn("message skipped", "error", err)
			continue
		}
		c.note(&ev)
		return ev, nil
	}
}

// note takes from an event what the client itself needs.
func (c *Client) note(ev *nodebus.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ev.Epoch != "" {
		c.last = ev.Cursor()
	}
	switch p := ev.Payload.(type) {
	case nodebus.Status:
		if p.SID != "" {
			c.id = p.SID
		}
	case nodebus.Watching:
		c.answered(p)
	}
}

// drop closes a broken connection and forgets it.
func (c *Client) drop(conn *websocket.Conn) {
	c.mu.Lock()
	if c.conn == conn {
		c.conn = nil
	}
	c.mu.Unlock()
	_ = conn.CloseNow()
}
