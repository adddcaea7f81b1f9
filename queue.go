package nodebus

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
)

// Queue holds the prompts that are to be run, in order of priority, and among
// equals in that of arrival. It must be safe for concurrent use.
type Queue interface {
	// Push adds a prompt; [ErrFull] if there is no room.
	Push(ctx context.Context, p *Prompt) error
	// Pop waits for the first prompt that ready accepts and takes it out. ready
	// must be asked anew in each call; it does not wait.
	Pop(ctx context.Context, ready func(*Prompt) bool) (*Prompt, error)
	// List yields what is waiting, in order.
	List(ctx context.Context) iter.Seq2[*Prompt, error]
	// Delete takes prompts out and returns the ids of those that were in.
	Delete(ctx context.Context, promptIDs ...string) ([]string, error)
}

// NewQueue returns a queue in memory for at most max prompts; 0 is 10 000.
func NewQueue(max int) Queue {
	return &memQueue{max: orDefault(max, 10_000), changed: make(chan struct{})}
}

type memQueue struct {
	max int

	mu      sync.Mutex
	prompts []*Prompt     // in order
	changed chan struct{} // closed and replaced by every Push
}

func (q *memQueue) Push(_ context.Context, p *Prompt) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.prompts) >= q.max {
		return ErrFull
	}
	at, _ := slices.BinarySearchFunc(q.prompts, p.Priority, func(o *Prompt, prio float64) int {
		if c := cmp.Compare(o.Priority, prio); c != 0 {
			return c
		}
		return -1 // behind its equals
	})
	q.prompts = slices.Insert(q.prompts, at, p)
	close(q.changed)
	q.changed = make(chan struct{})
	return nil
}

func (q *memQueue) Pop(ctx context.Context, ready func(*Prompt) bool) (*Prompt, error) {
	for {
		q.mu.Lock()
		if err := ctx.Err(); err != nil {
			q.mu.Unlock()
			return nil, err
		}
		if i := slices.IndexFunc(q.prompts, ready); i >= 0 {
			p := q.prompts[i]
			q.prompts = slices.Delete(q.prompts, i, i+1)
			q.mu.Unlock()
			return p, nil
		}
		changed := q.changed
		q.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *memQueue) List(context.Context) iter.Seq2[*Prompt, error] {
	return func(yield func(*Prompt, error) bool) {
		q.mu.Lock()
		all := slices.Clone(q.prompts)
		q.mu.Unlock()
		for _, p := range all {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func (q *memQueue) Delete(_ context.Context, ids ...string) (deleted []string, err error) {
	want := make(map[string]bool, len(ids))
	for _, id := range ids {
		want[id] = true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.prompts = slices.DeleteFunc(q.prompts, func(p *Prompt) bool {
		if want[p.ID] {
			deleted = append(deleted, p.ID)
		}
		return want[p.ID]
	})
	return deleted, nil
}
