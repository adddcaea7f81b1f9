package ws

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/origin"
	"github.com/nodebus/nodebus/internal/query"
)

// Options are the options of a [Handler] and of [Accept]. A nil *Options, and each
// zero field, means the default.
type Options struct {
	// Authorize returns the rights of a request, or an error to refuse it. The
	// client receives the text of the error with status 403, or with status 401 if the
	// error wraps [nodebus.ErrUnauthenticated]. r contains cookies, headers and the
	// query; a browser cannot set headers for a WebSocket. The client follows the
	// prompts in Grant.Watch, and the prompts that it names with ?watch= and the grant
	// allows. Default: a client may use any id that it knows, and may watch every
	// prompt that it names.
	Authorize func(r *http.Request) (nodebus.Grant, error)
	// Hello returns the first messages for a client. Default: a Status with the
	// client's id and the result of Remaining.
	Hello func(client string) []nodebus.Payload
	// Remaining returns the number of queued or running prompts, like
	// Engine.Remaining. Default: 0 is reported.
	Remaining func() int
	// Receive handles each message from a client, except nodebus.watch and
	// nodebus.unwatch, which are for the hub. One goroutine per client calls
	// it. While it runs, no further message of this client is read. If it panics,
	// only this connection ends. Default: messages are ignored.
	Receive func(s *nodebus.Session, data []byte, binary bool)
	// Origins lists hosts or origins of pages on other hosts that may connect.
	// Hosts lists the host names of the server. * stands for any part of a name.
	// Default: only pages of the same host may connect. Any host name is accepted,
	// except that a request to a loopback address must name localhost or an IP
	// address.
	Origins, Hosts []string
	// PingInterval is the time between two pings to a client. If a client sends
	// nothing for two and a half intervals, not even a pong, the server asks its
	// system whether the client's system has acknowledged the pings. If not, the
	// client is lost and is disconnected. If it has, the client is only silent: some
	// programs answer no pings while they are busy. Where the system cannot say
	// (other systems than Linux, connections that are not TCP), a silent client is
	// disconnected. Default: 25 s. A negative value disables pings; then lost clients
	// may stay unnoticed.
	PingInterval time.Duration
	// MaxSilence is how long a silent client may stay; it is checked twice in each ping
	// interval. It must not be too long: a
	// proxy acknowledges bytes although the client behind it is lost. Default: 15
	// minutes.
	MaxSilence time.Duration
	// StrictPings disconnects every client that sends nothing for two and a half
	// ping intervals. Default: false. With true, programs that do not read for a
	// minute lose their connection.
	StrictPings bool
	// WriteTimeout is how long a client may take no byte although bytes wait for it.
	// It is then disconnected with an error that wraps [nodebus.ErrSlow]. A client
	// that takes bytes stays, however slow its line is. Default: 10 s.
	WriteTimeout time.Duration
	// ReadLimit is the maximum size of a message from a client, in bytes. A larger
	// message ends the connection. Default: 4 MiB.
	ReadLimit int64

	sys system
}

// system is what the system says about a connection. Tests replace it.
type system struct {
	queued       func(net.Conn) (n int, ok bool)
	acknowledged func(net.Conn) (unacked bool, since time.Duration, ok bool)
}

func (o *Options) withDefaults() *Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.PingInterval == 0 {
		opts.PingInterval = 25 * time.Second
	}
	if opts.MaxSilence <= 0 {
		opts.MaxSilence = 15 * time.Minute
	}
	if opts.sys.queued == nil {
		opts.sys = system{queued, acknowledged}
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
//   - since is the cursor of the last event that the client received (see
//     [nodebus.ParseCursor]). The client receives all later events in envelopes, see
//     JSONCodec.Envelope. An empty since means envelopes from now on.
//   - watch is the id of a prompt that the client also follows, if Authorize allows it.
//     It may be repeated.
//
// A client may also ask to watch a prompt with a message, see [nodebus.Session.Receive].
//
// A client without since that comes back is sent the prompts again that it has not
// confirmed, see SessionOptions.Confirms. It confirms a prompt with its pong to the ping
// before the outcome, or with a close frame that it sends by itself.
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
	if check(w, r, h.opts) != nil { // before Authorize trusts cookies
		return
	}
	client, opts, ok := h.admit(w, r)
	if !ok {
		return
	}
	// Join before the handshake response: a client that submits a prompt immediately
	// after connecting must not miss events.
	s := h.hub.Join(client, opts)
	conn, err := upgrade(w, r, h.opts)
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
	asked, err := query.Watch(q)
	if err == nil {
		client, err = query.ClientID(q)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return "", nil, false
	}
	grant := nodebus.Grant{Watch: asked, May: anyPrompt}
	if h.opts.Authorize != nil {
		if grant, err = h.opts.Authorize(r); err != nil {
			http.Error(w, err.Error(), refusalStatus(err))
			return "", nil, false
		}
		if !grant.WatchAll {
			grant.Watch = slices.Concat(grant.Watch, slices.DeleteFunc(asked, func(id string) bool { return !grant.Allows(id) }))
		}
	}
	opts = &nodebus.SessionOptions{Watch: grant.Watch, WatchAll: grant.WatchAll, May: grant.May, Confirms: true}
	if q.Has("since") {
		if opts.Since, err = nodebus.ParseCursor(q.Get("since")); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return "", nil, false
		}
		opts.Codec = nodebus.JSONCodec{Envelope: true}
	}
	if client = cmp.Or(grant.Client, client); client == "" {
		client = NewClientID()
	}
	opts.Hello = h.hello(client)
	return client, opts, true
}

func anyPrompt(string) bool { return true }

// refusalStatus returns the status for an error of Authorize.
func refusalStatus(err error) int {
	if errors.Is(err, nodebus.ErrUnauthenticated) {
		return http.StatusUnauthorized
	}
	return http.StatusForbidden
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
