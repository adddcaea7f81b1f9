package ws

import (
	"context"
	"net/http"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/crowd"
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
//     A prompt that Authorize does not allow is left out without a word; to learn that,
//     the client sends nodebus.watch. watch may be repeated, at most 256 times, because
//     the whole list is in one address.
//
// A client may also ask to watch a prompt with a message, see [nodebus.Session.Receive].
// It may follow up to [nodebus.WatchMax] prompts in this way.
//
// A client without since that comes back is sent the prompts again that it has not
// confirmed, see SessionOptions.Confirms. It confirms a prompt with its pong to the ping
// before the outcome, or with a close frame that it sends by itself.
//
// A Handler is safe for concurrent use.
type Handler struct {
	hub   *nodebus.Hub
	opts  *Options
	crowd *crowd.Crowd
}

// New returns a Handler that joins clients to hub. opts may be nil.
func New(hub *nodebus.Hub, opts *Options) *Handler {
	o := opts.withDefaults()
	return &Handler{hub: hub, opts: o, crowd: crowd.New(o.MaxPerClient, o.MaxConnections)}
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
	if status, err := h.crowd.Enter(client); err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	// Join before the handshake response: a client that submits a prompt immediately
	// after connecting must not miss events.
	s := h.hub.Join(client, opts)
	conn, err := upgrade(w, r, h.opts)
	if err != nil {
		h.crowd.Leave(client)
		s.Close(err)
		return
	}
	receive := h.opts.Receive
	go func() {
		defer h.crowd.Leave(client)
		_ = conn.Serve(context.Background(), s, receive) // Close has sent the reason to the client, if possible
	}()
}

// admit checks the request and returns the client's id and session options. If it
// returns false, it has sent an error response.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request) (client string, opts *nodebus.SessionOptions, ok bool) {
	grant, status, err := query.Authorize(r, h.opts.Authorize)
	if err != nil {
		http.Error(w, err.Error(), status)
		return "", nil, false
	}
	q := r.URL.Query()
	client, opts, err = query.Admit(q, &grant, q.Get("since"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return "", nil, false
	}
	opts.Confirms = true
	if q.Has("since") {
		opts.Codec = nodebus.JSONCodec{Envelope: true}
	}
	opts.Hello = query.Greeting(client, h.opts.Hello, h.opts.Remaining)
	return client, opts, true
}

// NewClientID returns a new client id: a random version 4 UUID as 32 hexadecimal
// digits. It is safe for concurrent use.
func NewClientID() string { return query.NewID() }
