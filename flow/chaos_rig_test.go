package flow_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

var errChaos = errors.New("chaos")

// dice are random numbers for several goroutines.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

func newDice(seed uint64) *dice { return &dice{r: rand.New(rand.NewPCG(seed, 1))} }

func (d *dice) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(n)
}

// chance is true in percent of the calls.
func (d *dice) chance(percent int) bool { return d.n(100) < percent }

// upTo returns a random duration.
func (d *dice) upTo(most time.Duration) time.Duration {
	return time.Duration(d.n(int(most/time.Millisecond))) * time.Millisecond
}

// chaosQueue is a queue as one engine sees it: some calls fail, before or after they had
// their effect.
type chaosQueue struct {
	flow.Queue
	*dice
	calm *atomic.Bool // nothing fails
	cut  atomic.Bool  // no call succeeds
}

// fails reports whether a call fails.
func (q *chaosQueue) fails(percent int) bool {
	return !q.calm.Load() && (q.cut.Load() || q.chance(percent))
}

func (q *chaosQueue) Push(ctx context.Context, p *nodebus.Prompt, secrets map[string]string) error {
	if q.fails(3) {
		return errChaos
	}
	return q.Queue.Push(ctx, p, secrets)
}

func (q *chaosQueue) Take(ctx context.Context, skip func(string) bool) (flow.Lease, error) {
	if q.fails(5) {
		return nil, errChaos
	}
	l, err := q.Queue.Take(ctx, skip)
	if err == nil && q.fails(3) {
		return nil, errChaos // the prompt is leased, but nobody knows
	}
	return chaosLease{l, q}, err
}

func (q *chaosQueue) TakeOne(ctx context.Context, id string) (flow.Lease, error) {
	if q.fails(5) {
		return nil, errChaos
	}
	l, err := q.Queue.TakeOne(ctx, id)
	if err == nil && q.fails(3) {
		return nil, errChaos
	}
	return chaosLease{l, q}, err
}

func (q *chaosQueue) List(ctx context.Context, ids ...string) iter.Seq2[flow.Queued, error] {
	return func(yield func(flow.Queued, error) bool) {
		if q.fails(5) {
			yield(flow.Queued{}, errChaos)
			return
		}
		q.Queue.List(ctx, ids...)(yield)
	}
}

func (q *chaosQueue) Move(ctx context.Context, id string, priority float64) error {
	if q.fails(5) {
		return errChaos
	}
	return q.Queue.Move(ctx, id, priority)
}

func (q *chaosQueue) Delete(ctx context.Context, ids ...string) ([]*nodebus.Prompt, error) {
	if q.fails(5) {
		return nil, errChaos
	}
	return q.Queue.Delete(ctx, ids...)
}

func (q *chaosQueue) Len(ctx context.Context) (waiting, leased int, err error) {
	if q.fails(5) {
		panic(errChaos)
	}
	return q.Queue.Len(ctx)
}

type chaosLease struct {
	flow.Lease
	q *chaosQueue
}

func (l chaosLease) call(f func() error) error {
	if l.q.fails(15) {
		return errChaos
	}
	if err := f(); err != nil {
		return err
	}
	if l.q.fails(5) {
		return errChaos
	}
	return nil
}

func (l chaosLease) Extend(ctx context.Context, d time.Duration) error {
	return l.call(func() error { return l.Lease.Extend(ctx, d) })
}

func (l chaosLease) Done(ctx context.Context) error {
	return l.call(func() error { return l.Lease.Done(ctx) })
}

func (l chaosLease) Release(ctx context.Context) error {
	return l.call(func() error { return l.Lease.Release(ctx) })
}

// chaosNode works for a while, or fails, or does not obey.
func chaosNode(d *dice) func(ctx *nodebus.Context, in, _ any) (any, error) {
	return func(ctx *nodebus.Context, in, _ any) (any, error) {
		ctx.Progress(1, 2)
		if d.chance(5) { // a node that does not obey
			time.Sleep(d.upTo(20 * time.Second))
			_ = ctx.SendSync(nodebus.Custom{Type: "late"})
			return in, nil
		}
		work := d.upTo(time.Second)
		if d.chance(20) {
			work = d.upTo(90 * time.Second)
		}
		select {
		case <-time.After(work):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		switch {
		case d.chance(10):
			return nil, errChaos
		case d.chance(2):
			panic(errChaos)
		}
		return fmt.Sprint(in, ctx.Attempt()), nil
	}
}
