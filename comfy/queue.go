package comfy

import (
	"context"
	"maps"
	"net/http"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// queueList answers GET /queue with the running and the waiting prompts. A prompt
// is in one of the two lists only.
func (s *Server) queueList(w http.ResponseWriter, r *http.Request) {
	out, first, leased := newStream(w), true, true
	out.text(`{"queue_running":[`)
	err := s.eachQueued(r.Context(), func(q flow.Queued) bool {
		if leased && !q.Leased {
			leased, first = false, true
			out.text(`],"queue_pending":[`)
		}
		out.comma(&first)
		return out.item(s.item(r, q.Prompt))
	})
	if leased {
		out.text(`],"queue_pending":[`)
	}
	out.text("]}")
	out.end(s, err)
}

// eachQueued calls f for each prompt in the queue, the running prompts first, until f
// returns false. If there are ids, it does so only for the prompts with these ids.
func (s *Server) eachQueued(ctx context.Context, f func(q flow.Queued) bool, ids ...string) error {
	for q, err := range s.engine.Queued(ctx, ids...) {
		if err != nil {
			return err
		}
		if !f(q) {
			return nil
		}
	}
	return nil
}

// prompts returns the prompts that run, in the order in which they began, and the prompts
// that wait; if there are ids, only those with these ids. With an error, it returns the
// prompts that it has received before the error.
func (s *Server) prompts(ctx context.Context, ids ...string) (running, waiting []*nodebus.Prompt, err error) {
	err = s.eachQueued(ctx, func(q flow.Queued) bool {
		if q.Leased {
			running = append(running, q.Prompt)
		} else {
			waiting = append(waiting, q.Prompt)
		}
		return true
	}, ids...)
	return running, waiting, err
}

// unavailable answers a request for which the queue or the store has failed. It
// logs the error and does not show it to the client.
func (s *Server) unavailable(w http.ResponseWriter, err error) {
	s.opts.Logger.Error("queue or store failed", "error", err)
	fail(w, http.StatusServiceUnavailable, "the queue or the store is not available, try again later")
}

// item returns a prompt in the format of lists: number, id, graph, extra data and
// outputs. It removes the client id if the request may not know it.
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

// mayKnow reports whether the request may see the client id of p. The id is
// secret, because a request that knows the id of a client can act as that client.
func (s *Server) mayKnow(r *http.Request, p *nodebus.Prompt) bool {
	g := granted(r)
	return s.opts.Authorize == nil || g.WatchAll || g.Client == p.ClientID && g.Client != ""
}

// mayChange reports whether the request may end p, or delete p or its record.
func mayChange(r *http.Request, p *nodebus.Prompt) bool {
	only := granted(r).Client
	return only == "" || only == p.ClientID
}

// change is the body of POST /queue and POST /history.
type change struct {
	Clear  truth    `json:"clear"`
	Delete []string `json:"delete"`
}

// named returns the set of ids to delete.
func (c *change) named() map[string]bool {
	named := make(map[string]bool, len(c.Delete))
	for _, id := range c.Delete {
		named[id] = true
	}
	return named
}

// queueChange answers POST /queue. It deletes waiting prompts, and never changes a
// running prompt.
func (s *Server) queueChange(w http.ResponseWriter, r *http.Request) {
	var c change
	if !readJSON(w, r, &c) {
		return
	}
	named := c.named()
	var ids []string
	fresh := map[string]*nodebus.Prompt{} // those that have not begun
	err := s.eachQueued(r.Context(), func(q flow.Queued) bool {
		p := q.Prompt
		if !q.Leased && (bool(c.Clear) || named[p.ID]) && mayChange(r, p) {
			ids = append(ids, p.ID)
			if q.Attempt <= 1 && !q.Pauses {
				fresh[p.ID] = p
			}
		}
		return true
	})
	if err != nil {
		s.unavailable(w, err)
		return
	}
	if len(ids) > 0 || bool(c.Clear) {
		deleted, err := s.engine.Delete(r.Context(), ids...)
		if s.opts.TellRemoved {
			for _, id := range deleted {
				if p := fresh[id]; p != nil && !s.hasRecord(r.Context(), p) {
					s.tellRemoved(p)
				}
			}
		}
		if err != nil {
			s.unavailable(w, err)
			return
		}
	}
	done(w)
}

// hasRecord reports whether a prompt has a record. If the engine deletes a prompt that has
// begun, the engine ends it: it stores a record and tells the end.
func (s *Server) hasRecord(ctx context.Context, p *nodebus.Prompt) bool {
	rec, err := s.engine.Store().Get(ctx, p.ID)
	return err == nil && rec.Prompt != nil && rec.Prompt.Created.Equal(p.Created)
}

// tellRemoved tells the client of a prompt that the prompt will not run. It
// publishes the events of an interruption. The prompt must not have begun.
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
