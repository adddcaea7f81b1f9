package jobs

import (
	"encoding/json"
	"maps"
	"net/http"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
)

// item returns a prompt in the format of lists: number, id, graph, extra data and
// outputs. It removes the client id if the request may not know it.
func (s *Jobs) item(r *http.Request, p *nodebus.Prompt) []any {
	extra := p.Extra
	switch {
	case extra == nil:
		extra = map[string]any{}
	case !s.mayKnow(r, p):
		extra = maps.Clone(extra)
		delete(extra, "client_id")
	}
	outputs := p.Outputs
	if outputs == nil {
		outputs = []string{}
	}
	return []any{p.Priority, p.ID, p.Nodes, extra, outputs}
}

// mayKnow reports whether the request may see the client id of p. The id is
// secret, because a request that knows the id of a client can act as that client.
func (s *Jobs) mayKnow(r *http.Request, p *nodebus.Prompt) bool {
	g := web.Granted(r)
	return !s.Authorized || g.WatchAll || g.Client == p.ClientID && g.Client != ""
}

// writeItem appends a prompt in the format of lists. It appends the graph node by node.
func writeItem(out *web.Stream, item []any) bool {
	nodes, _ := item[2].(nodebus.Nodes)
	out.Text("[")
	out.Value(item[0])
	out.Text(",")
	out.Value(item[1])
	out.Text(",{")
	first := true
	for i := range nodes {
		text, err := json.Marshal(nodes[i : i+1])
		if err != nil {
			out.Stop(err)
			return false
		}
		out.Comma(&first)
		if !out.Value(web.Raw(text[1 : len(text)-1])) {
			return false
		}
	}
	out.Text("},")
	out.Value(item[3])
	out.Text(",")
	ok := out.Value(item[4])
	out.Text("]")
	return ok
}
