package jobs

import (
	"context"
	"net/http"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/flow"
)

// QueueList answers GET /queue with the running and the waiting prompts. A prompt
// is in one of the two lists only.
func (s *Jobs) QueueList(w http.ResponseWriter, r *http.Request) {
	out, first, leased := web.NewStream(w), true, true
	out.Text(`{"queue_running":[`)
	err := s.eachQueued(r.Context(), func(q flow.Queued) bool {
		if leased && !q.Leased {
			leased, first = false, true
			out.Text(`],"queue_pending":[`)
		}
		out.Comma(&first)
		return writeItem(out, s.item(r, q.Prompt))
	})
	if leased {
		out.Text(`],"queue_pending":[`)
	}
	out.Text("]}")
	out.End(s.Logger, err)
}

// eachQueued calls f for each prompt in the queue, the running prompts first, until f
// returns false. If there are ids, it does so only for the prompts with these ids.
func (s *Jobs) eachQueued(ctx context.Context, f func(q flow.Queued) bool, ids ...string) error {
	for q, err := range s.Engine.Queued(ctx, ids...) {
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
func (s *Jobs) prompts(ctx context.Context, ids ...string) (running, waiting []*nodebus.Prompt, err error) {
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

// change is the body of POST /queue and POST /history.
type change struct {
	Clear  web.Truth `json:"clear"`
	Delete []string  `json:"delete"`
}

// named returns the set of ids to delete.
func (c *change) named() map[string]bool {
	named := make(map[string]bool, len(c.Delete))
	for _, id := range c.Delete {
		named[id] = true
	}
	return named
}

// QueueChange answers POST /queue. It deletes waiting prompts, and never changes a
// running prompt.
func (s *Jobs) QueueChange(w http.ResponseWriter, r *http.Request) {
	var c change
	if !web.ReadJSON(w, r, &c) {
		return
	}
	named := c.named()
	var ids []string
	fresh := map[string]*nodebus.Prompt{} // those that have not begun
	err := s.eachQueued(r.Context(), func(q flow.Queued) bool {
		p := q.Prompt
		if !q.Leased && (bool(c.Clear) || named[p.ID]) && web.MayChange(r, p.ClientID) {
			ids = append(ids, p.ID)
			if q.Attempt <= 1 && !q.Pauses {
				fresh[p.ID] = p
			}
		}
		return true
	})
	if err != nil {
		web.Unavailable(w, s.Logger, err)
		return
	}
	if len(ids) > 0 || bool(c.Clear) {
		deleted, err := s.Engine.Delete(r.Context(), ids...)
		if s.TellRemoved {
			for _, id := range deleted {
				if p := fresh[id]; p != nil && !s.hasRecord(r.Context(), p) {
					s.tellRemoved(p)
				}
			}
		}
		if err != nil {
			web.Unavailable(w, s.Logger, err)
			return
		}
	}
	web.Done(w)
}

// hasRecord reports whether a prompt has a record. If the engine deletes a prompt that has
// begun, the engine ends it: it stores a record and tells the end.
func (s *Jobs) hasRecord(ctx context.Context, p *nodebus.Prompt) bool {
	rec, err := s.Engine.Store().Get(ctx, p.ID)
	return err == nil && rec.Prompt != nil && rec.Prompt.Created.Equal(p.Created)
}

// tellRemoved tells the client of a prompt that the prompt will not run. It
// publishes the events of an interruption. The prompt must not have begun.
func (s *Jobs) tellRemoved(p *nodebus.Prompt) {
	for _, said := range []nodebus.Payload{
		nodebus.ExecutionInterrupted{PromptID: p.ID, Executed: []string{}, Timestamp: time.Now().UnixMilli()},
		nodebus.Executing{PromptID: p.ID},
	} {
		if err := s.Hub.Publish(nodebus.Event{PromptID: p.ID, To: p.ClientID, Payload: said}); err != nil {
			s.Logger.Warn("event not sent", "prompt", p.ID, "error", err)
		}
	}
}
