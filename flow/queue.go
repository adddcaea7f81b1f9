package flow

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// ErrSecrets is the error of a queue that cannot keep secrets, and of Submit if its
// queue is one.
var ErrSecrets = errors.New("nodebus: this queue does not keep secrets; submit the prompt without them")

// ErrLapsed is the error of a lease that has run out: the prompt may have been taken
// again.
var ErrLapsed = errors.New("nodebus: the lease has lapsed")

// Queue keeps the prompts that wait, in order of priority, and among equals in order
// of arrival. It must be safe for concurrent use. It must not hold a lock while it
// calls skip.
type Queue interface {
	// Push adds a prompt, with the secrets that belong to it. If a prompt with the
	// same id waits, Push replaces it, and the prompt moves to its new place. Errors:
	// [nodebus.ErrFull] if there is no room, [ErrSecrets] if the queue cannot keep
	// secrets and there are some, [nodebus.ErrDuplicate] if the prompt of this id is
	// leased.
	Push(ctx context.Context, p *nodebus.Prompt, secrets map[string]string) error
	// Take waits for the first prompt whose client is not skipped and leases it. It
	// asks skip at most once for each client, in the order of their first prompts, so
	// that no prompt overtakes an earlier one of its client. The answers are forgotten
	// when Take returns. It returns ctx's error when ctx ends.
	//
	// The lease lapses after 30 seconds unless it is extended. The prompt then waits
	// again, in its old place, and the next lease counts one attempt more.
	Take(ctx context.Context, skip func(clientID string) bool) (Lease, error)
	// List yields the prompts that wait, in order. Leased prompts are not among them.
	List(ctx context.Context) iter.Seq2[*nodebus.Prompt, error]
	// Delete takes prompts that wait out and returns the ids of those that it found.
	Delete(ctx context.Context, promptIDs ...string) ([]string, error)
}

// Lease is a prompt taken from a queue. Its methods are safe for concurrent use.
type Lease interface {
	// Job returns the prompt, its secrets and the number of the attempt, from 1.
	Job() nodebus.Job
	// Extend makes the lease lapse d from now. It returns [ErrLapsed] if the lease has
	// lapsed already.
	Extend(ctx context.Context, d time.Duration) error
	// Done takes the prompt out of the queue for good. It returns [ErrLapsed] if the
	// lease has lapsed and the prompt was taken again.
	Done(ctx context.Context) error
	// Release gives the prompt back: it waits in its old place. It returns [ErrLapsed]
	// if the lease has lapsed.
	Release(ctx context.Context) error
}

// QueueOptions are the bounds of the queue that [NewQueue] makes. Nil, and each zero
// field, is the default.
type QueueOptions struct {
	// Len is how many prompts may wait. Default 10 000.
	Len int
}

// NewQueue returns a queue in memory. It keeps secrets. It is safe for concurrent
// use.
func NewQueue(opts *QueueOptions) Queue {
	q := &memQueue{max: 10_000, byID: map[string]*queued{}, changed: make(chan struct{})}
	if opts != nil {
		q.max = cmp.Or(opts.Len, q.max)
	}
	return q
}

type memQueue struct {
	max int

	mu      sync.Mutex
	waiting []*queued // in order
	leased  []*queued
	byID    map[string]*queued
	seq     uint64
	changed chan struct{} // closed and replaced when a prompt begins to wait
	version uint64        // counts changes of waiting
}

// queued is a prompt in the queue.
type queued struct {
	job    nodebus.Job
	seq    uint64    // order of arrival
	lapses time.Time // when its lease does; zero while it waits
}

func inOrder(a, b *queued) int {
	return cmp.Or(cmp.Compare(a.job.Prompt.Priority, b.job.Prompt.Priority), cmp.Compare(a.seq, b.seq))
}

func (q *memQueue) Push(_ context.Context, p *nodebus.Prompt, secrets map[string]string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lapse()
	old := q.byID[p.ID]
	switch {
	case old != nil && !old.lapses.IsZero():
		return nodebus.ErrDuplicate
	case old == nil && len(q.waiting) >= q.max:
		return nodebus.ErrFull
	}
	x := &queued{job: nodebus.Job{Prompt: p, Secrets: secrets}}
	if old != nil {
		x.job.Attempt = old.job.Attempt
		q.remove(old)
	}
	q.seq++
	x.seq = q.seq
	q.byID[p.ID] = x
	q.insert(x)
	return nil
}

// insert lets x wait in its place. q.mu is held.
func (q *memQueue) insert(x *queued) {
	x.lapses = time.Time{}
	at, _ := slices.BinarySearchFunc(q.waiting, x, inOrder)
	q.waiting = slices.Insert(q.waiting, at, x)
	q.version++
	close(q.changed)
	q.changed = make(chan struct{})
}

// remove takes x from those that wait. q.mu is held.
func (q *memQueue) remove(x *queued) {
	if at, found := slices.BinarySearchFunc(q.waiting, x, inOrder); found {
		q.waiting = slices.Delete(q.waiting, at, at+1)
		q.version++
	}
}

// lapse lets the prompts wait again whose leases have run out. q.mu is held.
func (q *memQueue) lapse() {
	now := time.Now()
	for i := 0; i < len(q.leased); {
		x := q.leased[i]
		if now.Before(x.lapses) {
			i++
			continue
		}
		q.leased = slices.Delete(q.leased, i, i+1)
		again := *x // a new value: the old lease no longer matches
		q.byID[x.job.Prompt.ID] = &again
		q.insert(&again)
	}
}

func (q *memQueue) Take(ctx context.Context, skip func(clientID string) bool) (Lease, error) {
	skipped := map[string]bool{}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		x, changed, wait := q.first(skipped, skip)
		if x != nil {
			return &memLease{q, x}, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// first leases the first prompt that is not skipped. If there is none, it returns
// what to wait for: a change, or the next lapse.
func (q *memQueue) first(skipped map[string]bool, skip func(string) bool) (*queued, <-chan struct{}, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lapse()
	version := q.version
	for i := 0; i < len(q.waiting); i++ {
		x := q.waiting[i]
		id := x.job.Prompt.ClientID
		skips, asked := skipped[id]
		if !asked {
			q.mu.Unlock()
			skips = skip(id)
			q.mu.Lock()
			skipped[id] = skips
			if q.version != version { // begin again: x may be gone, or no longer the first
				version, i = q.version, -1
				continue
			}
		}
		if !skips {
			q.waiting = slices.Delete(q.waiting, i, i+1)
			q.version++
			x.job.Attempt++
			x.lapses = time.Now().Add(leaseTime)
			q.leased = append(q.leased, x)
			return x, nil, 0
		}
	}
	wait := time.Hour
	for _, x := range q.leased {
		wait = min(wait, time.Until(x.lapses))
	}
	return nil, q.changed, max(wait, 0)
}

func (q *memQueue) List(context.Context) iter.Seq2[*nodebus.Prompt, error] {
	return func(yield func(*nodebus.Prompt, error) bool) {
		q.mu.Lock()
		q.lapse()
		all := slices.Clone(q.waiting)
		q.mu.Unlock()
		for _, x := range all {
			if !yield(x.job.Prompt, nil) {
				return
			}
		}
	}
}

func (q *memQueue) Delete(_ context.Context, ids ...string) (deleted []string, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lapse()
	for _, id := range ids {
		if x := q.byID[id]; x != nil && x.lapses.IsZero() {
			q.remove(x)
			delete(q.byID, id)
			deleted = append(deleted, id)
		}
	}
	return deleted, nil
}

// memLease is a lease of a memQueue.
type memLease struct {
	q *memQueue
	x *queued
}

func (l *memLease) Job() nodebus.Job { return l.x.job }

// hold calls f with the queue's lock held, unless the lease has lapsed.
func (l *memLease) hold(f func(at int)) error {
	l.q.mu.Lock()
	defer l.q.mu.Unlock()
	l.q.lapse()
	at := slices.Index(l.q.leased, l.x)
	if at < 0 {
		return ErrLapsed
	}
	f(at)
	return nil
}

func (l *memLease) Extend(_ context.Context, d time.Duration) error {
	return l.hold(func(int) { l.x.lapses = time.Now().Add(d) })
}

func (l *memLease) Done(context.Context) error {
	return l.hold(func(at int) {
		l.q.leased = slices.Delete(l.q.leased, at, at+1)
		delete(l.q.byID, l.x.job.Prompt.ID)
	})
}

func (l *memLease) Release(context.Context) error {
	return l.hold(func(at int) {
		l.q.leased = slices.Delete(l.q.leased, at, at+1)
		l.x.job.Attempt--
		l.q.insert(l.x)
	})
}
