package comfy

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/ws"
)

// socket answers GET /ws. The query can have three parameters:
//
//   - clientId is the id of the client. Without it, the server makes an id.
//   - since is the ID of the last event that the client saw. The client receives
//     the events that it missed, and its text frames contain "id". With since=0 it
//     receives the ids, and the kept events of its running prompts.
//   - watch is the id of a prompt of another client. The client also receives the
//     events of that prompt. The parameter may be repeated.
//
// With Authorize, the server ignores watch, and it ignores clientId if the grant
// names a client.
func (s *Server) socket(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		fail(w, http.StatusBadRequest, "this address accepts only WebSocket connections")
		return
	}
	if s.clients.isClosed() {
		fail(w, http.StatusServiceUnavailable, "the server is closed")
		return
	}
	id, codec, opts, wrong := s.admit(r)
	if wrong != "" {
		fail(w, http.StatusBadRequest, wrong)
		return
	}
	// Join before the answer to the handshake, so that a client that submits a
	// prompt immediately after it has connected misses no event.
	c := &conn{id: id, codec: codec, session: s.hub.Join(id, opts)}
	sock, err := ws.Accept(w, r, &ws.Options{Origins: s.opts.Origins, Hosts: s.opts.Hosts})
	if err != nil {
		c.session.Close(err)
		return
	}
	c.sock = sock
	older, ok := s.clients.enter(c, s.opts.KeepOlder)
	if !ok {
		c.session.Close(nodebus.ErrClosed)
		s.serve(c)
		return
	}
	for _, o := range older {
		o.session.Close(nil)
	}
	go func() { // the handler returns, because net/http keeps 24 KiB for a running handler; Close waits
		defer s.clients.serving.Done()
		s.serve(c)
	}()
}

// previewsWait is the delay of the last previews for a client that reconnects
// during a run. The official front end sends its feature flags, which select the
// form of previews, only after it has connected. It also drops previews that
// arrive before it has loaded its workflow.
const previewsWait = 2 * time.Second

// serve reads from and writes to a connection until the connection ends. It then
// removes the connection.
func (s *Server) serve(c *conn) {
	wait := time.AfterFunc(previewsWait, func() {
		c.session.Release(nodebus.Preview{}.EventType(), nodebus.Progress{}.EventType()) // front ends draw a preview only with progress
	})
	defer wait.Stop()
	_ = c.sock.Serve(context.Background(), c.session, func(_ *nodebus.Session, data []byte, binary bool) {
		if !binary {
			s.receive(c, data)
		}
	})
	s.leave(c, time.Now())
}

// clientIDMax is the maximum length of a client id, in bytes.
const clientIDMax = 512

// admit reads the query and the grant. It returns the id of the client, its codec
// and the options of its session. If the query is not valid, wrong is the error
// text for the client.
func (s *Server) admit(r *http.Request) (id string, codec nodebus.JSONCodec, opts *nodebus.SessionOptions, wrong string) {
	q, grant := r.URL.Query(), granted(r)
	codec.BarePreviews = true // until the client says that it can read previews with metadata
	if s.opts.Authorize == nil {
		grant.Watch = q["watch"]
	}
	opts = &nodebus.SessionOptions{Watch: slices.Clip(grant.Watch), WatchAll: grant.WatchAll} // clip: append must not write into the list of the grant
	if s.opts.LegacyBroadcasts {
		opts.Include = isBroadcast
	}
	if q.Has("since") {
		since, err := nodebus.ParseCursor(q.Get("since"))
		if err != nil {
			return "", codec, nil, err.Error()
		}
		opts.Since, codec.Envelope = since, true
	}
	if id = grant.Client; id == "" {
		id = strings.ToValidUTF8(q.Get("clientId"), "\ufffd") // as the client reads it back from JSON
	}
	switch {
	case len(id) > clientIDMax:
		return "", codec, nil, "clientId must have at most " + strconv.Itoa(clientIDMax) + " bytes"
	case id == "":
		id = ws.NewClientID()
	}
	if opts.Since == (nodebus.Cursor{}) {
		opts.Watch = append(opts.Watch, s.missed(r.Context(), id)...)
		if !codec.Envelope { // a client with ids must receive all events in order
			opts.Hold = []string{nodebus.Preview{}.EventType()}
		}
	}
	opts.Codec, opts.Hello = codec, s.hello(id)
	return id, codec, opts, ""
}

// hello returns the first events of a connection: the id of the client, the number
// of prompts that wait or run, and the current node of each running prompt of the
// client.
func (s *Server) hello(id string) []nodebus.Payload {
	hello := []nodebus.Payload{nodebus.Status{SID: id, QueueRemaining: s.engine.Remaining()}}
	for _, p := range s.engine.Running() {
		if p.ClientID != id {
			continue
		}
		if at, ok := s.engine.Current(p.ID); ok {
			shown := cmp.Or(at.DisplayID, at.UniqueID)
			hello = append(hello, nodebus.Executing{UniqueID: shown, DisplayID: shown, PromptID: p.ID})
		}
	}
	return hello
}

// receive handles a text message of a client. Only the first JSON object that the
// client sends has a meaning, and only if it contains feature flags. The server
// ignores all other messages and keeps the connection open.
func (s *Server) receive(c *conn, data []byte) {
	if c.spoken {
		return
	}
	var m struct {
		Type json.RawMessage            `json:"type"`
		Data map[string]json.RawMessage `json:"data"`
	}
	err := json.Unmarshal(data, &m)
	var misfit *json.UnmarshalTypeError // a member has another type; the message may still be an object
	if err != nil && !errors.As(err, &misfit) || !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return
	}
	c.spoken = true
	if string(m.Type) != `"feature_flags"` {
		return
	}
	c.codec.BarePreviews = string(m.Data["supports_preview_metadata"]) != "true"
	c.session.SetCodec(c.codec)
	if !s.clients.has(c) {
		return
	}
	// A connection that replaces c at this moment may receive the flags too. Clients
	// accept the flags of the server at any time.
	if err = s.hub.SendSync(nodebus.Custom{Type: "feature_flags", Data: s.flags()}, c.id); err != nil {
		s.opts.Logger.Warn("feature flags not sent", "error", err)
	}
}
