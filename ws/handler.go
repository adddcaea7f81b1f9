package ws

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/origin"
)

// Grant is what a request is allowed: to be a client, and to watch prompts of
// others.
type Grant struct {
	Client   string   // the client's id; empty: the one it asks for, or a new one
	Watch    []string // prompts it may watch
	WatchAll bool
}

// Options of a [Handler], and of [Accept]. Nil, and each zero field, is the
// default.
type Options struct {
	// Authorize maps a request to what it may be and see, or refuses it with an
	// error, whose text the client is sent with status 403. Cookies, headers and
	// the query (browsers cannot set headers on a WebSocket) are all in r.
	// Default: whoever knows an id may use it, and may watch the prompts it
	// names with ?watch=.
	Authorize func(r *http.Request) (Grant, error)
	// Hello is what a client is told first. Default: a Status with the client's
	// id and what Remaining says.
	Hello func(client string) []nodebus.Payload
	// Remaining is how many prompts are queued or running, as Engine.Remaining.
	Remaining func() int
	// Receive is called with each message of a client. It is called by one
	// goroutine per client; while it runs, that client is not read. If it panics,
	// that connection ends. Default: messages are ignored.
	Receive func(s *nodebus.Session, data []byte, binary bool)
	// Origins are hosts or origins of pages from elsewhere that may connect, and
	// Hosts the names the server goes by; * stands for any part of a name.
	// Default: pages of the same host, and any name that cannot be a trick.
	Origins, Hosts []string
	// PingInterval is how often a client is asked whether it is there; after two
	// and a half without a sign of it, it is not. Default 25 s; negative: never.
	PingInterval time.Duration
	// WriteTimeout is how long a client may take to take a batch. Default 10 s.
	WriteTimeout time.Duration
	// ReadLimit bounds a client's message, in bytes. Default 4 MiB.
	ReadLimit int64
}

func (o *Options) withDefaults() *Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.PingInterval == 0 {
		opts.PingInterval = 25 * time.Second
	}
	if opts.WriteTimeout <= 0 {
		opts.WriteTimeout = 10 * time.Second
	}
	if opts.ReadLimit <= 0 {
		opts.ReadLimit = 4 << 20
	}
	return &opts
}

func (o *Options) policy() *origin.Policy {
	return &origin.Policy{Origins: o.Origins, Hosts: o.Hosts}
}

// Handler joins each client that connects to a hub. In the address, clientId is
// who the client is; without it, it is given an id of 32 hexadecimal digits.
// With since, the ID of the last event it saw, it is sent what it missed, and
// its text frames carry "id"; since=0 asks for the ids alone. With watch, which
// may come several times, it also follows those prompts.
type Handler struct {
	hub  *nodebus.Hub
	opts *Options
}

// New returns a handler that joins clients to hub.
func New(hub *nodebus.Hub, opts *Options) *Handler {
	return &Handler{hub: hub, opts: opts.withDefaults()}
}

// ServeHTTP returns once the client has joined the hub. Its session ends when the
// client goes or the hub is closed, which waits for it: what net/http keeps while
// a handler runs is more than an idle client costs otherwise.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	client, opts, ok := h.admit(w, r)
	if !ok {
		return
	}
	// Joined before the handshake is answered: a client that submits a prompt the
	// moment it is connected misses nothing.
	s := h.hub.Join(client, opts)
	conn, err := Accept(w, r, h.opts)
	if err != nil {
		s.Close(err)
		return
	}
	receive := h.opts.Receive
	go func() { _ = conn.Serve(context.Background(), s, receive) }() // the client knows why it ends, if it can
}

// Serve runs a session over the connection until either ends, and reads what the
// client sends meanwhile. It returns why it ended.
func (c *Conn) Serve(ctx context.Context, s *nodebus.Session, receive func(*nodebus.Session, []byte, bool)) error {
	ended := make(chan error, 1)
	s.Start(ctx, c.Transport(), func(err error) { ended <- err })
	s.Close(c.readAll(s, receive)) // reading ends soon if the session does: the client answers the close frame, or the connection is closed
	err := <-ended
	c.Free()
	return err
}

// readAll returns why there is no more to read. A panic of receive is the end of
// this connection alone.
func (c *Conn) readAll(s *nodebus.Session, receive func(*nodebus.Session, []byte, bool)) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("ws: receiving: %w", &nodebus.PanicError{Value: v})
		}
	}()
	for {
		if receive == nil {
			if err := c.skip(); err != nil {
				return err
			}
			continue
		}
		data, binary, err := c.Read()
		if err != nil {
			return err
		}
		receive(s, data, binary)
	}
}

// admit finds out who the client is and what it wants.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request) (client string, opts *nodebus.SessionOptions, ok bool) {
	q := r.URL.Query()
	grant := Grant{Watch: q["watch"]}
	if h.opts.Authorize != nil {
		if err := h.opts.policy().Check(r); err != nil { // before cookies are believed
			http.Error(w, err.Error(), http.StatusForbidden)
			return "", nil, false
		}
		var err error
		if grant, err = h.opts.Authorize(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return "", nil, false
		}
	}
	opts = &nodebus.SessionOptions{Watch: grant.Watch, WatchAll: grant.WatchAll}
	if q.Has("since") {
		since, err := strconv.ParseUint(q.Get("since"), 10, 64)
		if err != nil {
			http.Error(w, fmt.Sprintf("since is %q, not the id of an event", q.Get("since")), http.StatusBadRequest)
			return "", nil, false
		}
		opts.Since, opts.Codec = since, nodebus.JSONCodec{IDs: true}
	}
	client = grant.Client
	if client == "" {
		client = q.Get("clientId")
	}
	if client == "" {
		client = NewClientID()
	}
	opts.Hello = h.hello(client)
	return client, opts, true
}

func (h *Handler) hello(client string) []nodebus.Payload {
	if h.opts.Hello != nil {
		return h.opts.Hello(client)
	}
	st := nodebus.Status{SID: client}
	if h.opts.Remaining != nil {
		st.QueueRemaining = h.opts.Remaining()
	}
	return []nodebus.Payload{st}
}

// NewClientID is an id for a client that brings none: a random UUID, version 4, in
// 32 hexadecimal digits. It is safe for concurrent use.
func NewClientID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return hex.EncodeToString(b[:])
}
