package bolt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"go.etcd.io/bbolt"
)

// Take writes the number of the attempt before it returns the lease: if the process dies
// then, the next process knows that the attempt may have begun. While the disk is full, Take
// waits: an error that lasts would end the engine, and with it the prompts that run.
func (q *queue) Take(ctx context.Context, skip func(clientID string) bool) (flow.Lease, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(q.d.life, func() { cancel(nodebus.ErrClosed) })()
	skips := map[string]bool{} // a prompt that leaves the queue must not make Take ask again
	remembers := func(client string) bool {
		skipped, known := skips[client]
		if !known {
			skipped = skip(client)
			skips[client] = skipped
		}
		return skipped
	}
	pause := firstPause
	for {
		inner, err := q.mem.Take(ctx, remembers)
		if err == nil {
			var l flow.Lease
			if l, err = q.lease(ctx, inner); err == nil {
				q.fails(nil)
				return l, nil
			}
		}
		switch {
		case q.closed() != nil:
			return nil, nodebus.ErrClosed
		case errors.Is(err, ErrWrite):
			q.fails(err)
			sleep(ctx, pause)
			pause = min(2*pause, lastPause)
		case !errors.Is(err, errGone) && !errors.Is(err, flow.ErrLapsed):
			return nil, err
		}
	}
}

// The pauses of a Take while the disk takes nothing.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = time.Second
)

// sleep returns after a duration, or when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// fails tells the logger that Take cannot write an attempt, or, if err is nil, that it can
// again: once for all failures in a row. q.mu is not held.
func (q *queue) fails(err error) {
	q.mu.Lock()
	same := q.failing == (err != nil)
	q.failing = err != nil
	q.mu.Unlock()
	if same {
		return
	}
	_ = nodebus.Protect(func() error {
		if err == nil {
			q.d.logger.Info("bolt: the disk takes attempts again", "file", q.d.path)
		} else {
			q.d.logger.Error("bolt: no attempt can be written; prompts wait until the disk takes it. Look for room on the disk",
				"file", q.d.path, "error", err)
		}
		return nil
	})
}

// TakeOne writes the number of the attempt, as Take does. It does not wait for a full disk.
func (q *queue) TakeOne(ctx context.Context, id string) (flow.Lease, error) {
	if err := q.closed(); err != nil {
		return nil, err
	}
	for {
		inner, err := q.mem.TakeOne(ctx, id)
		if err != nil {
			return nil, err
		}
		l, err := q.lease(ctx, inner)
		switch {
		case err == nil:
			return l, nil
		case errors.Is(err, errGone):
			return nil, fmt.Errorf("%w: prompt %q has left the queue", flow.ErrNotFound, id)
		case !errors.Is(err, flow.ErrLapsed):
			return nil, err
		}
	}
}

// leaseTime is how long a lease lasts, see [flow.Queue].
const leaseTime = 30 * time.Second

// writeTime is longer than any disk needs.
const writeTime = 1000 * time.Hour

// lease writes that an attempt begins. It returns errGone if the prompt has left the queue
// in the meantime. The lease does not lapse while the disk works, because nobody else can have
// begun the attempt. Its time begins after that.
func (q *queue) lease(ctx context.Context, inner flow.Lease) (flow.Lease, error) {
	job := inner.Job()
	err := inner.Extend(ctx, writeTime)
	if err != nil { // it has lapsed
		q.giveBack(ctx, inner)
		return nil, err
	}
	e, err := q.settled(ctx, job.Prompt.ID)
	if err != nil {
		q.giveBack(ctx, inner)
		return nil, err
	}
	if e == nil {
		q.mu.Unlock()
		q.giveBack(ctx, inner)
		return nil, errGone
	}
	before := e.place.attempts
	job.Attempt += e.base
	e.place.attempts = job.Attempt
	wait := q.beginPlace(e)
	q.mu.Unlock()
	if err = wait(ctx); err == nil {
		if err = inner.Extend(ctx, leaseTime); err == nil {
			return &lease{q: q, e: e, mem: inner, job: job}, nil
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case e.gone || errors.Is(err, errGone): // its Push has failed
		q.giveUp(ctx, inner)
		return nil, errGone
	case inner.Release(ctx) == nil && e.place.attempts == job.Attempt:
		e.place.attempts = before
	}
	return nil, err
}

// giveBack gives a prompt back to memory, or gives it up if it has left the queue.
func (q *queue) giveBack(ctx context.Context, inner flow.Lease) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.entries[inner.Job().Prompt.ID] == nil {
		q.giveUp(ctx, inner)
	} else {
		_ = inner.Release(ctx)
	}
}

// giveUp removes a prompt from memory that has left the queue while a Take had it. q.mu is
// held.
func (q *queue) giveUp(ctx context.Context, inner flow.Lease) {
	if inner.Done(ctx) != nil && q.entries[inner.Job().Prompt.ID] == nil { // it has lapsed, so it waits in memory
		_, _ = q.mem.Delete(ctx, inner.Job().Prompt.ID)
	}
	close(q.gaveUp)
	q.gaveUp = make(chan struct{})
}

// lease is a [flow.Lease]. How long it lasts is known in memory only: when the process
// ends, nobody holds it any more.
type lease struct {
	q   *queue
	e   *entry
	mem flow.Lease
	job nodebus.Job
}

func (l *lease) Job() nodebus.Job { return l.job }

func (l *lease) Extend(ctx context.Context, d time.Duration) error {
	if err := l.q.closed(); err != nil {
		return err
	}
	return l.mem.Extend(ctx, d)
}

// Done removes the prompt and its signals from memory first, and then from the file, see
// beginDelete. If the disk fails, the next change of the file removes them. A signal that is sent
// later is for the next prompt with the id.
func (l *lease) Done(ctx context.Context) error {
	q := l.q
	q.mu.Lock()
	if err := q.closed(); err != nil {
		q.mu.Unlock()
		return err
	}
	if err := l.mem.Done(ctx); err != nil {
		q.mu.Unlock()
		return err
	}
	id, born := l.job.Prompt.ID, l.e.born
	q.forget(id, l.e)
	upTo, _ := q.d.signals.forget(id)
	c := q.d.owe(func(tx *bbolt.Tx) error { return removeEnded(tx, born, id, upTo) })
	q.mu.Unlock()
	return q.d.wait(ctx, c)
}

// Release gives the place back in memory first. If the disk fails, the next process counts
// the attempt.
func (l *lease) Release(ctx context.Context) error {
	q := l.q
	q.mu.Lock()
	if err := q.closed(); err != nil {
		q.mu.Unlock()
		return err
	}
	if err := l.mem.Release(ctx); err != nil {
		q.mu.Unlock()
		return err
	}
	l.e.place.attempts = l.job.Attempt - 1
	wait := q.beginPlace(l.e)
	q.mu.Unlock()
	return wait(ctx)
}
