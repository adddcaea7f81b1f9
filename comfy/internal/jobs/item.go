package jobs

import (
	"encoding/json"
	"maps"
	"net/http"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
)

// extraData returns the extra data of a prompt. It removes the client id if the request may
// not know it.
func (s *Jobs) extraData(r *http.Request, p *nodebus.Prompt) map[string]any {
	extra := p.Extra
	switch {
	case extra == nil:
		extra = map[string]any{}
	case !s.mayKnow(r, p):
		extra = maps.Clone(extra)
		delete(extra, "client_id")
	}
	return extra
}

// mayKnow reports whether the request may see the client id of p. The id is
// secret, because a request that knows the id of a client can act as that client.
func (s *Jobs) mayKnow(r *http.Request, p *nodebus.Prompt) bool {
	g := web.Granted(r)
	return !s.Authorized || g.WatchAll || g.Client == p.ClientID && g.Client != ""
}

// item appends a prompt in the format of lists: number, id, graph, extra data and outputs. It
// appends the graph node by node. It returns false if the answer cannot go on.
func (s *Jobs) item(out *web.Stream, r *http.Request, p *nodebus.Prompt) bool {
	out.Text("[")
	out.Value(p.Priority)
	out.Text(",")
	out.Value(p.ID)
	out.Text(",{")
	first := true
	for i := range p.Nodes {
		node := s.encodeNode(p.ID, p.Nodes, i)
		if node == nil {
			continue
		}
		out.Comma(&first)
		if !out.Value(node) {
			return false
		}
	}
	out.Text("},")
	out.Value(s.encodeObject(p.ID, "extra_data", s.extraData(r, p)))
	out.Text(",")
	outputs := p.Outputs
	if outputs == nil {
		outputs = []string{}
	}
	ok := out.Value(outputs)
	out.Text("]")
	return ok
}

// idOf returns the id of a prompt that a command names. A client may have chosen a number as
// the id, which is then its text.
func idOf(raw json.RawMessage) string {
	var id string
	if err := json.Unmarshal(raw, &id); err != nil {
		id = string(raw)
	}
	return id
}
