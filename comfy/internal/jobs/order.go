package jobs

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
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

// Order answers GET /nodebus/queue: whether the engine begins no further prompt, and
// the ids of the prompts that run and of the prompts that wait, in their order. A request
// whose grant names a client receives the ids of that client's prompts, and the numbers of
// the others: an id is enough to follow a prompt, or to take its id in advance.
func (s *Jobs) Order(w http.ResponseWriter, r *http.Request) {
	running, waiting := []string{}, []string{}
	othersRun, othersWait := 0, 0
	err := s.eachQueued(r.Context(), func(q flow.Queued) bool {
		switch mine := web.MayChange(r, q.Prompt.ClientID); {
		case q.Leased && mine:
			running = append(running, q.Prompt.ID)
		case q.Leased:
			othersRun++
		case mine:
			waiting = append(waiting, q.Prompt.ID)
		default:
			othersWait++
		}
		return true
	})
	if err != nil {
		web.Unavailable(w, s.Logger, err)
		return
	}
	state := web.Object{{"paused", s.Engine.Paused()}, {"waiting", waiting}, {"running", running}}
	if web.Granted(r).Client != "" {
		state.Add("others", web.Object{{"waiting", othersWait}, {"running", othersRun}})
	}
	web.Answer(w, http.StatusOK, state)
}

// Reorder answers POST /nodebus/queue. It pauses the engine before it moves
// prompts, and resumes the engine after that, so that no prompt begins between the two. If
// a part of the request is refused, nothing changes. The answer is the same as for GET.
func (s *Jobs) Reorder(w http.ResponseWriter, r *http.Request) {
	var o queueOrder
	if !web.ReadJSON(w, r, &o) {
		return
	}
	ids := o.inFront()
	switch {
	case o.Paused == nil && o.First == nil && o.Order == nil:
		web.Fail(w, http.StatusBadRequest, "the body must have paused, first or order")
		return
	case o.Paused != nil && web.Granted(r).Client != "": // it concerns the prompts of all clients
		web.Fail(w, http.StatusForbidden, "the queue may be paused and resumed only by a request whose grant names no client")
		return
	}
	movable, err := s.movable(r, ids)
	if err != nil {
		web.Unavailable(w, s.Logger, err)
		return
	}
	for _, id := range ids {
		if !movable[id] {
			web.Fail(w, http.StatusNotFound, "no prompt with this id waits: "+strconv.Quote(id))
			return
		}
	}
	pauses := o.Paused != nil && *o.Paused && !s.Engine.Paused()
	if pauses {
		s.Engine.Pause()
	}
	if err := s.reorder(r, ids); err != nil {
		if pauses {
			s.Engine.Resume()
		}
		web.Unavailable(w, s.Logger, err)
		return
	}
	if o.Paused != nil && !*o.Paused {
		s.Engine.Resume()
	}
	s.Order(w, r)
}

// movable returns those ids whose prompt waits and may be changed by the request.
func (s *Jobs) movable(r *http.Request, ids []string) (movable map[string]bool, err error) {
	movable = make(map[string]bool, len(ids))
	if len(ids) == 0 { // no ids would mean all
		return movable, nil
	}
	err = s.eachQueued(r.Context(), func(q flow.Queued) bool {
		if !q.Leased && web.MayChange(r, q.Prompt.ClientID) {
			movable[q.Prompt.ID] = true
		}
		return true
	}, ids...)
	return movable, err
}

// reorder puts prompts in front of all others, or, if the grant of the request names a
// client, in front of that client's others.
func (s *Jobs) reorder(r *http.Request, ids []string) (err error) {
	if len(ids) == 0 {
		return nil
	}
	if web.Granted(r).Client == "" {
		err = s.Engine.Reorder(r.Context(), ids...)
	} else {
		err = s.permute(r, ids)
	}
	if errors.Is(err, flow.ErrNotFound) { // a prompt has begun meanwhile; the answer tells that it runs
		return nil
	}
	return err
}

// permute puts prompts of a client in front of the client's others. The client's prompts
// share the priorities that they have, so the prompts of other clients keep their places. A
// prompt with the same priority as a prompt of another client moves behind that prompt.
func (s *Jobs) permute(r *http.Request, ids []string) error {
	named := make(map[string]bool, len(ids))
	for _, id := range ids {
		named[id] = true
	}
	waiting, rest := map[string]*nodebus.Prompt{}, []string{}
	var now []*nodebus.Prompt
	err := s.eachQueued(r.Context(), func(q flow.Queued) bool {
		p := q.Prompt
		if q.Leased || !web.MayChange(r, p.ClientID) || q.Pauses && !named[p.ID] { // a move would end the pause
			return true
		}
		waiting[p.ID] = p
		now = append(now, p)
		if !named[p.ID] {
			rest = append(rest, p.ID)
		}
		return true
	})
	if err != nil {
		return err
	}
	// A prompt that pauses is listed first, whatever its priority is.
	slices.SortStableFunc(now, func(a, b *nodebus.Prompt) int { return cmp.Compare(a.Priority, b.Priority) })
	wanted := append(slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return waiting[id] == nil }), rest...)
	last := len(now) - 1
	for last >= 0 && now[last].ID == wanted[last] {
		last--
	}
	for last >= 0 && last+1 < len(now) && now[last+1].Priority == now[last].Priority { // a move is behind all of them
		last++
	}
	var failed []error
	for i, id := range wanted[:last+1] {
		if len(failed) == 0 && now[i].ID == id { // the beginning of the list stays
			continue
		}
		failed = append(failed, s.Engine.Prioritize(r.Context(), id, now[i].Priority))
	}
	return errors.Join(failed...)
}
