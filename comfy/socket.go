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

// socket answers GET /ws. In the query, clientId is who the client is: without
// it, it is given an id. With since, the ID of the last event it saw, it is sent
// what it missed, and its text frames carry "id"; since=0 asks for the ids
// alone. With watch, which may come several times, it also follows those
// prompts of others.
func (s *Server) socket(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		fail(w, http.StatusBadRequest, "this is the address of a WebSocket")
		return
	}
	id, codec, opts, wrong := s.admit(r)
	if wrong != "" {
		fail(w, http.StatusBadRequest, wrong)
		return
	}
	// Joined before the handshake is answered: a client that submits a prompt the
	// moment it is connected misses nothing.
	c := &conn{id: id, codec: codec, session: s.hub.Join(id, opts)}
	sock, err := ws.Accept(w, r, &ws.Options{Origins: s.opts.Origins, Hosts: s.opts.Hosts})
	if err != nil {
		c.session.Close(err)
		return
	}
	c.sock = sock
	s.clients.enter(c, s.opts.KeepOlder)
	go s.serve(c) // what net/http keeps for a handler is more than an idle client costs
}

// previewsWait is how long a client that comes back in the middle of a run waits
// for the last previews. The official front end says which form of them it knows
// only after it has connected, and forgets those that come before it has loaded
// its workflow.
const previewsWait = 2 * time.Second

// serve runs a connection to its end.
func (s *Server) serve(c *conn) {
	wait := time.AfterFunc(previewsWait, c.session.ReleasePreviews)
	defer wait.Stop()
	_ = c.sock.Serve(context.Background(), c.session, func(_ *nodebus.Session, data []byte, binary bool) {
		if !binary {
			s.receive(c, data)
		}
	})
	s.leave(c, c.sock.Heard())
}

// clientIDMax bounds the id that a client chooses, in bytes.
const clientIDMax = 512

// admit finds out who the client is and what it is due.
func (s *Server) admit(r *http.Request) (id string, codec nodebus.JSONCodec, opts *nodebus.SessionOptions, wrong string) {
	q, grant := r.URL.Query(), granted(r)
	codec.BarePreviews = true // until it says that it knows the others
	if s.opts.Authorize == nil {
		grant.Watch = q["watch"]
	}
	opts = &nodebus.SessionOptions{Watch: slices.Clip(grant.Watch), WatchAll: grant.WatchAll} // what is appended is this client's alone
	if s.opts.LegacyBroadcasts {
		opts.Overhear = isBroadcast
	}
	if q.Has("since") {
		since, err := strconv.ParseUint(q.Get("since"), 10, 64)
		if err != nil {
			return "", codec, nil, "since is not the id of an event"
		}
		opts.Since, codec.IDs = since, true
	}
	if id = grant.Client; id == "" {
		id = strings.ToValidUTF8(q.Get("clientId"), "\ufffd") // as it will have it, from JSON
	}
	switch {
	case len(id) > clientIDMax:
		return "", codec, nil, "clientId is too long"
	case id == "":
		id = ws.NewClientID()
	}
	if opts.Since == 0 {
		opts.Watch = append(opts.Watch, s.missed(id)...)
		opts.HoldPreviews = !codec.IDs // who has a cursor has everything in order
	}
	opts.Codec, opts.Hello = codec, s.hello(id)
	return id, codec, opts, ""
}

// hello is what a connection begins with: who the client is and how many prompts
// there are, and if one of its own runs, the node that it is at.
func (s *Server) hello(id string) []nodebus.Payload {
	hello := []nodebus.Payload{nodebus.Status{SID: id, QueueRemaining: s.engine.Remaining()}}
	for _, p := range s.engine.Running() {
		if p.ClientID != id {
			continue
		}
		if at, ok := s.engine.Executing(p.ID); ok {
			shown := cmp.Or(at.DisplayID, at.UniqueID)
			hello = append(hello, nodebus.Executing{UniqueID: shown, DisplayID: shown, PromptID: p.ID})
		}
	}
	return hello
}

// receive takes what a client says. Only its first message means something, and
// only if that are feature flags; whatever else it says is no reason to close
// the connection.
func (s *Server) receive(c *conn, data []byte) {
	if c.spoken {
		return
	}
	var m struct {
		Type json.RawMessage            `json:"type"`
		Data map[string]json.RawMessage `json:"data"`
	}
	err := json.Unmarshal(data, &m)
	var misfit *json.UnmarshalTypeError // of a member: it is an object all the same
	if err != nil && !errors.As(err, &misfit) || !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return
	}
	c.spoken = true
	if string(m.Type) != `"feature_flags"` {
		return
	}
	c.codec.BarePreviews = string(m.Data["supports_preview_metadata"]) != "true"
	c.session.SetCodec(c.codec)
	err = s.clients.ifPresent(c, func() error { return s.hub.SendSync(nodebus.FeatureFlags(s.flags()), c.id) })
	if err != nil {
		s.opts.Logger.Warn("feature flags not sent", "error", err)
	}
}
