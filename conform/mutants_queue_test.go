package conform_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/flow"
)

func limitsMutant(opts *flow.QueueOptions, mutate ...func(flow.Queue) flow.Queue) func(*testing.T) {
	return func(t *testing.T) {
		conform.QueueLimits(t, func(*testing.T) flow.Queue {
			q := flow.NewQueue(opts)
			for _, m := range mutate {
				q = m(q)
			}
			return q
		})
	}
}

// freesLeased lets a client push one prompt more for each prompt that is leased: it moves
// the leased prompts to a queue without limits.
type freesLeased struct {
	flow.Queue
	leased flow.Queue
}

func (q *freesLeased) Take(ctx context.Context, skip func(string) bool) (flow.Lease, error) {
	l, err := q.Queue.Take(ctx, skip)
	if err != nil {
		return nil, err
	}
	if q.leased == nil {
		q.leased = flow.NewQueue(nil)
	}
	if err := errors.Join(q.leased.Push(ctx, l.Job().Prompt, nil), l.Done(ctx)); err != nil {
		return nil, err
	}
	return q.leased.Take(ctx, skip)
}

func storeMutant(mutate func(flow.Store) flow.Store) func(*testing.T) {
	return func(t *testing.T) {
		conform.Store(t, func(*testing.T) flow.Store { return mutate(flow.NewStore(nil)) })
	}
}

// collect returns all that a listing yields.
func collect[T any](seq iter.Seq2[T, error]) (all []T) {
	for v, err := range seq {
		if err != nil {
			panic(err)
		}
		all = append(all, v)
	}
	return all
}

// each yields values without errors.
func each[T any](lists ...func() []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, list := range lists {
			for _, v := range list() {
				if !yield(v, nil) {
					return
				}
			}
		}
	}
}

type (
	listsAll          struct{ flow.Queue }
	listsWaitingFirst struct{ flow.Queue }
	listsInSteps      struct{ flow.Queue }
	countsLeased      struct{ flow.Queue }
)

func (q listsAll) List(ctx context.Context, _ ...string) iter.Seq2[flow.Queued, error] {
	return q.Queue.List(ctx)
}

func (q listsWaitingFirst) List(ctx context.Context, ids ...string) iter.Seq2[flow.Queued, error] {
	return each(some(q.Queue, false, ctx, ids), some(q.Queue, true, ctx, ids))
}

// List lists the waiting prompts after it has yielded the leased prompts.
func (q listsInSteps) List(ctx context.Context, ids ...string) iter.Seq2[flow.Queued, error] {
	return each(some(q.Queue, true, ctx, ids), some(q.Queue, false, ctx, ids))
}

// some returns a function that lists the leased or the waiting prompts.
func some(q flow.Queue, leased bool, ctx context.Context, ids []string) func() []flow.Queued { //nolint:revive // in the order of the words
	return func() []flow.Queued {
		return slices.DeleteFunc(collect(q.List(ctx, ids...)), func(p flow.Queued) bool { return p.Leased != leased })
	}
}

func (q countsLeased) Len(ctx context.Context) (waiting, leased int, err error) {
	waiting, leased, err = q.Queue.Len(ctx)
	return waiting + leased, leased, err
}

// dropsEnded drops a lease if the context of Take has ended meanwhile.
type dropsEnded struct{ flow.Queue }

func (q dropsEnded) Take(ctx context.Context, skip func(string) bool) (flow.Lease, error) {
	l, err := q.Queue.Take(ctx, skip)
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Millisecond):
		return l, nil
	}
}

// testReopensWithoutLeases opens a new queue in which everything waits.
func testReopensWithoutLeases(t *testing.T) {
	conform.QueueReopens(t, func(t *testing.T) (flow.Queue, func() flow.Queue) {
		q := flow.NewQueue(nil)
		return q, func() flow.Queue {
			next := flow.NewQueue(nil)
			for _, p := range collect(q.List(t.Context())) {
				_ = next.Push(t.Context(), p.Prompt, nil)
			}
			return next
		}
	})
}

// testReopensWithOneLease lets the first lease lapse when it is opened again.
func testReopensWithOneLease(t *testing.T) {
	conform.QueueReopens(t, func(t *testing.T) (flow.Queue, func() flow.Queue) {
		var leases []flow.Lease
		q := leased{flow.NewQueue(nil), func(l flow.Lease) flow.Lease { leases = append(leases, l); return l }}
		return q, func() flow.Queue {
			if len(leases) > 0 {
				_ = leases[0].Extend(t.Context(), 0)
			}
			return q
		}
	})
}

// testReopensOldRecords opens a store that has the first record of each id.
func testReopensOldRecords(t *testing.T) {
	conform.StoreReopens(t, func(t *testing.T) (flow.Store, func() flow.Store) {
		s := flow.NewStore(nil)
		return s, func() flow.Store {
			next := flow.NewStore(nil)
			for _, r := range slices.Backward(collect(s.List(t.Context()))) {
				r.Attempt = 2
				_ = next.Put(t.Context(), r)
			}
			return next
		}
	})
}

type (
	listsByNumber struct{ flow.Store }
	oldestFirst   struct{ flow.Store }
	lockedStore   struct {
		flow.Store
		mu sync.Mutex
	}
)

// List asks for the next record by its number in the list, which changes when records are
// added.
func (s listsByNumber) List(ctx context.Context) iter.Seq2[flow.Record, error] {
	return func(yield func(flow.Record, error) bool) {
		for n := 0; ; n++ {
			all := collect(s.Store.List(ctx))
			if n >= len(all) || !yield(all[n], nil) {
				return
			}
		}
	}
}

func (s oldestFirst) List(ctx context.Context) iter.Seq2[flow.Record, error] {
	return each(func() []flow.Record {
		all := collect(s.Store.List(ctx))
		slices.Reverse(all)
		return all
	})
}

func (s *lockedStore) List(ctx context.Context) iter.Seq2[flow.Record, error] {
	return func(yield func(flow.Record, error) bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.Store.List(ctx)(yield)
	}
}

func (s *lockedStore) Put(ctx context.Context, r flow.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Store.Put(ctx, r)
}

func (s *lockedStore) Delete(ctx context.Context, ids ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Store.Delete(ctx, ids...)
}
