package comfy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/internal/query"
	"github.com/nodebus/nodebus/ws"
)

// socket answers GET /ws. The query can have three parameters:
//
//   - clientId is the id of the client. Without it, the server makes an id. Several
//     sockets may have the same id; each receives everything.
//   - since is the cursor of the last event that the client has (see
//     [nodebus.ParseCursor]). The client receives the events that it missed, and all its
//     frames contain a cursor. With an empty since it receives cursors, and the kept
//     events of its running prompts.
//   - watch is the id of a prompt of another client. The client also receives the
//     events of that prompt. The parameter may be repeated, at most 256 times.
//
// With Authorize, the client watches only what the grant allows, and the server ignores
// clientId if the grant names a client. A client may also send nodebus.watch and
// nodebus.unwatch, see [nodebus.Session.Receive].
func (s *Server) socket(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		s.notices.warn(s.opts.Logger, r.URL.Path, "the request has no header Upgrade: if a WebSocket was wanted, a proxy has dropped it")
		web.Fail(w, http.StatusBadRequest, "this address accepts only WebSocket connections")
		return
	}
	if s.clients.isClosed() {
		web.Fail(w, http.StatusServiceUnavailable, errServerClosed.Error())
		return
	}
	id, codec, opts, err := s.admit(r)
	if err != nil {
		web.Fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if status, err := s.clients.crowd.Enter(id); err != nil {
		web.Fail(w, status, err.Error())
		return
	}
	// Join before the answer to the handshake, so that a client that submits a
	// prompt immediately after it has connected misses no event.
	c := &conn{id: id, codec: codec, session: s.hub.Join(id, opts), gone: make(chan struct{})}
	c.sock, err = ws.Accept(w, r, &ws.Options{Origins: s.opts.Origins, Hosts: s.opts.Hosts, ReadTimeout: s.opts.ReadTimeout})
	if err != nil {
		s.clients.crowd.Leave(id)
		c.session.Close(err)
		return
	}
	if !s.clients.enter(c) {
		s.clients.crowd.Leave(id)
		c.session.Close(nodebus.ErrClosed)
		s.serve(c)
		return
	}
	go func() { // the handler returns, because net/http keeps 24 KiB for a running handler; Close waits
		defer s.clients.exit(c)
		s.serve(c)
	}()
}

// previewTimes are the times, after it has connected, at which a client that reconnects during
// a run is sent the last previews. The official front end sends its feature flags, which select
// the form of previews, only after it has connected. It also drops previews that arrive before
// it has loaded its workflow, and does not tell when it has: over a slow line, or on a busy
// machine, the first time can be too early.
var previewTimes = [...]time.Duration{2 * time.Second, 8 * time.Second, 32 * time.Second, 128 * time.Second}

// serve reads from and writes to a connection until the connection ends.
func (s *Server) serve(c *conn) {
	for _, after := range previewTimes {
		wait := time.AfterFunc(after, func() {
			c.session.Release(nodebus.Preview{}.EventType(), nodebus.Progress{}.EventType()) // front ends draw a preview only with progress
		})
		defer wait.Stop()
	}
	_ = c.sock.Serve(context.Background(), c.session, func(_ *nodebus.Session, data []byte, binary bool) {
		if !binary {
			s.receive(c, data)
		}
	})
}

// admit reads the query and the grant. It returns the id of the client, its codec
// and the options of its session. If the query is not valid, err is for the client.
func (s *Server) admit(r *http.Request) (id string, codec nodebus.JSONCodec, opts *nodebus.SessionOptions, err error) {
	q, grant := r.URL.Query(), web.Granted(r)
	if s.opts.Authorize == nil {
		grant.May = func(string) bool { return true }
	}
	id, opts, err = query.Admit(q, &grant, q.Get("since"))
	if err != nil {
		return "", codec, nil, err
	}
	opts.Confirms = true
	if s.opts.LegacyBroadcasts {
		opts.Include = isBroadcast
	}
	if codec.Envelope = q.Has("since"); !codec.Envelope { // a client with cursors must receive all events once and in order
		opts.Current = true
		opts.Hold = []string{nodebus.Preview{}.EventType()}
		codec.BarePreviews = true // until the client says that it can read previews with metadata
	}
	opts.Codec = codec
	opts.Hello = []nodebus.Payload{nodebus.Status{SID: id, QueueRemaining: s.engine.Remaining(), Paused: s.engine.Paused()}}
	return id, codec, opts, nil
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
	if err = c.session.Send(nodebus.Custom{Type: "feature_flags", Data: s.info.Flags()}); err != nil {
		s.opts.Logger.Warn("feature flags not sent", "error", err)
	}
}
