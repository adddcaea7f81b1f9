package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
)

// takeError is the error of a Run whose queue has failed.
type takeError struct{ err error }

func (e *takeError) Error() string {
	return fmt.Sprintf("nodebus: taking a prompt from the queue: %v", e.err)
}
func (e *takeError) Unwrap() error { return e.err }

var errNoPrompt = errors.New("nodebus: the queue gave a lease whose Job has no prompt")

// The pauses between attempts to take a prompt from a queue that fails.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// take waits until a prompt may run, and leases it. It returns nil if the runner takes
// nothing more. A queue that fails is asked again for a while.
func (e *Engine) take(ctx context.Context, r *runner) (*job, error) {
	var failing time.Time // the first error in a row
	pause := firstPause
	for !e.drained(r) {
		j, err := e.takeOnce(ctx, r)
		switch {
		case j != nil:
			return j, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err == nil:
			failing, pause = time.Time{}, firstPause
			continue
		case failing.IsZero():
			failing = time.Now()
		}
		if errors.Is(err, nodebus.ErrClosed) || time.Since(failing) >= e.opts.TakeRetry {
			return nil, &takeError{err}
		}
		e.opts.Logger.Warn("no prompt taken from the queue: trying again", "error", err, "after", pause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		case <-r.stopped:
		}
		timer.Stop()
		pause = min(2*pause, lastPause)
	}
	return nil, nil
}

// takeOnce waits until the runner may take a prompt, and asks the queue once. It returns
// neither a job nor an error if the caller has to look again.
func (e *Engine) takeOnce(ctx context.Context, r *runner) (*job, error) {
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	if !e.mayTake(r, cancel) {
		select {
		case <-r.wake:
		case <-ctx.Done():
		}
		return nil, nil
	}
	var lease Lease
	var taken nodebus.Job
	err := apart(func() (err error) {
		if lease, err = e.opts.Queue.Take(asking, e.skips); err != nil {
			return err
		}
		if taken = lease.Job(); taken.Prompt == nil {
			return errNoPrompt
		}
		return nil
	})
	switch {
	case err != nil && asking.Err() != nil: // poked
		return nil, nil
	case err != nil:
		return nil, err
	case ctx.Err() == nil:
		if j := e.begin(lease, taken, r); j != nil {
			return j, nil
		}
	}
	return nil, e.giveBack(ctx, lease, taken)
}

// mayTake reports whether a runner may take a prompt now. If it may, poke ends the call of
// Take when that changes.
func (e *Engine) mayTake(r *runner, poke func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.takes(r) {
		e.poke = nil
		return false
	}
	e.poke = poke
	return true
}

// takes reports whether a runner takes prompts at the moment. e.mu is held.
func (e *Engine) takes(r *runner) bool {
	return !e.paused && !r.draining && e.places.used < e.opts.Parallel
}

// drained reports whether a runner takes nothing more.
func (e *Engine) drained(r *runner) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return r.draining
}

// begin makes an attempt of a prompt that was taken from the queue. It returns nil if the
// prompt must go back to the queue: it is not ready, because another prompt was the
// client's first when the queue called skips, or there is no place for it any more.
func (e *Engine) begin(lease Lease, taken nodebus.Job, r *runner) *job {
	e.mu.Lock()
	en := e.entryOf(taken.Prompt)
	client := taken.Prompt.ClientID
	if known := e.entries[taken.Prompt.ID] == en; known && en.holdsUp() {
		e.client(client).heldBack = en
		e.mu.Unlock()
		return nil
	}
	if !e.takes(r) || !e.hasPlace(client) {
		e.mu.Unlock()
		return nil
	}
	var stale *entry
	if !en.ends {
		stale, e.entries[en.p.ID] = e.entries[en.p.ID], en
	}
	en.priority = taken.Prompt.Priority
	j := e.newJob(en, taken.Attempt)
	j.lease, j.secrets, j.older, j.queueAttempt = lease, taken.Secrets, en.run, max(taken.Attempt, 1)
	j.lapses.Store(e.now() + int64(leaseTime-leaseMargin))
	unlisten := en.unlisten
	en.run, en.again, en.unlisten, en.attempts = j, nil, nil, j.attempt
	if en.interrupted {
		j.cancel(nodebus.ErrInterrupted)
	}
	e.leaves(en)
	e.place(j)
	e.active++
	unwatched := en.watch == nil && !en.ends
	older := j.older
	e.mu.Unlock()
	if unlisten != nil {
		unlisten()
	}
	if older != nil { // its lease must have lapsed
		e.lapse(older)
	}
	if unwatched {
		e.watch(en)
	}
	e.setDeadline(en)
	if stale != nil && stale != en { // another engine has deleted it, and its id is used again
		go e.endedMeanwhile(stale) // it may wait for the store and the queue
	}
	return j
}

// entryOf returns the entry of a prompt that was taken from the queue. It makes one for a
// prompt that another process, or an earlier one, has queued. A new entry has a copy of
// the prompt, which Prepare may change: others may read the prompt in the queue. e.mu is
// held.
func (e *Engine) entryOf(p *nodebus.Prompt) *entry {
	for _, known := range []*entry{e.entries[p.ID], e.ending[p.ID]} {
		if known != nil && known.isOf(p) {
			return known
		}
	}
	own := *p
	en := newEntry(&own)
	en.pushed = true
	return en
}

// takeOne leases a prompt, whoever has submitted it. If the prompt does not wait, lease and err are
// nil.
func (e *Engine) takeOne(ctx context.Context, id string) (lease Lease, q Queued, err error) {
	var taken nodebus.Job
	err = apart(func() (err error) {
		if lease, err = e.opts.Queue.TakeOne(ctx, id); err != nil {
			return err
		}
		if taken = lease.Job(); taken.Prompt == nil {
			return errNoPrompt
		}
		return nil
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, Queued{}, nil
	case err != nil:
		return nil, Queued{}, fmt.Errorf("nodebus: taking prompt %s from the queue: %w", id, err)
	}
	return lease, Queued{Prompt: taken.Prompt, Attempt: taken.Attempt}, nil
}

// takeOut takes a prompt that waits out of the queue, and not another prompt with the same id.
// found is false if it does not wait. ended is true if the prompt has ended here.
func (e *Engine) takeOut(ctx context.Context, p *nodebus.Prompt, ended bool) (found bool, err error) {
	lease, q, err := e.takeOne(ctx, p.ID)
	if lease == nil {
		return false, err
	}
	if !q.Prompt.Created.Equal(p.Created) {
		e.giveBackOrWarn(lease, q.Prompt)
		return false, nil
	}
	if ended {
		return true, e.done(ctx, lease, q.Prompt, true)
	}
	return true, apart(func() error { return lease.Done(ctx) })
}

// errLeftOut is why a prompt that has ended here goes back to the queue.
var errLeftOut = errors.New("nodebus: another engine has had the prompt meanwhile, and the log has left out its end")

// done takes a prompt that has ended out of the queue. again is true if the prompt has ended during
// an earlier lease: if another engine has had it meanwhile, the log may have left out what
// was told here. Then the prompt goes back, and whoever takes it tells its end.
func (e *Engine) done(ctx context.Context, lease Lease, p *nodebus.Prompt, again bool) error {
	err := apart(func() error { return e.hub.Flush(ctx) })
	switch {
	case err != nil: // whoever takes the prompt again tells its end
		return err
	case again && !e.wasTold(p.ID):
		e.giveBackOrWarn(lease, p)
		return errLeftOut
	}
	return apart(func() error { return lease.Done(ctx) })
}

// giveBack returns a prompt to its place in the queue.
func (e *Engine) giveBack(ctx context.Context, lease Lease, taken nodebus.Job) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	err := apart(func() error { return lease.Release(ctx) })
	if err != nil {
		return fmt.Errorf("giving prompt %s back: %w", taken.Prompt.ID, err)
	}
	return nil
}

// lookAgain cancels the current Take, so that the queue calls skips again, or wakes a
// runner that does not take. e.mu is held.
func (e *Engine) lookAgain() {
	if e.poke != nil {
		e.poke()
	}
	if e.runner != nil {
		select {
		case e.runner.wake <- struct{}{}:
		default:
		}
	}
}

// skips reports whether the prompts of a client must wait: PerClient of them run
// already, or the first waiting prompt is not ready.
func (e *Engine) skips(clientID string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.clients[clientID]
	switch {
	case c == nil:
		return false
	case c.running >= e.opts.PerClient:
		return true
	}
	c.skipped = c.isUnready()
	return c.skipped
}
