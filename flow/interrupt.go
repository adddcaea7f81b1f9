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

// Interrupt ends one prompt as interrupted, whether it waits or runs, whoever has
// submitted it, and wherever it runs. found is true if the prompt waits or runs. A prompt
// that runs ends when its executor returns. A prompt that runs in another engine receives
// the interrupt through [EngineOptions].Signals. err is an error of the queue, of Signals, or
// of the store, which must take the record of a prompt that waits. If the store refuses the
// record, Signals keeps the interrupt, and the prompt ends as interrupted when an engine takes
// it. Other prompts do not change.
func (e *Engine) Interrupt(ctx context.Context, promptID string) (found bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	return e.interrupt(ctx, promptID)
}

// interrupt is Interrupt until ctx ends.
func (e *Engine) interrupt(ctx context.Context, promptID string) (found bool, err error) {
	en, attempts, again := e.interruptKnown(promptID)
	if again != nil {
		e.extendNow(ctx, again, promptID)
	}
	ended, err := e.endOne(ctx, promptID, nodebus.ErrInterrupted)
	if ended {
		return true, nil
	}
	if err != nil { // the store may have taken all time, and whoever takes the prompt must hear of the interrupt
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), leaseTime/6)
		defer cancel()
	}
	_, queued, failed := e.find(ctx, promptID)
	if queued {
		return true, errors.Join(err, e.signal(ctx, promptID))
	}
	err = cmp.Or(err, failed)
	return en != nil && (err != nil || e.interruptedHere(en, attempts)), err
}

// interruptKnown interrupts a prompt that the engine knows. en is its entry, or nil, and
// attempts the number of its last attempt here before; -1 if the prompt runs here, or is
// not in the queue yet. again is the lease that ends before the next attempt of the prompt.
func (e *Engine) interruptKnown(id string) (en *entry, attempts int, again Lease) {
	e.mu.Lock()
	defer e.mu.Unlock()
	en = e.entries[id]
	if en == nil || en.ends {
		return nil, 0, nil
	}
	en.interrupted = true
	en.free()
	attempts = en.attempts
	if en.run != nil {
		en.run.cancel(nodebus.ErrInterrupted)
	}
	if en.run != nil || !en.pushed {
		attempts = -1
	}
	return en, attempts, en.again
}

// interruptedHere reports whether an interrupt has reached a prompt that the queue does not
// have any more: an attempt ran here, or has begun here since. Otherwise the prompt may
// have ended elsewhere before.
func (e *Engine) interruptedHere(en *entry, attempts int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return en.attempts > attempts
}

// extendNow lets a lease lapse now, so that the next attempt of a prompt begins.
func (e *Engine) extendNow(ctx context.Context, lease Lease, id string) {
	err := apart(func() error { return lease.Extend(ctx, 0) })
	if err != nil && !errors.Is(err, ErrLapsed) {
		e.opts.Logger.Warn("the next attempt does not begin now", "prompt", id, "error", err)
	}
}

// endOne ends a prompt if it waits, whoever has submitted it. It leases the prompt: if this
// process dies before it tells the end, the queue still has the prompt. endOne takes at most
// storeTime, and returns an error if the prompt then waits as before.
func (e *Engine) endOne(ctx context.Context, id string, cause error) (ended bool, err error) {
	return e.endIf(ctx, id, cause, func(*nodebus.Prompt) bool { return true })
}

// endIf is endOne for the prompt that is meant, and not for another with the same id.
func (e *Engine) endIf(ctx context.Context, id string, cause error, isMeant func(*nodebus.Prompt) bool) (ended bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	lease, q, err := e.takeOne(ctx, id)
	if lease == nil {
		return false, err
	}
	if !isMeant(q.Prompt) {
		e.giveBackOrWarn(lease, q.Prompt)
		return false, nil
	}
	return e.endWaiting(ctx, q, lease, cause)
}

// endWaiting ends a prompt that has waited; lease is nil if it was deleted from the queue. An
// earlier attempt may still run here, although its lease has lapsed. The record has what
// this engine knows of the last attempt. If the prompt has a record already, it has ended
// before, and cause is ignored. endWaiting returns false if somebody else here ends it, or,
// with an error, if the record is not stored before ctx ends or the lease is lost: the prompt
// then waits again. A prompt that was deleted always ends.
func (e *Engine) endWaiting(ctx context.Context, q Queued, lease Lease, cause error) (ended bool, err error) {
	j, run := e.claimWaiting(q, lease, cause)
	switch {
	case j == nil && lease == nil:
		return true, nil
	case j == nil:
		e.giveBackOrWarn(lease, q.Prompt)
		return false, nil
	}
	stop := func() {}
	if lease != nil {
		stop = e.keepLease(j).stop
	}
	defer stop()
	if run != nil {
		e.lapse(run)
		run.awaitSilence()
	}
	if rec, err := e.awaitRecord(ctx, q.Prompt.ID); err == nil { // also before the first attempt, see endedEarlier
		once, cancel := context.WithTimeout(ctx, storeTime)
		_ = e.awaitEarlier(once, q.Prompt.ID) // without an answer, the end may be told twice
		cancel()
		if e.isLost(j) { // whoever takes the prompt finds the record
			e.reopen(j, ErrLapsed)
			return false, ErrLapsed
		}
		e.repeatEnd(j, &rec)
		return true, nil
	}
	e.recall(j)
	j.gate.end(cause)
	if err = e.storeAndTell(ctx, j); err == nil {
		return true, nil
	}
	stop()
	e.mu.Lock()
	j.en.interrupted = j.en.interrupted || errors.Is(cause, nodebus.ErrInterrupted) // the next attempt here ends at once
	e.mu.Unlock()
	e.giveBackOrWarn(lease, q.Prompt)
	return false, err
}

// claimWaiting claims the end of a prompt that has waited, and returns the job that ends it,
// or nil if somebody else here ends it. run is an earlier attempt that may still run here.
func (e *Engine) claimWaiting(q Queued, lease Lease, cause error) (j, run *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	en := e.entryOf(q.Prompt)
	if en.ends {
		return nil, nil
	}
	en.ends = true
	e.entries[q.Prompt.ID] = en
	e.leaves(en)
	j = e.newJob(en, max(en.attempts, q.Attempt-1))
	j.claimed = true
	if j.lease = lease; lease != nil {
		j.lapses.Store(e.now() + int64(leaseTime-leaseMargin))
	}
	if errors.Is(cause, nodebus.ErrInterrupted) {
		j.cancel(nodebus.ErrInterrupted)
	}
	return j, en.run
}

// giveBackOrWarn returns a prompt that does not end to its place in the queue.
func (e *Engine) giveBackOrWarn(lease Lease, p *nodebus.Prompt) {
	err := e.giveBack(context.Background(), lease, nodebus.Job{Prompt: p})
	if err != nil && !errors.Is(err, ErrLapsed) { // the lease lapses by itself
		e.opts.Logger.Warn("prompt given back later", "prompt", p.ID, "error", err)
	}
}

// pause returns the lease of a prompt that waits here for its next attempt; nil if it does
// not.
func (e *Engine) pause(ctx context.Context, id string) Lease {
	e.mu.Lock()
	var again Lease
	if en := e.entries[id]; en != nil && !en.ends {
		again = en.again
	}
	e.mu.Unlock()
	if again == nil {
		return nil
	}
	if q, queued, err := e.find(ctx, id); err != nil || !queued || q.Leased {
		return nil // another engine has taken it
	}
	return again
}

// awaitSilence waits for the events that an attempt is publishing.
func (j *job) awaitSilence() {
	empty := j.gate.refuse()
	if empty == nil {
		return
	}
	timer := time.NewTimer(silenceTime)
	defer timer.Stop()
	select {
	case <-empty:
	case <-timer.C: // perhaps the publisher has called us
	}
}

const silenceTime = time.Second

// remove deletes waiting prompts from the queue and returns the deleted prompts.
func (e *Engine) remove(ctx context.Context, ids ...string) (gone []*nodebus.Prompt, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	err = nodebus.Protect(func() (err error) {
		gone, err = e.opts.Queue.Delete(ctx, ids...)
		return err
	})
	if err != nil {
		err = fmt.Errorf("nodebus: deleting from the queue: %w", err)
	}
	return gone, err
}

// withdraw deletes waiting prompts from the queue and returns the deleted prompts, with the
// number of the attempt that would have been the next; 0 if it is not known. It leaves out the
// prompts that run, and returns their ids: when one of them waits again, the number is another.
func (e *Engine) withdraw(ctx context.Context, ids ...string) (gone []Queued, running []string, err error) {
	attempts := map[string]int{}
	if len(ids) > 0 {
		for q, err := range e.Queued(ctx, ids...) {
			switch {
			case err != nil: // the number is not known, which is no reason to keep a prompt
			case q.Leased:
				running = append(running, q.Prompt.ID)
			default:
				attempts[q.Prompt.ID] = q.Attempt
			}
		}
	}
	if len(running) > 0 {
		ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(running, id) })
	}
	prompts, err := e.remove(ctx, ids...)
	for _, p := range prompts {
		gone = append(gone, Queued{Prompt: p, Attempt: attempts[p.ID]})
	}
	return gone, running, err
}

// withdrawOne deletes a prompt that has run a moment ago, if it waits by now. If an attempt of it
// has begun, it ends as interrupted.
func (e *Engine) withdrawOne(ctx context.Context, id string) (gone bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	lease, q, err := e.takeOne(ctx, id)
	switch {
	case lease == nil:
		return false, err
	case e.hasBegun(q):
		return e.endWaiting(ctx, q, lease, nodebus.ErrInterrupted)
	}
	if err := apart(func() error { return lease.Done(ctx) }); err != nil {
		e.giveBackOrWarn(lease, q.Prompt)
		return false, fmt.Errorf("nodebus: deleting prompt %s from the queue: %w", id, err)
	}
	e.deleted(ctx, q)
	return true, nil
}

// Delete removes waiting prompts from the queue, whoever has submitted them, and returns
// the ids of the removed prompts. The removed prompts leave no record; clients only
// receive the new number of prompts. But a prompt that waits for a further attempt ends as
// interrupted, because clients have received its start. During its RetryAfter, only the
// engine that has made the last attempt can delete it. If the store does not take the record
// of such a prompt within 30 seconds, or before ctx ends, the prompts that have begun stay in
// the queue. err is an error of the queue or of the store; the prompts in deleted are removed
// also if there is an error.
func (e *Engine) Delete(ctx context.Context, promptIDs ...string) (deleted []string, err error) {
	deleted, rest, err := e.endBegun(ctx, promptIDs)
	if err != nil && len(rest) == 0 {
		e.tellStatus()
		return deleted, err
	}
	gone, running, failed := e.withdraw(ctx, rest...)
	err = cmp.Or(err, failed)
	for _, q := range gone {
		deleted = append(deleted, q.Prompt.ID)
		e.deleted(ctx, q)
	}
	for _, id := range running {
		gone, failed := e.withdrawOne(ctx, id)
		if err = cmp.Or(err, failed); gone {
			deleted = append(deleted, id)
		}
	}
	e.tellStatus()
	return deleted, err
}

// deleted tells that a prompt was deleted from the queue.
func (e *Engine) deleted(ctx context.Context, q Queued) {
	p := q.Prompt
	if e.hasBegun(q) { // meanwhile
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
		defer cancel()
		_, _ = e.endWaiting(ctx, q, nil, nodebus.ErrInterrupted)
		return
	}
	e.hub.Unexpect(p.ClientID, p.ID)
	e.dropSignals(p.ID)
	e.tellDeletion(p.ID)
	e.mu.Lock()
	en := e.entries[p.ID]
	e.mu.Unlock()
	if en != nil && en.isOf(p) {
		e.forget(en) // unless it has ended
	}
}

// endBegun ends the prompts that wait for a further attempt, and returns their ids. rest has
// the ids of those that have not begun: the queue can delete them. After an error, endBegun
// ends no further prompt, and those that have begun stay in the queue. If the queue does not
// say which have begun, or if ctx has ended, rest is empty.
func (e *Engine) endBegun(ctx context.Context, ids []string) (ended, rest []string, err error) {
	if len(ids) == 0 {
		return nil, nil, nil
	}
	begun := map[string]bool{}
	for _, id := range ids {
		if err != nil || begun[id] || e.pause(ctx, id) == nil {
			continue
		}
		begun[id] = true
		var found bool
		if found, err = e.interrupt(ctx, id); found && err == nil {
			ended = append(ended, id)
		}
	}
	for q, failed := range e.Queued(ctx, ids...) {
		if failed != nil {
			return ended, nil, cmp.Or(err, fmt.Errorf("nodebus: deleting from the queue: %w", failed))
		}
		id := q.Prompt.ID
		if q.Leased || begun[id] || !e.hasBegun(q) {
			continue
		}
		begun[id] = true
		if err != nil {
			continue
		}
		var gone bool
		if gone, err = e.endOne(ctx, id, nodebus.ErrInterrupted); gone {
			ended = append(ended, id)
		}
	}
	if ctx.Err() != nil {
		return ended, nil, cmp.Or(err, context.Cause(ctx))
	}
	return ended, slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return begun[id] }), err
}

// hasBegun reports whether an attempt of a prompt of the queue has begun, as far as the queue
// and this engine know.
func (e *Engine) hasBegun(q Queued) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	en := e.entries[q.Prompt.ID]
	return q.Attempt > 1 || en != nil && en.isOf(q.Prompt) && en.start != nil
}
