package flow

import (
	"context"
	"errors"
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
	if err == nil || j.attempt > policy.Retries || j.en.refused != nil || j.ctx.Err() != nil {
		return false
	}
	if at := policy.Deadline; !at.IsZero() && !time.Now().Add(policy.RetryAfter).Before(at) {
		return false
	}
	final := false
	_ = nodebus.Protect(func() error {
		final = errors.Is(err, nodebus.ErrInterrupted) || errors.Is(err, nodebus.ErrRefused)
		return nil
	})
	return !final
}

// tryAgain lets the lease of a failed attempt lapse after RetryAfter, so that the queue
// gives the prompt out again. It returns false if the attempt has not the lease any more,
// or if the prompt is interrupted.
func (e *Engine) tryAgain(j *job, failure error, keep *leaseKeeper) bool {
	late := j.isLate()
	en := j.en
	e.mu.Lock()
	if late || j.lapsed || en.ends || en.interrupted {
		e.mu.Unlock()
		return false
	}
	j.lapsed, en.again = true, j.lease
	e.mu.Unlock()
	e.opts.Logger.Warn("attempt failed: another follows", "prompt", j.p.ID, "attempt", j.attempt, "after", j.p.Policy.RetryAfter, "error", failure)
	keep.stop()
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	err := apart(func() error { return j.lease.Extend(ctx, max(j.p.Policy.RetryAfter, 0)) })
	if err != nil && !errors.Is(err, ErrLapsed) { // the lease lapses by itself
		e.opts.Logger.Warn("the next attempt begins later", "prompt", j.p.ID, "error", err)
	}
	e.mu.Lock()
	interrupted := en.interrupted
	e.mu.Unlock()
	if interrupted { // meanwhile
		e.extendNow(ctx, j.lease, j.p.ID)
	}
	return true
}

// expires ends a prompt that still waits when its deadline passes. An attempt has the
// deadline in its context.
func (e *Engine) expires(en *entry) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	e.mu.Lock()
	again := en.again
	e.mu.Unlock()
	if again != nil {
		e.extendNow(ctx, again, en.p.ID)
	}
	gone, err := e.remove(ctx, en.p.ID)
	for _, p := range gone {
		e.endWaiting(p, errDeadline)
	}
	if err != nil { // the prompt fails when it is taken
		e.opts.Logger.Error("prompt not ended at its deadline", "prompt", en.p.ID, "error", err)
	}
}

// setDeadline starts the timer of a waiting prompt with a deadline.
func (e *Engine) setDeadline(en *entry) {
	at := en.p.Policy.Deadline
	if at.IsZero() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !en.ends {
		en.expires = time.AfterFunc(time.Until(at), func() { e.expires(en) })
	}
}
