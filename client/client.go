package client

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

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

	// turn is the right to read. Its holder owns fetching and wait, and is the only one that
	// receives from arrived, connects, and takes in events. Of foreign code, only
	// HTTPClient, Logger and the decoding of payloads run meanwhile; they must not wait
	// for events. Loops and listeners never run meanwhile.
	turn     chan struct{} // capacity 1: who puts a value in has the turn
	arrived  chan arrival  // capacity 1: the result of the goroutine that reads the next frame
	fetching bool          // there is such a goroutine, or its result waits
	wait     time.Duration // before the next connection; less than Options.Retry means Retry

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
	yielding  bool               // Events has been called
	unclosed  map[string]bool    // prompts that were submitted, or whose events have come, but not the closing event
	posting   map[string]bool    // prompts whose request of Submit has no answer yet
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
	for _, id := range c.opts.Watch {
		if err := checkID(id); err != nil {
			return nil, fmt.Errorf("%w (Options.Watch)", err)
		}
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
		loops: map[string][]*loop{}, unclosed: map[string]bool{}, posting: map[string]bool{},
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
