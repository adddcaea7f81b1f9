package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
)

// Options of [Dial]. Nil, and each zero field, is the default.
type Options struct {
	// ID is the client's id. Default: the server gives one.
	ID string
	// Watch names prompts of other clients to follow too.
	Watch []string
	// Header goes with the handshake, HTTPClient makes it.
	Header     http.Header
	HTTPClient *http.Client
	// Submit hands a prompt to the server, for Client.Submit: the host's own call,
	// such as Engine.Submit in the same process.
	Submit func(ctx context.Context, p *nodebus.Prompt) (id string, err error)
	// Retry is how long to wait before a broken connection is made again; each
	// attempt that fails doubles it, up to 32 times. Default 300 ms; negative: it
	// is not made again.
	Retry time.Duration
	// ReadLimit bounds a message of the server, in bytes. Default 256 MiB.
	ReadLimit int64
	// Logger is told of messages that cannot be read and of connections that
	// break. Nil is silent.
	Logger *slog.Logger
}

// ErrNoSubmit is what Submit returns if Options.Submit is not set.
var ErrNoSubmit = errors.New("client: no way to submit prompts was given")

// Client is a connection to a server. Listeners may be added at any time, by any
// goroutine; Events and Run are for one goroutine at a time.
type Client struct {
	url  *url.URL
	opts Options

	mu        sync.Mutex
	id        string
	listeners map[string][]*listener
	types     map[string]func(data []byte) (nodebus.Payload, error)

	conn *websocket.Conn // nil while it is broken
	last uint64          // ID of the last event seen; 0 if the server gives none
}

// Dial connects to a server's WebSocket (ws://, wss://, http:// or https://) and
// waits for its first word, which says the client's id.
func Dial(ctx context.Context, address string, opts *Options) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	c := &Client{url: u, listeners: map[string][]*listener{}, types: map[string]func([]byte) (nodebus.Payload, error){}}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.Retry == 0 {
		c.opts.Retry = 300 * time.Millisecond
	}
	if c.opts.ReadLimit == 0 {
		c.opts.ReadLimit = 256 << 20
	}
	if c.opts.Logger == nil {
		c.opts.Logger = slog.New(slog.DiscardHandler)
	}
	c.id = c.opts.ID
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	first, err := c.read(ctx)
	if err != nil {
		c.drop()
		return nil, fmt.Errorf("client: waiting for the server's first word: %w", err)
	}
	c.dispatch(first)
	return c, nil
}

// ID is the client's id: what a prompt's ClientID must be for its events to come
// here.
func (c *Client) ID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

// Submit hands a prompt to the server with this client as the one who is told of
// it. It returns the prompt's id.
func (c *Client) Submit(ctx context.Context, p *nodebus.Prompt) (id string, err error) {
	if c.opts.Submit == nil {
		return "", ErrNoSubmit
	}
	p.ClientID = c.ID()
	return c.opts.Submit(ctx, p)
}

// Events yields what the server sends, each after the listeners for it were
// called, until ctx ends or the loop breaks; it can be called again then. An
// event of a type that is neither built in nor listened for is a
// [nodebus.Custom]. An error is the last value: the server refuses the client,
// or the connection broke and is not to be made again.
func (c *Client) Events(ctx context.Context) iter.Seq2[nodebus.Event, error] {
	return func(yield func(nodebus.Event, error) bool) {
		for ctx.Err() == nil {
			ev, err := c.next(ctx)
			if err != nil {
				if ctx.Err() == nil {
					yield(nodebus.Event{}, err)
				}
				return
			}
			c.dispatch(ev)
			if !yield(ev, nil) {
				return
			}
		}
	}
}

// Follow yields the events of one prompt, up to and with the one that closes it.
func (c *Client) Follow(ctx context.Context, promptID string) iter.Seq2[nodebus.Event, error] {
	return func(yield func(nodebus.Event, error) bool) {
		for ev, err := range c.Events(ctx) {
			if err != nil {
				yield(ev, err)
				return
			}
			if ev.PromptID != promptID {
				continue
			}
			if !yield(ev, nil) {
				return
			}
			if e, ok := ev.Payload.(nodebus.Executing); ok && e.Node == "" {
				return
			}
		}
	}
}

// Run calls listeners until ctx ends, or the error that Events ends with.
func (c *Client) Run(ctx context.Context) error {
	for _, err := range c.Events(ctx) {
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// Close ends the connection.
func (c *Client) Close() error {
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close(websocket.StatusNormalClosure, "")
	c.conn = nil
	return err
}

// next reads an event, connecting anew as often as need be.
func (c *Client) next(ctx context.Context) (nodebus.Event, error) {
	for {
		if c.conn != nil {
			ev, err := c.read(ctx)
			if err == nil || ctx.Err() != nil {
				return ev, err
			}
			c.drop()
			c.opts.Logger.Info("connection to the server broke", "error", err)
			if c.opts.Retry < 0 {
				return nodebus.Event{}, err
			}
		}
		if err := c.reconnect(ctx); err != nil {
			return nodebus.Event{}, err
		}
	}
}

// reconnect tries until it succeeds, ctx ends or the server says no.
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
		}
		err := c.connect(ctx)
		var refused *RefusedError
		if err == nil || ctx.Err() != nil || errors.As(err, &refused) {
			return err
		}
		c.opts.Logger.Info("no connection to the server", "error", err)
		wait = min(2*wait, 32*c.opts.Retry)
	}
}

// RefusedError is a handshake that the server answered with an error status.
type RefusedError struct {
	Status int
	Err    error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("client: the server refuses the connection: status %d: %v", e.Status, e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

// connect makes the connection, resuming where the last one ended.
func (c *Client) connect(ctx context.Context) error {
	u := *c.url
	q := u.Query()
	if id := c.ID(); id != "" {
		q.Set("clientId", id)
	}
	q.Set("since", strconv.FormatUint(c.last, 10)) // 0 asks for ids; servers without them ignore it
	for _, w := range c.opts.Watch {
		q.Add("watch", w)
	}
	u.RawQuery = q.Encode()
	conn, res, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{HTTPClient: c.opts.HTTPClient, HTTPHeader: c.opts.Header})
	if err != nil {
		if res != nil && res.StatusCode != http.StatusSwitchingProtocols && res.StatusCode < 500 {
			return &RefusedError{Status: res.StatusCode, Err: err}
		}
		return fmt.Errorf("client: %w", err)
	}
	conn.SetReadLimit(c.opts.ReadLimit)
	c.conn = conn
	return nil
}

// read waits for an event that can be read. ctx's end breaks the connection.
func (c *Client) read(ctx context.Context) (nodebus.Event, error) {
	for {
		typ, data, err := c.conn.Read(ctx)
		if err != nil {
			return nodebus.Event{}, fmt.Errorf("client: %w", err)
		}
		ev, err := c.decode(nodebus.Frame{Binary: typ == websocket.MessageBinary, Data: data})
		if err != nil {
			c.opts.Logger.Warn("message skipped", "error", err)
			continue
		}
		if ev.ID > 0 {
			c.last = ev.ID
		}
		if s, ok := ev.Payload.(nodebus.Status); ok && s.SID != "" {
			c.mu.Lock()
			c.id = s.SID
			c.mu.Unlock()
		}
		return ev, nil
	}
}

func (c *Client) drop() {
	_ = c.conn.CloseNow()
	c.conn = nil
}
