package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/nodebus/nodebus"
)

// greet connects for the first time, and waits for the first message.
func (c *Client) greet(ctx context.Context) error {
	if err := c.connect(ctx); err != nil {
		return err
	}
	for {
		got, err := c.fetch(ctx, nil, c.link)
		if err != nil && ctx.Err() != nil {
			err = whyEnded(ctx)
		}
		if err = cmp.Or(err, got.err); err != nil {
			return because(errUngreeted, err)
		}
		ev, err := c.decode(got.frame)
		if err != nil {
			c.opts.Logger.Warn("message skipped", "error", err)
			continue
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.note(ev)
		return nil
	}
}

var errUngreeted = errors.New("client: waiting for the server's first message")

// whyEnded returns why ctx has ended: its error, and its cause if that is something else.
func whyEnded(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), cause)
	}
	return ctx.Err()
}

// reconnect tries to connect until it succeeds, ctx ends, the client is closed, or the
// server refuses the client.
func (c *Client) reconnect(ctx context.Context) error {
	if c.opts.Retry < 0 {
		err := c.connect(ctx)
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	for again := c.takeAgain(); ; again = false {
		wait := max(c.wait, c.opts.Retry)
		if again {
			wait = 0
		} else {
			c.wait = min(2*wait, 32*c.opts.Retry)
		}
		if err := c.sleep(ctx, wait); err != nil {
			return err
		}
		err := c.connect(ctx)
		var refused *RefusedError
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil || errors.Is(err, nodebus.ErrClosed) || errors.As(err, &refused) && refused.Status != http.StatusTooManyRequests {
			return err
		}
		c.opts.Logger.Info("no connection to the server", "error", err)
	}
}

// sleep waits for a time, or until ctx ends or the client is closed.
func (c *Client) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.life.Done():
		return nodebus.ErrClosed
	}
}

// takeAgain reports whether the client itself has ended the link, to connect again at once.
func (c *Client) takeAgain() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	again := c.again
	c.again = false
	return again
}

// connectTime limits the time for a new connection, also if the server is gone without a
// word.
const connectTime = 30 * time.Second

// errLate ends the attempt to connect after connectTime.
var errLate = errors.New("client: the server has not answered the request for a connection in time")

// connect connects and resumes after the last received event. The caller has the turn.
func (c *Client) connect(ctx context.Context) error {
	limit := connectTime
	if web := c.opts.HTTPClient; web != nil && web.Timeout > 0 {
		limit = min(limit, web.Timeout)
	}
	outer := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errLate)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	dial := dialSocket
	if c.opts.SSE {
		dial = dialStream
	}
	address, asked := c.address()
	l, err := dial(ctx, address, &c.opts)
	if c.life.Err() != nil {
		if err == nil {
			_ = l.close(false)
		}
		return nodebus.ErrClosed
	}
	if err != nil && outer.Err() != nil {
		return fmt.Errorf("client: connecting: %w", whyEnded(outer))
	}
	if err != nil && errors.Is(context.Cause(ctx), errLate) {
		return because(errLate, err)
	}
	if errors.As(err, new(*RefusedError)) && c.forgo(asked, err) {
		return c.connect(ctx)
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.link, c.again, c.greeted = l, false, false
	if c.life.Err() != nil { // Close has not seen the link
		c.link = nil
	}
	c.mu.Unlock()
	if c.life.Err() != nil {
		_ = l.close(false)
		return nodebus.ErrClosed
	}
	c.renew(l, asked)
	return nil
}

// address returns the address of the server with the client's id, its place and the
// prompts that it watches. asked holds the requests that the address contains.
func (c *Client) address() (address string, asked []*request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := *c.url
	switch {
	case c.opts.SSE && u.Scheme == "ws":
		u.Scheme = "http"
	case c.opts.SSE && u.Scheme == "wss":
		u.Scheme = "https"
	}
	q := u.Query()
	if c.id != "" {
		q.Set("clientId", c.id)
	}
	q.Set("since", c.last.String()) // empty requests only cursors; servers without cursors ignore it
	for _, w := range c.watched {
		q.Add("watch", w)
	}
	u.RawQuery = q.Encode()
	return u.String(), slices.Clone(c.requests)
}
