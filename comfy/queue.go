package comfy

import (
	"maps"
	"net/http"

	"github.com/nodebus/nodebus"
)

// queueList answers GET /queue.
func (s *Server) queueList(w http.ResponseWriter, r *http.Request) {
	running, pending := [][]any{}, [][]any{}
	// Those that wait are listed first: one that begins meanwhile is in both
	// lists, where the other way round it would be in none.
	waiting, err := s.waiting(r)
	if err != nil {
		s.unavailable(w, err)
		return
	}
	runs := map[string]bool{}
	for _, p := range s.engine.Running() {
		runs[p.ID] = true
		running = append(running, s.item(r, p))
	}
	for _, p := range waiting {
		if !runs[p.ID] {
			pending = append(pending, s.item(r, p))
		}
	}
	answer(w, http.StatusOK, object{{"queue_running", running}, {"queue_pending", pending}})
}

func (s *Server) waiting(r *http.Request) (ps []*nodebus.Prompt, err error) {
	for p, err := range s.engine.Queue().List(r.Context()) {
		if err != nil {
			return nil, err
		}
		ps = append(ps, p)
	}
	return ps, nil
}

// unavailable answers when the queue or the store does not.
func (s *Server) unavailable(w http.ResponseWriter, err error) {
	s.opts.Logger.Error("queue or store failed", "error", err)
	fail(w, http.StatusServiceUnavailable, "not available now")
}

// item is a prompt as listings show it: number, id, graph, extra data, outputs.
func (s *Server) item(r *http.Request, p *nodebus.Prompt) []any {
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

// mayKnow reports whether the request may see whose prompt p is: with the id of
// a client goes the right to be it.
func (s *Server) mayKnow(r *http.Request, p *nodebus.Prompt) bool {
	g := granted(r)
	return s.opts.Authorize == nil || g.WatchAll || g.Client == p.ClientID && g.Client != ""
}

// mayChange reports whether the request may end or remove p.
func mayChange(r *http.Request, p *nodebus.Prompt) bool {
	only := granted(r).Client
	return only == "" || only == p.ClientID
}

// change is the body of POST /queue and POST /history.
type change struct {
	Clear  truth    `json:"clear"`
	Delete []string `json:"delete"`
}

// named is the set of ids to delete.
func (c *change) named() map[string]bool {
	named := make(map[string]bool, len(c.Delete))
	for _, id := range c.Delete {
		named[id] = true
	}
	return named
}

// queueChange answers POST /queue, which is about those that wait, and never
// about those that run.
func (s *Server) queueChange(w http.ResponseWriter, r *http.Request) {
	var c change
	if !readJSON(w, r, &c) {
		return
	}
	waiting, err := s.waiting(r)
	if err != nil {
		s.unavailable(w, err)
		return
	}
	named := c.named()
	var ids []string
	gone := map[string]*nodebus.Prompt{}
	for _, p := range waiting {
		if (bool(c.Clear) || named[p.ID]) && mayChange(r, p) {
			ids = append(ids, p.ID)
			gone[p.ID] = p
		}
	}
	if len(ids) > 0 || bool(c.Clear) {
		deleted, err := s.engine.Delete(r.Context(), ids...)
		if s.opts.TellRemoved {
			for _, id := range deleted {
				s.tellRemoved(gone[id])
			}
		}
		if err != nil {
			s.unavailable(w, err)
			return
		}
	}
	done(w)
}

// tellRemoved tells the owner of a prompt that it will not run.
func (s *Server) tellRemoved(p *nodebus.Prompt) {
	for _, said := range []nodebus.Payload{
		nodebus.ExecutionInterrupted{PromptID: p.ID, Executed: []string{}, Timestamp: now()},
		nodebus.Executing{PromptID: p.ID},
	} {
		if err := s.hub.Publish(nodebus.Event{PromptID: p.ID, To: p.ClientID, Payload: said}); err != nil {
			s.opts.Logger.Warn("event not sent", "prompt", p.ID, "error", err)
		}
	}
}
