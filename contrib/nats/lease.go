package nats

import (
	"context"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// lease is a [flow.Lease]. Each of its changes says which state it replaces, so that a
// lease can do nothing after somebody else has taken the prompt.
type lease struct {
	q   *queue
	job nodebus.Job

	turn  chan struct{} // holds a token while a method runs; it guards the fields below
	x     item          // the state that this lease has stored
	until time.Time     // not later than the time at which another process takes it for lapsed
	ended bool
}

func (l *lease) Job() nodebus.Job { return l.job }

func (l *lease) Extend(ctx context.Context, d time.Duration) error {
	return l.change(ctx, func(x *meta) { x.Lasts = d })
}

// Done stores the events that were published before, and then removes the prompt: if this
// process dies in between, the prompt runs again, and nobody misses the end of the first
// attempt.
func (l *lease) Done(ctx context.Context) error {
	ctx, stop, err := l.q.begin(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if err := l.q.flush(ctx); err != nil {
		return err
	}
	err = l.change(ctx, func(x *meta) { *x = meta{Gone: true, By: x.Lease} })
	if err == nil {
		l.q.cleanLater(&l.x)
	}
	return err
}

func (l *lease) Release(ctx context.Context) error {
	return l.change(ctx, func(x *meta) {
		by := x.Lease
		*x = l.x.waits(false)
		x.By = by
	})
}

// change replaces the state of the lease.
func (l *lease) change(ctx context.Context, f func(*meta)) error {
	ctx, stop, err := l.q.begin(ctx)
	if err != nil {
		return err
	}
	defer stop()
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return l.q.overdue(ctx)
	}
	defer func() { <-l.turn }()
	began := time.Now()
	if l.ended || !began.Before(l.until) {
		l.ended = true
		return flow.ErrLapsed
	}
	next := l.x.meta
	f(&next)
	seq, err := l.q.prompts.replace(ctx, &l.x, next)
	switch {
	case isLapsed(err):
		l.ended = true
		return err
	case err != nil:
		return err
	}
	l.q.changes(seq)
	l.x.meta.Lasts, l.x.state = next.Lasts, seq
	l.ended = next.Gone || next.Lease == ""
	l.until = began.Add(next.Lasts)
	return nil
}
