package flow

import (
	"context"
	"errors"
	"time"

	"github.com/nodebus/nodebus"
)

// setDeadline starts the timer of a prompt with a deadline, unless it has started.
func (e *Engine) setDeadline(en *entry) {
	at := en.p.Policy.Deadline
	if at.IsZero() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !en.ends && en.expires == nil {
		en.expires = time.AfterFunc(time.Until(at), func() { e.expires(en, firstLook) })
	}
}

// The pauses after which the engine looks again at a prompt whose deadline has passed.
const (
	firstLook = time.Second
	lastLook  = leaseTime
)

// expires ends a prompt whose deadline has passed, if it waits. An attempt has the deadline
// in its context. But its process may have died: the prompt waits again when the lease
// lapses. So expires looks again after a pause, while the prompt is in the queue.
func (e *Engine) expires(en *entry, pause time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	e.mu.Lock()
	again := en.again
	e.mu.Unlock()
	if again != nil {
		e.extendNow(ctx, again, en.p.ID)
	}
	q, queued, err := e.find(ctx, en.p.ID)
	switch {
	case err == nil && (!queued || !en.isOf(q.Prompt)):
		return // it has ended elsewhere
	case err == nil && !q.Leased:
		_, err = e.endIf(ctx, en.p.ID, errDeadline, en.isOf)
	}
	if err != nil {
		e.opts.Logger.Error("prompt not ended at its deadline: trying again", "prompt", en.p.ID, "error", err, "after", pause)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !en.ends {
		en.expires = time.AfterFunc(pause, func() { e.expires(en, min(2*pause, lastLook)) })
	}
}

// watchDeadlines ends the waiting prompts whose deadlines have passed, whoever has submitted
// them: the engine that has a timer for a prompt may be gone.
func (e *Engine) watchDeadlines(ctx context.Context, r *runner) {
	ticker := time.NewTicker(leaseTime)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			e.endAllLate(ctx)
		case <-r.stopped:
			return
		}
	}
}

func (e *Engine) endAllLate(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	now := time.Now()
	late, err := e.expired(ctx, now)
	if err != nil {
		e.opts.Logger.Warn("the queue does not tell which deadlines have passed", "error", err)
		return
	}
	var all error
	for _, id := range late {
		_, err := e.endIf(ctx, id, errDeadline, func(p *nodebus.Prompt) bool { return isLate(p, now) })
		all = errors.Join(all, err)
	}
	if all != nil {
		e.opts.Logger.Error("prompts not ended at their deadlines: trying again", "error", all, "after", leaseTime)
	}
}

// isLate reports whether the deadline of a prompt is before now.
func isLate(p *nodebus.Prompt, now time.Time) bool {
	at := p.Policy.Deadline
	return !at.IsZero() && at.Before(now)
}

// expired returns the ids of the waiting prompts whose deadlines have passed.
func (e *Engine) expired(ctx context.Context, now time.Time) (late []string, err error) {
	err = apart(func() (err error) {
		if q, is := e.opts.Queue.(ExpiringQueue); is {
			late, err = q.Expired(ctx, now)
			return err
		}
		for q, err := range e.Queued(ctx) {
			if err != nil {
				return err
			}
			if !q.Leased && isLate(q.Prompt, now) {
				late = append(late, q.Prompt.ID)
			}
		}
		return nil
	})
	return late, err
}
