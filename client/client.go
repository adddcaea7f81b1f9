package client

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

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
	// 256: the client names them in the query of each connection, and servers accept no
	// more there. The server leaves out without a word what it does not allow; ask with
	// [Client.Watch] to learn it. Default: none.
	Watch []string
	// SSE reads Server-Sent Events at the address, see package sse, instead of a WebSocket.
	// It is for networks that let no WebSocket through. Default: a WebSocket.
	SSE bool
	// BaseURL is the URL below which the server has its HTTP routes, for example
	// "https://example.com/comfy/". [Client.Submit] and the other methods that make HTTP
	// requests use it. Its query is sent with each request. Default: the address given to
	// [Dial] without the last element of its path, as ComfyUI and package comfy serve both:
	// for ws://127.0.0.1:8188/ws, the routes are below http://127.0.0.1:8188/.
	BaseURL string
	// Header is sent with each connection and each request. Default: no further headers.
	Header http.Header
	// HTTPClient connects and sends all requests. Its Timeout does not limit an open
	// connection. Default: [http.DefaultClient].
	HTTPClient *http.Client
	// Retry is the time to wait before connecting again after the connection broke, or
	// after the server has closed it, for example because the client was too slow. It
	// doubles with each failed attempt, up to 32 times Retry. Default: 300 ms. With a
	// negative value, a broken connection ends all loops with an error; the next loop
	// connects once.
	Retry time.Duration
	// PingInterval is how long the server may be silent while the client reads. Then the
	// client sends a ping, and gives up the connection if no answer comes within this
	// time, at most 30 s, again; so it notices a server that is gone without a word. With
	// SSE, the server sends a comment every 25 s, and the client gives up the connection
	// after three intervals. Default: 25 s. With a negative value, the client may wait
	// for ever for a server that is gone.
	PingInterval time.Duration
	// ReadLimit is the maximum size of a message from the server, in bytes. A larger
	// message breaks the connection. Default: 256 MiB.
	ReadLimit int64
	// Logger receives messages that cannot be decoded, broken connections and
	// panics of listeners. Default: nothing is logged.
	Logger *slog.Logger
}

// Client is a connection to a server. All methods are safe for concurrent use. Any number
// of loops over Events and Follow may run at once, and each has its own queue.
//
// The client reads no events in the background: each loop, and Watch and Unwatch while they
// wait, takes its turn and reads one event for all. Without them at most one more event is
// read, and the server keeps the others.
type Client struct {
	url  *url.URL
	base *url.URL // of the HTTP routes
	opts Options
	life context.Context // ends at Close
	end  context.CancelFunc

	// turn is the right to read. Its holder owns fetching, and is the only one that
	// receives from arrived, connects, and takes in events. No foreign code runs meanwhile.
	turn     chan struct{} // capacity 1: who puts a value in has the turn
	arrived  chan arrival  // capacity 1: the result of the goroutine that reads the next frame
	fetching bool          // there is such a goroutine, or its result waits

	// calling is the right to call listeners, which run one at a time.
	calling chan struct{} // capacity 1: who puts a value in has the right

	listing  listing
	rejected rejections

	mu        sync.Mutex // guards all below; foreign code never runs under it
	id        string
	link      link           // nil while the connection is broken, and after Close
	again     bool           // the client itself has ended the link, to connect again at once
	greeted   bool           // an event has come over the link
	cursors   bool           // the server sends cursors: the first event over a link had one
	last      nodebus.Cursor // of the last event taken in; zero if no server has sent cursors
	seq       uint64         // of the last event taken in
	listeners map[string][]*listener
	types     map[string]func(data []byte) (nodebus.Payload, error)
	loops     map[string][]*loop // by the prompt that they follow; "" for Events
	uncalled  queue              // events that listeners have not had
	unread    queue              // events for the next Events; empty while a loop over Events runs
	kept      keptQueues         // events for the first Follow of a prompt
	watched   []string           // prompts that a connection names
	requests  []*request         // wait for their answers, in the order in which they were sent
}

// Dial connects to a server. The scheme of address is ws, wss, http or https. Dial waits
// for the first message, which contains the client's id. ctx limits only Dial: the
// connection stays when ctx ends later. If the server refuses the client, the error is a
// [*RefusedError].
func Dial(ctx context.Context, address string, opts *Options) (*Client, error) {
	c := newClient(opts)
	if err := c.setURLs(address); err != nil {
		return nil, err
	}
	if err := c.greet(ctx); err != nil {
		_ = c.shut(false)
		return nil, err
	}
	return c, nil
}

// newClient returns a client without a connection.
func newClient(opts *Options) *Client {
	c := &Client{
		turn: make(chan struct{}, 1), arrived: make(chan arrival, 1), calling: make(chan struct{}, 1),
		listing:   listing{turn: make(chan struct{}, 1)},
		listeners: map[string][]*listener{}, types: map[string]func([]byte) (nodebus.Payload, error){},
		loops: map[string][]*loop{},
	}
	if opts != nil {
		c.opts = *opts
	}
	c.id, c.last, c.watched = c.opts.ID, c.opts.Since, slices.Clone(c.opts.Watch)
	for _, id := range c.watched {
		c.kept.begin(id)
	}
	if c.opts.Retry == 0 {
		c.opts.Retry = 300 * time.Millisecond
	}
	if c.opts.PingInterval == 0 {
		c.opts.PingInterval = 25 * time.Second
	}
	if c.opts.ReadLimit == 0 {
		c.opts.ReadLimit = 256 << 20
	}
	if c.opts.Logger == nil {
		c.opts.Logger = slog.New(slog.DiscardHandler)
	}
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

// ID returns the client's id. Events of a prompt come to this client if the prompt's
// ClientID is this id.
func (c *Client) ID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

// Cursor returns the place after the events that were given to listeners and to all loops
// that run; the event that a loop is handling counts. A program that stores it can
// continue there with Options.Since after a restart. It is zero if the server sends no
// cursors.
func (c *Client) Cursor() nodebus.Cursor {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, seq := c.last, c.seq+1
	look := func(q *queue) {
		if len(q.items) > 0 && q.items[0].seq < seq {
			at, seq = q.items[0].before, q.items[0].seq
		}
	}
	look(&c.uncalled)
	look(&c.unread)
	for _, ls := range c.loops {
		for _, l := range ls {
			look(&l.queue)
		}
	}
	return at
}

// Close closes the connection permanently. All loops then end. Close returns
// an error if the connection did not end in an orderly way, for example because it was
// broken; the client is closed then, too. A second Close does nothing and returns nil.
func (c *Client) Close() error { return c.shut(true) }

func (c *Client) shut(orderly bool) error {
	c.end()
	c.mu.Lock()
	l := c.link
	c.link = nil
	c.mu.Unlock()
	if l == nil {
		return nil
	}
	return l.close(orderly)
}
