package comfy

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/fold"
)

// knownRun is what the queue and the store know about a run.
type knownRun struct {
	queued  bool         // the prompt waits or runs
	leased  bool         // the prompt runs
	client  string       // the client of the prompt
	created time.Time    // when the prompt was submitted; prompts with the same id differ in it
	record  *flow.Record // nil if the prompt has not ended
}

func (k *knownRun) isKnown() bool { return k.queued || k.record != nil }

// is reports whether k is the prompt that was submitted at a time, or nobody knows the
// prompt. The zero time means any.
func (k *knownRun) is(created time.Time) bool {
	return !k.isKnown() || created.IsZero() || k.created.Equal(created)
}

// knownRun looks for a run in the queue and in the store.
func (s *Server) knownRun(ctx context.Context, id string) (k knownRun, err error) {
	err = s.eachQueued(ctx, func(q flow.Queued) bool {
		k = knownRun{queued: true, leased: q.Leased, client: q.Prompt.ClientID, created: q.Prompt.Created}
		return false
	}, id)
	if err != nil || k.queued {
		return k, err
	}
	err = nodebus.Protect(func() error {
		rec, err := s.engine.Store().Get(ctx, id)
		if err == nil {
			k = knownRun{record: &rec, client: rec.Prompt.ClientID, created: rec.Prompt.Created}
		}
		return err
	})
	if errors.Is(err, flow.ErrNotFound) {
		err = nil
	}
	return k, err
}

// mayFollow reports whether the request may see a run: as on a socket, a run of its own
// client, or a run that the grant allows it to watch.
func (s *Server) mayFollow(r *http.Request, id string, k *knownRun) bool {
	if s.opts.Authorize == nil {
		return true
	}
	g := granted(r)
	client := cmp.Or(g.Client, r.URL.Query().Get("clientId"))
	return k.isKnown() && client != "" && client == k.client || g.Allows(id)
}

// snapshot returns the state of the run of the prompt that was submitted at a time, or nil
// if nobody knows the run, or if another prompt has its id now. The zero time means any.
func (s *Server) snapshot(ctx context.Context, id string, created time.Time) (*fold.Run, error) {
	p, unread := s.past(ctx, id, created)
	known, err := s.knownRun(ctx, id)
	if err == nil && unread != nil && known.record == nil {
		err = unread
	}
	if err != nil {
		return nil, err
	}
	return stateOf(p, &known), nil
}

// stateOf returns the state of a run, from its events if they are complete, else from its
// record. It returns nil if nobody knows the run, or if another prompt has its id now. known
// is from after the events were read.
func stateOf(p *past, known *knownRun) *fold.Run {
	if !known.is(p.created) {
		return nil
	}
	run := &p.run
	if p.isEarlier(known) {
		run = &fold.Run{PromptID: run.PromptID}
	}
	if known.leased && run.State == "" { // it has just begun, or its first events are not kept
		run.State = fold.Running
		run.Incomplete = run.Incomplete || run.Attempt > 0
	}
	switch {
	case run.Attempt > 0 && !run.Incomplete:
		return run
	case known.record != nil:
		ended := runOf(known.record)
		ended.Cursor = run.Cursor
		return ended
	case run.Attempt > 0 || known.queued:
		return run
	}
	return nil
}
