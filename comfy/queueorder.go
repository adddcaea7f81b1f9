package comfy

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/nodebus/nodebus/flow"
)

// queueOrder is the body of POST /nodebus/queue. A nil field changes nothing.
type queueOrder struct {
	Paused *bool    `json:"paused"`
	First  *string  `json:"first"`
	Order  []string `json:"order"`
}

// inFront returns the ids of the prompts to put in front of all others, in their order,
// each id once.
func (o *queueOrder) inFront() []string {
	all := o.Order
	if o.First != nil {
		all = append([]string{*o.First}, all...)
	}
	ids, seen := make([]string, 0, len(all)), make(map[string]bool, len(all))
	for _, id := range all {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// queueState answers GET /nodebus/queue: whether the engine begins no further prompt, and
// the ids of the prompts that run and of the prompts that wait, in their order.
func (s *Server) queueState(w http.ResponseWriter, r *http.Request) {
	running, waiting := []string{}, []string{}
	err := s.eachQueued(r.Context(), func(q flow.Queued) bool {
		if q.Leased {
			running = append(running, q.Prompt.ID)
		} else {
			waiting = append(waiting, q.Prompt.ID)
		}
		return true
	})
	if err != nil {
		s.unavailable(w, err)
		return
	}
	answer(w, http.StatusOK, object{{"paused", s.engine.Paused()}, {"waiting", waiting}, {"running", running}})
}

// queueOrderChange answers POST /nodebus/queue. It pauses the engine before it moves
// prompts, and resumes the engine after that, so that no prompt begins between the two. If
// a part of the request is refused, nothing changes. The answer is the same as for GET.
func (s *Server) queueOrderChange(w http.ResponseWriter, r *http.Request) {
	var o queueOrder
	if !readJSON(w, r, &o) {
		return
	}
	ids := o.inFront()
	switch {
	case o.Paused == nil && o.First == nil && o.Order == nil:
		fail(w, http.StatusBadRequest, "the body must have paused, first or order")
		return
	case o.Paused != nil && granted(r).Client != "": // it concerns the prompts of all clients
		fail(w, http.StatusForbidden, "the queue may be paused and resumed only by a request whose grant names no client")
		return
	}
	movable, err := s.movable(r, ids)
	if err != nil {
		s.unavailable(w, err)
		return
	}
	for _, id := range ids {
		if !movable[id] {
			fail(w, http.StatusNotFound, "no prompt with this id waits: "+strconv.Quote(id))
			return
		}
	}
	if o.Paused != nil && *o.Paused {
		s.engine.Pause()
	}
	// A prompt that has begun meanwhile is not moved. The answer tells that it runs.
	if err := s.engine.Reorder(r.Context(), ids...); err != nil && !errors.Is(err, flow.ErrNotFound) {
		s.unavailable(w, err)
		return
	}
	if o.Paused != nil && !*o.Paused {
		s.engine.Resume()
	}
	s.queueState(w, r)
}

// movable returns those ids whose prompt waits and may be changed by the request.
func (s *Server) movable(r *http.Request, ids []string) (movable map[string]bool, err error) {
	movable = make(map[string]bool, len(ids))
	if len(ids) == 0 { // no ids would mean all
		return movable, nil
	}
	err = s.eachQueued(r.Context(), func(q flow.Queued) bool {
		if !q.Leased && mayChange(r, q.Prompt) {
			movable[q.Prompt.ID] = true
		}
		return true
	}, ids...)
	return movable, err
}
