package sse

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/crowd"
	"github.com/nodebus/nodebus/internal/intake"
	"github.com/nodebus/nodebus/internal/origin"
	"github.com/nodebus/nodebus/internal/query"
)

// Options are the options of a [Handler]. A nil *Options, and each zero field, means
// the default.
type Options struct {
	// Authorize returns the rights of a request, or an error to refuse it. The
	// client receives the text of the error with status 403, or with status 401 if the
	// error wraps [nodebus.ErrUnauthenticated]. After both, an EventSource does not
	// reconnect. r contains cookies, headers and the query; an EventSource cannot set
	// headers. The client follows the prompts in Grant.Watch, and the prompts that it
	// names with ?watch= and the grant allows; the others are left out without a word.
	// Default: a client may use any id that it knows, and may watch every prompt that it
	// names.
	Authorize func(r *http.Request) (nodebus.Grant, error)
	// Hello returns the first messages for a client. Default: a Status with the
	// client's id and the result of Remaining.
	Hello func(client string) []nodebus.Payload
	// Remaining returns the number of queued or running prompts, like
	// Engine.Remaining. Default: 0 is reported.
	Remaining func() int
	// Origins lists hosts or origins of pages on other hosts that may connect, with
	// their cookies. Hosts lists the host names of the server. * stands for any part of
	// a name.
	// Default: only pages of the same host may connect. At a public address, every host
	// name is accepted. At any other address, such as a loopback or a private address, a
	// request must name an IP address, localhost, or the machine; this stops DNS rebinding.
	// A list of Hosts replaces these names. "null" and "file://" in Origins allow pages
	// without a host; no pattern matches them. Every page can put content into a frame
	// whose origin is null, so "null" lets every page act for the user who opens it.
	Origins, Hosts []string
	// PingInterval is how long the stream may be silent. Then the server sends a
	// comment, so that proxies do not end the connection and lost clients are noticed.
	// Default: 25 s. A negative value disables comments; then lost clients may stay
	// unnoticed.
	PingInterval time.Duration
	// WriteTimeout is how long a client may take no byte although bytes wait for it.
	// It is then disconnected with an error that wraps [nodebus.ErrSlow]. With TLS or
	// HTTP/2, a client must take 16 KiB within this time, or up to a quarter later. The
	// WriteTimeout and the ReadTimeout of the http.Server have no effect on the stream.
	// Default: 10 s.
	WriteTimeout time.Duration
	// Retry is how long an EventSource waits before it reconnects, in whole
	// milliseconds. Default: 2 s.
	Retry time.Duration
	// MaxPerClient is the maximum number of streams with the same client id at the same
	// time. The answer to one more has status 429. A front end opens one for each tab. All
	// users to whom Authorize gives the same id share the bound. Default: 1000.
	MaxPerClient int
	// MaxConnections is the maximum number of streams of all clients at the same time. The
	// answer to one more has status 503. Default: 10 000.
	MaxConnections int
	// PreviewAge is how long the server keeps the image of a preview for clients that
	// ask for it. Default: 1 minute.
	PreviewAge time.Duration
	// PreviewBytes is the maximum size of all kept images, in bytes. If it is exceeded, the oldest
	// images are removed; a client that asks for them receives status 404. Default:
	// 64 MiB.
	PreviewBytes int
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
	if opts.Retry <= 0 {
		opts.Retry = 2 * time.Second
	}
	if opts.PreviewAge <= 0 {
		opts.PreviewAge = time.Minute
	}
	if opts.PreviewBytes <= 0 {
		opts.PreviewBytes = 64 << 20
	}
	return &opts
}

// Handler joins each client that connects to a hub. It reads these parameters of the
// query:
//
//   - clientId is the client's id. Without it the client gets a new id of 32
//     hexadecimal digits.
//   - since is the cursor of the last event that the client received (see
//     [nodebus.ParseCursor]). The client receives all later events. The header
//     Last-Event-ID has the same meaning and wins, because an EventSource sends it when
//     it reconnects to the same address. Without both, the client receives the kept
//     events of its running prompts, and new events.
//   - watch is the id of a prompt that the client also follows, if Authorize allows it.
//     A prompt that Authorize does not allow is left out without a word. watch may be
//     repeated, at most 256 times, because the whole list is in one address.
//
// Each event has the cursor as its id and the JSON of the event in an envelope as its
// data, see JSONCodec.Envelope. Events have no event name: an EventSource would pass an
// event with a name only to the listeners of this name, so that a page could not
// receive types that it does not know, and a custom type "error" would look like a
// broken connection. The type is in the data, in the form that a WebSocket of package
// ws has.
//
// Binary events are sent as text. The data of a preview has the address of the image,
// "url", relative to the address of the stream; the Handler serves it for a short time
// without asking Authorize, because only receivers of the event know the address. The
// data of a progress text is {"node_id": …, "text": …}. The data of other binary events
// is {"base64": …}.
//
// With HTTP/1.1 and without TLS, the Handler takes the connection over from the server, if
// the [http.ResponseWriter] can be hijacked: that halves the time for an event.
//
// A Handler is safe for concurrent use. It needs an [http.ResponseWriter] that can flush
// and set a deadline, also behind methods Unwrap; otherwise it answers with status 501.
type Handler struct {
	hub      *nodebus.Hub
	opts     *Options
	policy   *origin.Policy
	previews *previews
	crowd    *crowd.Crowd
}

// New returns a Handler that joins clients to hub. opts may be nil.
func New(hub *nodebus.Hub, opts *Options) *Handler {
	o := opts.withDefaults()
	return &Handler{
		hub: hub, opts: o,
		policy:   &origin.Policy{Origins: o.Origins, Hosts: o.Hosts},
		previews: newPreviews(o.PreviewAge, o.PreviewBytes),
		crowd:    crowd.New(o.MaxPerClient, o.MaxConnections),
	}
}

// ServeHTTP returns when the client goes or the session ends. [nodebus.Hub.Close] ends
// all sessions; call it before Shutdown of the http.Server, which waits for all streams.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	r, unread := intake.Open(w, r, bodyLimits)
	notAllowed := h.policy.Check(r)
	if notAllowed == nil {
		allowOrigin(w, r)
	}
	if q.Has("preview") {
		h.previews.serve(w, r, q)
		return
	}
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "a stream of events is read with GET", http.StatusMethodNotAllowed)
		return
	}
	if notAllowed != nil { // before Authorize trusts cookies
		http.Error(w, notAllowed.Error(), http.StatusForbidden)
		return
	}
	if unread != nil {
		refuse(w, unread)
		return
	}
	client, opts, ok := h.admit(w, r, q)
	if !ok {
		return
	}
	if status, err := h.crowd.Enter(client); err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	defer h.crowd.Leave(client)
	c, err := newConn(w, r, h)
	if err != nil {
		refuse(w, err)
		return
	}
	// Join before the response begins: a client that submits a prompt immediately after
	// its EventSource is open must not miss events.
	s := h.hub.Join(client, opts)
	setHeaders(w.Header())
	if d := takeOver(c, r); d != nil {
		d.begin(s.Close, w.Header())
		defer d.finish()
		_ = s.Serve(context.WithoutCancel(r.Context()), d) // its ReadLoop notices that the client is gone
		return
	}
	_ = c.serve(r, s, c) // Close has told the client the reason, if possible
}

// ServePreview answers with the image of a preview that a stream of this Handler has named,
// as ServeHTTP does for a request with the parameter preview. It never opens a stream: a
// request for anything else is answered with status 404. It is for a server that uses
// [Handler.Serve] and decides itself who may open a stream. Like ServeHTTP, it asks nobody
// whether the request may see the image.
func (h *Handler) ServePreview(w http.ResponseWriter, r *http.Request) {
	if h.policy.Check(r) == nil {
		allowOrigin(w, r)
	}
	h.previews.serve(w, r, r.URL.Query())
}

// Serve answers r with a stream of a session that the caller has joined. It is for a
// server that chooses the events itself, such as package comfy. Serve does not look at the
// query, checks no origin, and does not call Authorize.
//
// The session writes to the transport that wrap returns. That transport may leave out,
// change and add frames; it calls the Write and the Close of the transport that wrap
// receives. A nil wrap means that transport itself. The codec of the session must be a JSONCodec with an Envelope. The id of an
// event is the cursor of its frame; a frame without an epoch has no id.
//
// Serve returns when the session has ended, with the same error as
// [nodebus.Session.Serve]. If w cannot flush or set a deadline, Serve answers with status
// 501 and ends the session. Images of previews are served by ServePreview: the server must
// pass it the requests to the address of the stream that have a parameter preview.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, s *nodebus.Session, wrap func(nodebus.Transport) nodebus.Transport) error {
	c, err := newConn(w, r, h)
	if err != nil {
		refuse(w, err)
		s.Close(err)
		return err
	}
	t := nodebus.Transport(c)
	if wrap != nil {
		wrapped := false
		defer func() {
			if !wrapped { // wrap has panicked
				s.Close(nil)
			}
		}()
		t = wrap(c)
		wrapped = true
	}
	setHeaders(w.Header())
	return c.serve(r, s, t)
}

// bodyLimits are the limits of the body of a request for a stream, which means nothing. An
// HTTP/1.1 response begins only after the body.
var bodyLimits = intake.Limits{Bytes: intake.Piece, Wait: time.Minute}

// refuse answers with an error of newConn.
func refuse(w http.ResponseWriter, err error) {
	if errors.As(err, new(unfit)) {
		http.Error(w, err.Error(), http.StatusNotImplemented)
		return
	}
	status, text := intake.Refusal(err)
	http.Error(w, text, status)
}

// serve sends the events of a session with net/http. t is c, or a transport around c.
func (c *conn) serve(r *http.Request, s *nodebus.Session, t nodebus.Transport) error {
	c.begin(s.Close)
	defer c.finish()
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	defer cancel(nil)
	defer context.AfterFunc(r.Context(), func() { cancel(c.reason(context.Cause(r.Context()))) })()
	return s.Serve(ctx, t)
}

// allowOrigin lets the page that sent the request read the response. The origin of the
// page is allowed.
func allowOrigin(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Origin")
	if from := r.Header.Get("Origin"); from != "" {
		w.Header().Set("Access-Control-Allow-Origin", from)
		w.Header().Set("Access-Control-Allow-Credentials", "true")
	}
}

// admit checks the request and returns the client's id and session options. If it
// returns false, it has sent an error response.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request, q url.Values) (client string, opts *nodebus.SessionOptions, ok bool) {
	grant, status, err := query.Authorize(r, h.opts.Authorize)
	if err != nil {
		http.Error(w, err.Error(), status)
		return "", nil, false
	}
	client, opts, err = query.Admit(q, &grant, cmp.Or(r.Header.Get("Last-Event-ID"), q.Get("since")))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return "", nil, false
	}
	opts.Codec = nodebus.JSONCodec{Envelope: true}
	opts.Hello = query.Greeting(client, h.opts.Hello, h.opts.Remaining)
	return client, opts, true
}
