package nats

import (
	"cmp"
	"context"
	"iter"
	"math"
	"slices"

	"github.com/nodebus/nodebus/flow"
)

// The prompts that List reads at the same time.
const (
	pageLen   = 16
	pageBytes = 4 << 20
)

// List yields what the queue has at one moment, as this process knows it. It reads some
// prompts at a time.
func (q *queue) List(ctx context.Context, ids ...string) iter.Seq2[flow.Queued, error] {
	return func(yield func(flow.Queued, error) bool) {
		all, err := q.snapshot(ctx, ids)
		if err != nil {
			yield(flow.Queued{}, err)
			return
		}
		for most := 1; len(all) > 0; most = min(2*most, pageLen) { // who stops early reads little
			n, size := 0, 0
			for n < min(most, len(all)) && (n == 0 || size+all[n].Size <= pageBytes) {
				size += all[n].Size
				n++
			}
			found, err := q.page(ctx, all[:n])
			for _, x := range found {
				if x.Prompt != nil && !yield(x, nil) {
					return
				}
			}
			if err != nil {
				yield(flow.Queued{}, err)
				return
			}
			all = all[n:]
		}
	}
}

// page reads the prompts of a part of a listing. A prompt that has left the queue is nil.
func (q *queue) page(ctx context.Context, all []*item) ([]flow.Queued, error) {
	ctx, stop := bounded(ctx)
	defer stop()
	found := make([]flow.Queued, len(all))
	return found, atOnce(len(all), func(i int) error {
		was := all[i]
		q.mu.Lock()
		x, err := q.byToken[was.token], q.err
		q.mu.Unlock()
		if err != nil || x == nil || x.Born != was.Born {
			return err
		}
		b, err := q.fetch(ctx, x)
		switch {
		case isNotFound(err):
			return nil
		case err != nil:
			return err
		}
		found[i] = flow.Queued{Prompt: b.prompt, Attempt: x.Attempt, Leased: was.Lease != ""}
		return nil
	})
}

// snapshot returns the prompts with these ids, or all: first the leased prompts.
func (q *queue) snapshot(ctx context.Context, ids []string) (all []*item, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.current(ctx); err != nil {
		return nil, err
	}
	if len(ids) > 0 {
		tokens := map[string]bool{}
		for _, id := range ids {
			t := token(id)
			if x := q.byToken[t]; x != nil && !tokens[t] {
				all = append(all, x)
			}
			tokens[t] = true
		}
	} else {
		for _, x := range q.leased {
			all = append(all, x)
		}
		all = append(all, q.waiting...)
	}
	slices.SortFunc(all, func(a, b *item) int {
		switch leased := a.Lease != ""; {
		case leased && b.Lease != "":
			return cmp.Compare(a.Taken, b.Taken)
		case leased:
			return -1
		case b.Lease != "":
			return 1
		}
		return inOrder(a, b)
	})
	return all, nil
}

// LastPriority returns the largest priority up to most of the prompts that wait, and -Inf if
// there is none; see [flow.Queue]. What others have pushed, it knows a moment later.
func (q *queue) LastPriority(ctx context.Context, most float64) (float64, error) {
	ctx, stop := bounded(ctx)
	defer stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.current(ctx); err != nil {
		return 0, err
	}
	at, _ := slices.BinarySearchFunc(q.waiting, most, func(x *item, most float64) int {
		if x.Priority <= most {
			return -1
		}
		return 1
	})
	if at == 0 {
		return math.Inf(-1), nil
	}
	return q.waiting[at-1].Priority, nil
}
