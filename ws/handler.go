package ws

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/query"
)

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
