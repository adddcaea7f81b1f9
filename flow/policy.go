package flow

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/nodebus/nodebus"
)

// limitError is the error of a prompt that a limit of its policy or of the engine has
// ended.
type limitError struct{ typ, text string }

func (e *limitError) Error() string { return e.text }

// ExceptionType is the exception_type that clients receive.
func (e *limitError) ExceptionType() string { return e.typ }

var (
	errDeadline = &limitError{"deadline", "the deadline of the prompt has passed"}
	errTimeout  = &limitError{"timeout", "the attempt has taken longer than the timeout of the prompt"}
)

// limited returns the context in which an attempt runs: with the deadline and the timeout
// of the prompt.
func (j *job) limited() (ctx context.Context, cancel func()) {
	ctx, cancel = j.ctx, func() {}
	if at := j.p.Policy.Deadline; !at.IsZero() {
		ctx, cancel = context.WithDeadlineCause(ctx, at, errDeadline)
	}
	if d := j.p.Policy.Timeout; d > 0 {
		outer := cancel
		var inner context.CancelFunc
		ctx, inner = context.WithTimeoutCause(ctx, d, errTimeout)
		cancel = func() { inner(); outer() }
	}
	return ctx, cancel
}

// limited returns the error of an attempt: if a limit of the policy has ended the context
// and the executor returns the error of the context, it is the limit that has failed.
func limited(ctx context.Context, err error) error {
	var limit *limitError
	if err == nil || !errors.As(context.Cause(ctx), &limit) {
		return err
	}
	result := err
	_ = nodebus.Protect(func() error { // methods of a foreign error may panic
		if !errors.Is(err, limit) && !errors.Is(err, ctx.Err()) {
			return nil
		}
		result = limit
		if node, ok := asError[*nodebus.NodeError](err); ok {
			blamed := *node
			blamed.Err, result = limit, &blamed
		}
		return nil
	})
	return result
}

// retries reports whether a further attempt follows an attempt that has ended with err.
func (e *Engine) retries(j *job, err error) bool {
	policy := &j.p.Policy
	if err == nil || j.en.refused != nil || j.ctx.Err() != nil {
		return false
	}
	e.mu.Lock()
	j.en.failures++
	failures := j.en.failures
	e.mu.Unlock()
	if failures > policy.Retries || j.attempt >= e.mostAttempts(j.p) {
		return false
	}
	if at := policy.Deadline; !at.IsZero() && !time.Now().Add(policy.RetryAfter).Before(at) {
		return false
	}
	return !endsPrompt(err)
}

// mostAttempts returns how often a prompt may begin in all.
func (e *Engine) mostAttempts(p *nodebus.Prompt) int {
	retries := max(p.Policy.Retries, 0)
	if retries > math.MaxInt-e.opts.Attempts {
		return math.MaxInt
	}
	return e.opts.Attempts + retries
}

// tryAgain lets the lease of a failed attempt lapse after RetryAfter, so that the queue
// gives the prompt out again. It returns false if the attempt has not the lease any more,
// or if the prompt is interrupted.
func (e *Engine) tryAgain(j *job, failure error, lk *leaseKeeper) bool {
	en := j.en
	j.gate.end(failure) // for the record, if no other attempt begins
	last := j.gate.record
	if !e.givesBack(j) {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	e.flush(ctx, j)
	late := j.isLate()
	e.mu.Lock()
	if late || j.keeps() {
		e.mu.Unlock()
		return false
	}
	j.silent, en.again, en.last = true, j.lease, &last
	en.dueAgain = time.Now().Add(j.p.Policy.RetryAfter)
	e.mu.Unlock()
	e.opts.Logger.Warn("attempt failed: another follows", "prompt", j.p.ID, "attempt", j.attempt, "after", j.p.Policy.RetryAfter, "error", failure)
	lk.stop()
	err := apart(func() error { return j.lease.Extend(ctx, max(j.p.Policy.RetryAfter, 0)) })
	if err != nil && !errors.Is(err, ErrLapsed) { // the lease lapses by itself
		e.opts.Logger.Warn("the next attempt begins later", "prompt", j.p.ID, "error", err)
	}
	if j.p.Policy.RetryAfter > 0 {
		e.listen(en, j.lease)
	}
	e.mu.Lock()
	interrupted := en.interrupted && en.again == j.lease
	e.mu.Unlock()
	if interrupted { // meanwhile
		e.interruptAgain(en)
	}
	return true
}

// listen receives the interrupts of a prompt until its next attempt: other engines cannot
// take the prompt out of the queue, because this engine has the lease. again is the lease.
func (e *Engine) listen(en *entry, again Lease) {
	var stop func()
	err := nodebus.Protect(func() (err error) {
		stop, err = e.opts.Signals.Receive(en.p.ID, func(s Signal) error {
			if s.Interrupt && e.pauses(en) {
				go e.interruptAgain(en) // a receiver does not wait
			}
			return nil
		})
		return err
	})
	if err != nil {
		e.opts.Logger.Warn("signals not received: an interrupt of another process acts at the next attempt", "prompt", en.p.ID, "error", err)
		return
	}
	unlisten := func() {
		go func() { // nobody waits for a slow stop
			if err := nodebus.Protect(func() error { stop(); return nil }); err != nil {
				e.opts.Logger.Error("signals not stopped", "prompt", en.p.ID, "error", err)
			}
		}()
	}
	e.mu.Lock()
	over := en.ends || en.again != again
	if !over {
		en.unlisten = unlisten
	}
	e.mu.Unlock()
	if over {
		unlisten()
	}
}

// pauses reports whether a prompt waits for its next attempt, and nobody has interrupted
// it. If so, it counts as interrupted from now on.
func (e *Engine) pauses(en *entry) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if en.again == nil || en.ends || en.interrupted {
		return false
	}
	en.interrupted = true
	return true
}

// interruptAgain ends a prompt that is interrupted before its next attempt. If the attempt
// begins at the same moment, it ends at once.
func (e *Engine) interruptAgain(en *entry) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	e.mu.Lock()
	again := en.again
	e.mu.Unlock()
	if again == nil {
		return
	}
	e.extendNow(ctx, again, en.p.ID)
	if _, err := e.endIf(ctx, en.p.ID, nodebus.ErrInterrupted, en.isOf); err != nil {
		e.opts.Logger.Warn("prompt not interrupted before its next attempt", "prompt", en.p.ID, "error", err)
	}
}
