package client

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
)

// Options are the options of [Dial]. A nil *Options, and each zero field, means the
// default.
type Options struct {
	// ID is the client's id. Authorize of the server may replace it; read [Client.ID].
	// Default: the server chooses an id.
	ID string
	// Since is the cursor of the last event that an earlier client handled, see
	// [Client.Cursor]. The server then sends the events after it, or a [nodebus.Gap] if
	// some are no longer kept. Default: events from now on, and all kept events of the
	// client's running prompts.
	Since nodebus.Cursor
	// Watch lists ids of prompts of other clients that this client also follows, at most
	// 256: the client names them in the query of each handshake, and servers accept no
	// more there. The server leaves out without a word what it does not allow; ask with
	// [Client.Watch] to learn it. Default: none.
	Watch []string
	// Header is sent with each handshake and each request. Default: no further headers.
	Header http.Header
	// HTTPClient sends each handshake and each request. Its Timeout limits only these.
	// Default: [http.DefaultClient].
	HTTPClient *http.Client
	// BaseURL is the URL below which the routes of the server lie, for example
	// "https://example.com/comfy/". [Client.Submit] and the other methods that make HTTP
	// requests use it. Its query is part of each request. Default: the address given to
	// [Dial], without the last element of its path, as ComfyUI and package comfy serve
	// both: for ws://127.0.0.1:8188/ws, the routes are below http://127.0.0.1:8188/.
	BaseURL string
	// Retry is the time to wait before connecting again after the connection broke, or
	// after the server has closed it, for example because the client was too slow. It
	// doubles with each failed attempt, up to 32 times Retry. Default: 300 ms. With a
	// negative value, a broken connection ends Events with an error; the next Events
	// connects once.
	Retry time.Duration
	// ReadLimit is the maximum size of a message from the server, in bytes. A larger
	// message breaks the connection. Default: 256 MiB.
	ReadLimit int64
	// Logger receives messages that cannot be decoded, broken connections and
	// panics of listeners. Default: nothing is logged.
	Logger *slog.Logger
}

// Client is a connection to a server. Only one goroutine at a time may run Events,
// Follow or Run. All other methods, including Close, are safe for concurrent use.
type Client struct {
	url  *url.URL
	opts Options
	life context.Context // ends at Close
	end  context.CancelFunc

	reading chan struct{}   // capacity 1: who puts a value in may read and use pending
	pending []nodebus.Event // received while Watch waited; Events yields them first
	asking  chan struct{}   // capacity 1: who puts a value in may make a request

	mu        sync.Mutex
	id        string
	listeners map[string][]*listener
	types     map[string]func(data []byte) (nodebus.Payload, error)
	conn      *websocket.Conn // nil while the connection is broken, and after Close
	last      nodebus.Cursor  // of the last received event; zero if the server sends no cursors
	handled   nodebus.Cursor  // of the last event that was given to listeners and to Events
	watched   []string        // prompts that a connection names
	request   *request        // waits for its answer; nil: none
	rejected  []rejected      // of own prompts, the oldest first
}

// Dial connects to a server's WebSocket. The scheme of address is ws, wss, http or
// https. Dial waits for the first message, which contains the client's id. ctx limits
// only Dial: the connection stays when ctx ends later. If the server refuses the
// handshake, the error is a [*RefusedError].
func Dial(ctx context.Context, address string, opts *Options) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	c := &Client{
		url: u, listeners: map[string][]*listener{}, types: map[string]func([]byte) (nodebus.Payload, error){},
		reading: make(chan struct{}, 1), asking: make(chan struct{}, 1),
	}
	if opts != nil {
		c.opts = *opts
	}
	c.last, c.handled, c.watched = c.opts.Since, c.opts.Since, slices.Clone(c.opts.Watch)
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
		return nil, fmt.Errorf("client: waiting for the server's first message: %w", err)
	}
	c.dispatch(first)
	return c, nil
}

// ID returns the client's id. Events of a prompt come to this client if the prompt's
// ClientID is this id.
func (c *Client) ID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

// Cursor returns the place after the events that were given to listeners and to the loop
// over Events; the event that the loop is handling counts. A program that stores it can
// continue there with Options.Since after a restart. It is zero if the server sends no
// cursors.
func (c *Client) Cursor() nodebus.Cursor {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handled
}

// Events yields the events from the server until ctx ends or the loop breaks; after
// that, Events can be called again and continues after the last event. If ctx ends while
// Events waits, the connection breaks, and the next Events connects again. After a broken
// connection, the client receives the events that it missed, each once; a [nodebus.Gap]
// comes first if the server no longer has some of them. The listeners for an event run
// before the event is yielded. An event of an unknown type is a [nodebus.Custom]; built-in types and types
// with a listener (see [On]) are known. If an error ends Events, it is the last value:
// the server refuses the client, the connection broke and reconnecting is disabled, or
// Close was called ([nodebus.ErrClosed]).
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

// Follow yields the events of one prompt, including the event that closes it, and
// every [nodebus.Gap]. A Gap means that events are missing. If the closing event is
// among them, Follow does not end by itself: ask the server for the state of the
// prompt.
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

// Run calls listeners until ctx ends or Events ends with an error. It returns ctx's
// cause or this error.
func (c *Client) Run(ctx context.Context) error {
	for _, err := range c.Events(ctx) {
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// Close closes the connection permanently. Events, Follow and Run then end. Close returns
// an error if the connection did not end in an orderly way, for example because it was
// broken; the client is closed then, too. A second Close does nothing and returns nil.
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
