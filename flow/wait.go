package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nodebus/nodebus"
)

// Submission is a prompt that the engine has accepted. It is safe for concurrent
// use.
type Submission struct {
	ID string // the id of the prompt
	// Prompt is the prompt that will run: its literals have the declared types, and
	// Outputs lists the output nodes that will run. Do not modify it.
	Prompt *nodebus.Prompt
	// Rejected lists the outputs that are invalid and will not run. It is nil if all
	// outputs will run.
	Rejected *nodebus.ValidationError

	en *entry
}

// Wait waits until the prompt has ended and its last event was sent. It returns the
// outcome. The error is nil for a prompt that has failed or was interrupted: look at
// [nodebus.Outcome.Err]. It waits for the prompt, not for an attempt. If ctx ends first, the error is
// the cause of ctx. If the prompt was deleted from the queue, the error wraps
// [ErrNotFound]. If another engine runs the prompt, Wait returns when the hub receives the
// prompt's closing event, with an error of the store if that fails for 30 seconds then. A hub that
// never receives the event makes Wait wait until ctx ends. So does another engine that deletes the
// prompt, because a deletion is no event.
func (s *Submission) Wait(ctx context.Context) (nodebus.Outcome, error) { return s.en.wait(ctx) }

// Wait waits until the prompt with this id has ended, like [Submission.Wait], whoever has
// submitted it. The error is nil for a prompt that has failed; see [nodebus.Outcome.Err]. If
// the prompt has ended already, Wait returns the outcome from the prompt's record. If the
// prompt neither waits nor runs, and the store has no record of it, or if this engine deletes
// it, the error wraps [ErrNotFound].
func (e *Engine) Wait(ctx context.Context, promptID string) (nodebus.Outcome, error) {
	e.mu.Lock()
	en := cmp.Or(e.entries[promptID], e.ending[promptID])
	e.mu.Unlock()
	if en != nil {
		return en.wait(ctx)
	}
	closed := make(chan struct{})
	stop := e.hub.AfterEnd(promptID, func() { close(closed) })
	defer stop()
	deleted, leave := e.awaitDeletion(promptID)
	defer leave()
	rec, err := e.record(ctx, promptID)
	if err == nil || !errors.Is(err, ErrNotFound) {
		return rec.outcomeOr(err)
	}
	_, queued, err := e.find(ctx, promptID)
	if err != nil {
		return nodebus.Outcome{}, fmt.Errorf("nodebus: looking for prompt %s: %w", promptID, err)
	}
	if queued {
		select {
		case <-closed:
		case <-deleted:
		case <-ctx.Done():
			return nodebus.Outcome{}, context.Cause(ctx)
		}
	}
	rec, err = e.record(ctx, promptID)
	return rec.outcomeOr(err)
}

// deletion is what callers of Wait wait for if the engine has no entry for their prompt.
// Engine.mu guards waiters.
type deletion struct {
	done    chan struct{} // closed when this engine has deleted the prompt
	waiters int
}

// awaitDeletion returns a channel that is closed when this engine deletes a prompt.
func (e *Engine) awaitDeletion(id string) (deleted <-chan struct{}, leave func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.deletions[id]
	if d == nil {
		d = &deletion{done: make(chan struct{})}
		e.deletions[id] = d
	}
	d.waiters++
	return d.done, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if d.waiters--; d.waiters == 0 && e.deletions[id] == d {
			delete(e.deletions, id)
		}
	}
}

// tellDeletion wakes the callers of Wait for a deleted prompt.
func (e *Engine) tellDeletion(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d := e.deletions[id]; d != nil {
		close(d.done)
		delete(e.deletions, id)
	}
}

// outcomeOr returns the outcome of the prompt, or err if there is no record.
func (r *Record) outcomeOr(err error) (nodebus.Outcome, error) {
	if err != nil {
		return nodebus.Outcome{}, err
	}
	return r.Outcome(), nil
}

// watch ends an entry when another process has ended its prompt. It replaces an earlier watch.
func (e *Engine) watch(en *entry) {
	stop := e.hub.AfterEnd(en.p.ID, func() { e.endedMeanwhile(en) })
	e.mu.Lock()
	settled, earlier := en.ends, en.watch
	en.watch = stop
	e.mu.Unlock()
	if earlier != nil {
		earlier()
	}
	if settled {
		stop()
	}
}

// endedMeanwhile is endedElsewhere for an entry whose Push may be under way. Then an earlier prompt
// with the id has ended, and if it has a record, that is the end of this one, too: see
// endedEarlier.
func (e *Engine) endedMeanwhile(en *entry) {
	e.mu.Lock()
	early := en.isPushing()
	e.mu.Unlock()
	if early {
		<-en.told
	}
	e.endsElsewhere(en, early, firstLook)
}

// endedElsewhere ends an entry if the queue does not have its prompt any more, and nobody
// here has ended it. An attempt that still runs here has lost its lease.
func (e *Engine) endedElsewhere(en *entry) { e.endsElsewhere(en, false, firstLook) }

// endsElsewhere does the work of endedElsewhere. If early is true, the record of an earlier prompt
// with the id counts, too. If the queue does not answer, or has the prompt still, perhaps only until
// its lease is done, endsElsewhere looks again after the pause, for half a minute in all.
func (e *Engine) endsElsewhere(en *entry, early bool, pause time.Duration) {
	if en.isDone() {
		return
	}
	asking, stop := context.WithTimeout(context.Background(), storeTime)
	defer stop()
	rec, err := e.awaitRecord(asking, en.p.ID)
	if err == nil && !early && !en.isOf(rec.Prompt) { // another prompt has had the id
		err = ErrNotFound
	}
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), storeTime)
		defer cancel()
		q, queued, failed := e.find(ctx, en.p.ID)
		if failed != nil || queued && en.isOf(q.Prompt) {
			e.watch(en)
			if pause <= lastLook {
				time.AfterFunc(pause, func() { e.endsElsewhere(en, false, 2*pause) })
			}
			return
		}
	}
	e.mu.Lock()
	if en.ends {
		e.mu.Unlock()
		return
	}
	en.ends = true
	run := en.run
	e.mu.Unlock()
	if run != nil {
		e.lapse(run)
	}
	switch {
	case err == nil:
		e.settle(en, &rec, nil)
	case errors.Is(err, ErrNotFound):
		e.settle(en, nil, fmt.Errorf("nodebus: prompt %s has ended elsewhere without a record: %w", en.p.ID, ErrNotFound))
	default:
		e.settle(en, nil, fmt.Errorf("nodebus: prompt %s has ended elsewhere, and the store does not tell how: %w", en.p.ID, err))
	}
}

// sweepMin is the least number of entries at which the engine looks for those whose
// prompts have ended elsewhere without its hub having heard of it.
const sweepMin = 1024

// sweep ends the entries whose prompts the queue does not have any more. It works only if
// the number of entries has doubled since the last time, and half of them or more must be
// such entries, because the queue has too few prompts: to list the queue, it may have to read
// every prompt.
func (e *Engine) sweep(ctx context.Context) {
	e.mu.Lock()
	var all []*entry
	if len(e.entries) >= e.sweepAt {
		for _, en := range e.entries {
			if en.pushed && en.run == nil && !en.ends {
				all = append(all, en)
			}
		}
		e.sweepAt = max(2*len(e.entries), sweepMin)
	}
	e.mu.Unlock()
	if all == nil {
		return
	}
	if waiting, leased, err := e.queueLen(); err != nil || 2*(waiting+leased) > len(all) {
		return
	}
	queued := map[string]bool{}
	for q, err := range e.Queued(ctx) {
		if err != nil {
			return
		}
		queued[q.Prompt.ID] = true
	}
	n := len(all)
	gone := slices.DeleteFunc(all, func(en *entry) bool { return queued[en.p.ID] })
	go func() { // it may wait for the store and the queue, for each entry
		for _, en := range gone {
			e.endedElsewhere(en)
		}
	}()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sweepAt = max(2*(n-len(gone)), sweepMin)
}

// leftOver reports whether an id may be free although there was an entry for it: the prompt has
// ended elsewhere, and nobody here has heard of it; or the entry has changed meanwhile.
func (e *Engine) leftOver(ctx context.Context, id string) bool {
	e.mu.Lock()
	en := e.entries[id]
	changed := en == nil || en.ends || en.isPushing()
	here := en != nil && en.run != nil
	e.mu.Unlock()
	if changed || here {
		return changed
	}
	q, queued, err := e.find(ctx, id)
	if err != nil || queued && en.isOf(q.Prompt) {
		return false
	}
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		e.endedElsewhere(en)
	}()
	select {
	case <-looked:
	case <-ctx.Done():
	}
	return true
}
