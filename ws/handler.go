package ws

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/origin"
)

// Options are the options of a [Handler] and of [Accept]. A nil *Options, and each
// zero field, means the default.
type Options struct {
	// Authorize returns the rights of a request, or an error to refuse it. The
	// client receives the text of the error with status 403. r contains cookies,
	// headers and the query; a browser cannot set headers for a WebSocket.
	// Default: a client may use any id that it knows, and may watch every prompt
	// that it names with ?watch=.
	Authorize func(r *http.Request) (nodebus.Grant, error)
	// Hello returns the first messages for a client. Default: a Status with the
	// client's id and the result of Remaining.
	Hello func(client string) []nodebus.Payload
	// Remaining returns the number of queued or running prompts, like
	// Engine.Remaining. Default: 0 is reported.
	Remaining func() int
	// Receive handles each message from a client. One goroutine per client calls
	// it. While it runs, no further message of this client is read. If it panics,
	// only this connection ends. Default: messages are ignored.
	Receive func(s *nodebus.Session, data []byte, binary bool)
	// Origins lists hosts or origins of pages on other hosts that may connect.
	// Hosts lists the host names of the server. * stands for any part of a name.
	// Default: only pages of the same host may connect. Any host name is accepted,
	// except that a request to a loopback address must name localhost or an IP
	// address.
	Origins, Hosts []string
	// PingInterval is the time between two pings to a client. A client that sends
	// nothing for two and a half intervals is disconnected. Default: 25 s. A
	// negative value disables pings; then lost clients may stay unnoticed.
	PingInterval time.Duration
	// WriteTimeout is the maximum time for writing a batch to a client. A slower
	// client is disconnected. Default: 10 s.
	WriteTimeout time.Duration
	// ReadLimit is the maximum size of a message from a client, in bytes. A larger
	// message ends the connection. Default: 4 MiB.
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

// Handler joins each client that connects to a hub. It reads these parameters of the
// query:
//
//   - clientId is the client's id. Without it the client gets a new id of 32
//     hexadecimal digits.
//   - since is the ID of the last event that the client received. The client receives
//     all later events, and its text frames contain "id". since=0 only adds "id".
//   - watch is the id of a prompt that the client also follows. It may be repeated.
//
// A Handler is safe for concurrent use.
type Handler struct {
	hub  *nodebus.Hub
	opts *Options
}

// New returns a Handler that joins clients to hub. opts may be nil.
func New(hub *nodebus.Hub, opts *Options) *Handler {
	return &Handler{hub: hub, opts: opts.withDefaults()}
}

// ServeHTTP returns as soon as the client has joined the hub, because the memory that
// net/http keeps during a handler is larger than the rest of an idle client. The
// session ends when the client goes or the hub is closed; Hub.Close waits for it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	client, opts, ok := h.admit(w, r)
	if !ok {
		return
	}
	// Join before the handshake response: a client that submits a prompt immediately
	// after connecting must not miss events.
	s := h.hub.Join(client, opts)
	conn, err := Accept(w, r, h.opts)
	if err != nil {
		s.Close(err)
		return
	}
	receive := h.opts.Receive
	go func() { _ = conn.Serve(context.Background(), s, receive) }() // Close has sent the reason to the client, if possible
}

// admit checks the request and returns the client's id and session options. If it
// returns false, it has sent an error response.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request) (client string, opts *nodebus.SessionOptions, ok bool) {
	q := r.URL.Query()
	grant := nodebus.Grant{Watch: q["watch"]}
	if h.opts.Authorize != nil {
		if err := h.opts.policy().Check(r); err != nil { // before Authorize trusts cookies
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
		since, err := nodebus.ParseCursor(q.Get("since"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return "", nil, false
		}
		opts.Since, opts.Codec = since, nodebus.JSONCodec{Envelope: true}
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

// NewClientID returns a new client id: a random version 4 UUID as 32 hexadecimal
// digits. It is safe for concurrent use.
func NewClientID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return hex.EncodeToString(b[:])
}
