package nats

import (
	"context"
	"errors"
	"iter"
	"time"

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

// page reads the prompts of a part of a listing. A prompt that has left the queue is nil. Of a
// prompt that cannot be read, it has what the header says.
func (q *queue) page(ctx context.Context, all []*item) ([]flow.Queued, error) {
	ctx, stop, err := q.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	found := make([]flow.Queued, len(all))
	return found, atOnce(len(all), func(i int) error {
		x := all[i]
		q.mu.Lock()
		now := q.index.byToken[x.token]
		q.mu.Unlock()
		if now == nil || now.Born != x.Born {
			return nil
		}
		b, err := q.fetch(ctx, x)
		switch {
		case isNotFound(err):
			return nil
		case err != nil && !errors.Is(err, errUnreadable): // otherwise the others are listed, and this one can be deleted
			return err
		}
		found[i] = flow.Queued{Prompt: b.prompt, Attempt: x.Attempt, Leased: x.Lease != ""}
		return nil
	})
}

// snapshot returns the prompts with these ids, or all.
func (q *queue) snapshot(ctx context.Context, ids []string) ([]*item, error) {
	ctx, stop, err := q.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	if err := q.hasOwn(ctx); err != nil {
		return nil, err
	}
	tokens := make([]string, len(ids))
	for i, id := range ids {
		tokens[i] = token(id)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.index.lapse()
	return q.index.snapshot(tokens), nil
}

var (
	_ flow.SharedQueue   = (*queue)(nil)
	_ flow.ExpiringQueue = (*queue)(nil)
)

// LastPriority returns the largest priority up to most of the prompts that wait, and -Inf if
// there is none; see [flow.SharedQueue]. What others have pushed, it knows a moment later.
func (q *queue) LastPriority(ctx context.Context, most float64) (float64, error) {
	ctx, stop, err := q.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer stop()
	if err := q.hasOwn(ctx); err != nil {
		return 0, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.index.lapse()
	return q.index.lastPriority(most), nil
}

// Expired returns the ids of the prompts that wait and whose deadlines are before now; see
// [flow.ExpiringQueue]. What others have pushed, it knows a moment later.
func (q *queue) Expired(ctx context.Context, now time.Time) ([]string, error) {
	ctx, stop, err := q.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	if err := q.hasOwn(ctx); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.index.lapse()
	return q.index.expired(now), nil
}
