package flow

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// leaseTime is how long the queue keeps a prompt for this process without hearing
// from it. The engine extends a lease three times as often.
const leaseTime = 30 * time.Second

// Queue keeps the prompts that wait, in order of priority, and among equals in order
// of arrival. It must be safe for concurrent use. It must not hold a lock while it
// calls skip: skip may call the queue.
type Queue interface {
	// Push adds a prompt, with the secrets that belong to it. If a prompt with the
	// same id waits, Push replaces the prompt and its secrets and moves it to its new
	// place. Errors: [ErrFull] if there is no room, [ErrSecrets] if the queue
	// cannot keep secrets and there are some, [ErrDuplicate] if the prompt of
	// this id is leased.
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
	// Delete removes prompts that wait and returns the ids of the prompts that it
	// found. A leased prompt stays.
	Delete(ctx context.Context, promptIDs ...string) ([]string, error)
}

// Lease is a prompt taken from a queue. Its methods are safe for concurrent use. A
// lease ends when it lapses, and with Done or Release. After that, Extend, Done and
// Release do nothing and return [ErrLapsed], also if the prompt was leased again.
type Lease interface {
	// Job returns the prompt, its secrets and the number of the attempt, from 1.
	Job() nodebus.Job
	// Extend makes the lease lapse d from now, which may be sooner than before.
	Extend(ctx context.Context, d time.Duration) error
	// Done removes the prompt from the queue for good.
	Done(ctx context.Context) error
	// Release gives the prompt back: it waits in its old place, and this attempt does
	// not count.
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
	changed chan struct{} // closed and replaced when Take must look again
	version uint64        // counts changes of waiting
}

// queued is a prompt in the queue. A lease holds a pointer to the queued that it has
// taken; a prompt that waits again is a new queued, so that no old lease matches it.
type queued struct {
	job    nodebus.Job // does not change
	seq    uint64      // order of arrival
	lapses time.Time   // when its lease does; zero while it waits
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
		return ErrDuplicate
	case old == nil && len(q.waiting) >= q.max:
		return ErrFull
	}
	x := &queued{job: nodebus.Job{Prompt: p, Attempt: 1, Secrets: maps.Clone(secrets)}}
	if old != nil {
		x.job.Attempt = old.job.Attempt
		q.remove(old)
	}
	q.seq++
	x.seq = q.seq
	q.insert(x)
	return nil
}

// insert makes x wait in its place. q.mu is held.
func (q *memQueue) insert(x *queued) {
	at, _ := slices.BinarySearchFunc(q.waiting, x, inOrder)
	q.waiting = slices.Insert(q.waiting, at, x)
	q.byID[x.job.Prompt.ID] = x
	q.version++
	q.wake()
}

// wake makes every Take that waits look again. q.mu is held.
func (q *memQueue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// remove takes x from the prompts that wait. q.mu is held.
func (q *memQueue) remove(x *queued) {
	if at, found := slices.BinarySearchFunc(q.waiting, x, inOrder); found {
		q.waiting = slices.Delete(q.waiting, at, at+1)
		q.version++
	}
}

// lapse makes the prompts wait again whose leases have run out. q.mu is held.
func (q *memQueue) lapse() {
	now := time.Now()
	for at := 0; at < len(q.leased); {
		if x := q.leased[at]; now.Before(x.lapses) {
			at++
		} else {
			q.again(at, x.job.Attempt+1)
		}
	}
}

// again ends a lease and makes its prompt wait again. q.mu is held.
func (q *memQueue) again(at, attempt int) {
	x := *q.leased[at]
	q.leased = slices.Delete(q.leased, at, at+1)
	x.job.Attempt, x.lapses = attempt, time.Time{}
	q.insert(&x)
}

func (q *memQueue) Take(ctx context.Context, skip func(clientID string) bool) (Lease, error) {
	s := search{q: q, skips: map[string]bool{}}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		lease, ask, changed, wait := s.next()
		switch {
		case lease != nil:
			return lease, nil
		case ask != nil:
			s.skips[*ask] = skip(*ask)
			continue
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

// search is one call of Take.
type search struct {
	q       *memQueue
	skips   map[string]bool // answers, by client
	at      int             // the prompts before this place are skipped
	version uint64          // of the queue, when at was true
}

// next leases the first prompt that is not skipped. If it does not know yet whether a
// client is skipped, it returns the client to ask about. If every prompt is skipped,
// it returns how long to wait: until the queue changes, or until the next lapse.
func (s *search) next() (lease Lease, ask *string, changed <-chan struct{}, wait time.Duration) {
	q := s.q
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lapse()
	if s.version != q.version {
		s.version, s.at = q.version, 0
	}
	for ; s.at < len(q.waiting); s.at++ {
		x := q.waiting[s.at]
		client := x.job.Prompt.ClientID
		skipped, known := s.skips[client]
		switch {
		case !known:
			return nil, &client, nil, 0
		case !skipped:
			q.remove(x)
			x.lapses = time.Now().Add(leaseTime)
			q.leased = append(q.leased, x)
			return &memLease{q, x}, nil, nil, 0
		}
	}
	wait = time.Hour
	for _, x := range q.leased {
		wait = min(wait, time.Until(x.lapses))
	}
	return nil, nil, q.changed, wait
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

type memLease struct {
	q *memQueue
	x *queued
}

func (l *memLease) Job() nodebus.Job { return l.x.job }

// hold calls f with the queue's lock held, unless the lease has ended. at is the
// place of the prompt among the leased ones.
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
	return l.hold(func(int) {
		l.x.lapses = time.Now().Add(d)
		l.q.wake() // the lease may lapse sooner than a Take expects
	})
}

func (l *memLease) Done(context.Context) error {
	return l.hold(func(at int) {
		l.q.leased = slices.Delete(l.q.leased, at, at+1)
		delete(l.q.byID, l.x.job.Prompt.ID)
	})
}

func (l *memLease) Release(context.Context) error {
	return l.hold(func(at int) { l.q.again(at, l.x.job.Attempt) })
}
