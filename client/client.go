package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
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

// Client is a connection to a server. One goroutine at a time runs Events, Follow
// or Run; everything else, Close included, may be called by any at any time.
type Client struct {
	url  *url.URL
	opts Options
	life context.Context // ends with Close
	end  context.CancelFunc

	mu        sync.Mutex
	id        string
	listeners map[string][]*listener
	types     map[string]func(data []byte) (nodebus.Payload, error)
	conn      *websocket.Conn // nil while it is broken, and after Close

	last uint64 // ID of the last event seen; 0 if the server gives none
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
	c.life, c.end = context.WithCancel(context.Background())
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	first, err := c.read(ctx, c.conn)
	if err != nil {
		c.drop(c.conn)
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
// the connection broke and is not to be made again, or, as [nodebus.ErrClosed],
// Close was called.
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

// Follow yields the events of one prompt, up to and with the one that closes it,
// and each [nodebus.Gap]. After a Gap the closing event may be among what was
// missed, and then none follows: ask the server what became of the prompt.
func (c *Client) Follow(ctx context.Context, promptID string) iter.Seq2[nodebus.Event, error] {
	return func(yield func(nodebus.Event, error) bool) {
		for ev, err := range c.Events(ctx) {
			if err != nil {
				yield(ev, err)
				return
			}
			if _, gap := ev.Payload.(nodebus.Gap); !gap && ev.PromptID != promptID {
				continue
			}
			if !yield(ev, nil) {
				return
			}
			if e, ok := ev.Payload.(nodebus.Executing); ok && e.UniqueID == "" {
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

// Close ends the connection for good, and with it Events, Follow and Run.
func (c *Client) Close() error {
	c.end()
	c.mu.Lock()
	conn := c.conn
	c.conn = nil
	c.mu.Unlock()
	if conn == nil {
		return nil
	}
	return conn.Close(websocket.StatusNormalClosure, "")
}
