package flow

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// leaseTime is how long a lease lasts unless the engine extends it. The engine
// extends a lease every leaseTime/3.
const leaseTime = 30 * time.Second

// Queue holds the prompts that wait and the prompts that are leased, which means that
// they run. It is the truth about both: an engine asks it and remembers nothing of its
// own, because several engines may share a queue, and a queue may outlive its process.
// It orders waiting prompts by priority, then by arrival. It must be safe for concurrent use. It must
// not hold a lock while it calls skip, because skip may call the queue. It has six
// methods, because each of them must be one step: none can be made of the others.
type Queue interface {
	// Push adds a prompt with its secrets. Errors: [ErrDuplicate] if a prompt with the
	// same id waits or is leased; [ErrFull] if the queue has no room, or no room for this
	// client; [ErrSecrets] if there are secrets and the queue cannot keep secrets.
	Push(ctx context.Context, p *nodebus.Prompt, secrets map[string]string) error
	// Take waits for the first prompt whose client is not skipped, and leases the
	// prompt. A client whose skip result is true is skipped. Take calls skip at most
	// once for each client, in the order of the clients' first prompts, so that a
	// prompt never overtakes an earlier prompt of the same client. Take forgets the
	// results of skip when it returns. It returns the error of ctx when ctx ends.
	//
	// The lease lapses after 30 seconds unless it is extended. The prompt then waits
	// again in its old place, and the next lease has an attempt number that is one
	// higher.
	Take(ctx context.Context, skip func(clientID string) bool) (Lease, error)
	// List yields the leased prompts, in the order in which they were taken, and then the
	// waiting prompts, in their order. If there are ids, it yields the prompts with these
	// ids only. A prompt that is in the queue all the time is yielded exactly once.
	List(ctx context.Context, promptIDs ...string) iter.Seq2[Queued, error]
	// Move changes the priority of a waiting prompt. The prompt then waits behind all
	// prompts with the same priority. Move returns [ErrNotFound] if no prompt with this
	// id waits.
	Move(ctx context.Context, promptID string, priority float64) error
	// Delete removes waiting prompts and returns the removed prompts. It does not remove
	// leased prompts.
	Delete(ctx context.Context, promptIDs ...string) ([]*nodebus.Prompt, error)
	// Len returns the number of prompts that wait, and of prompts that are leased, at one
	// moment.
	Len(ctx context.Context) (waiting, leased int, err error)
}

// Queued is a prompt in a [Queue].
type Queued struct {
	Prompt  *nodebus.Prompt // read-only
	Attempt int             // the attempt that runs, or that would begin next, from 1
	Leased  bool            // the prompt runs; false: it waits
}

// Lease is a prompt taken from a queue. Its methods are safe for concurrent use. A
// lease ends when it lapses, or when Done or Release is called. After the end,
// Extend, Done and Release do nothing and return [ErrLapsed], even if the prompt was
// leased again.
type Lease interface {
	// Job returns the prompt, its secrets and the attempt number, which starts at 1.
	Job() nodebus.Job
	// Extend makes the lease lapse after the duration d, counted from now. The new time
	// may be earlier than the old time. An engine uses this to attempt a prompt again
	// after d.
	Extend(ctx context.Context, d time.Duration) error
	// Done removes the prompt from the queue permanently.
	Done(ctx context.Context) error
	// Release returns the prompt to the queue: it waits in its old place, and this
	// attempt does not count.
	Release(ctx context.Context) error
}

// QueueOptions holds the limits of the queue that [NewQueue] makes. A nil pointer,
// and zero or less in any field, select the defaults.
type QueueOptions struct {
	// Len is the maximum number of waiting prompts. If Len prompts wait, Push returns
	// [ErrFull]. Default 10 000.
	Len int
}

// NewQueue returns a queue in memory: its prompts are lost when the process ends.
// The queue keeps secrets. It is safe for concurrent use. If opts is nil, the queue
// has the default limits.
func NewQueue(opts *QueueOptions) Queue {
	if opts == nil {
		opts = &QueueOptions{}
	}
	return &memQueue{max: limit(opts.Len, 10_000), byID: map[string]*queued{}, changed: make(chan struct{})}
}

type memQueue struct {
	max int

	mu      sync.Mutex
	waiting []*queued // in order
	leased  []*queued
	byID    map[string]*queued
	seq     uint64
	changed chan struct{} // closed and replaced when Take must search again
	version uint64        // incremented at each change of waiting
}

// queued is a prompt in the queue. A lease points to the queued value that it has
// taken. If the prompt waits again, the queue makes a new queued value, so an old
// lease never matches it.
type queued struct {
	job    nodebus.Job // does not change
	seq    uint64      // order of arrival
	lapses time.Time   // when the lease lapses; zero while the prompt waits
}

func inOrder(a, b *queued) int {
	return cmp.Or(cmp.Compare(a.job.Prompt.Priority, b.job.Prompt.Priority), cmp.Compare(a.seq, b.seq))
}

func (q *memQueue) Push(_ context.Context, p *nodebus.Prompt, secrets map[string]string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lapse()
	switch old := q.byID[p.ID]; {
	case old != nil && !old.lapses.IsZero():
		return fmt.Errorf("%w: the prompt runs; choose another id, or submit again when it has ended: prompt %q", ErrDuplicate, p.ID)
	case old != nil:
		return fmt.Errorf("%w: the prompt waits; choose another id, or delete the waiting prompt: prompt %q", ErrDuplicate, p.ID)
	case len(q.waiting) >= q.max:
		return fmt.Errorf("%w: %d prompts wait; submit again later, or raise QueueOptions.Len: prompt %q", ErrFull, len(q.waiting), p.ID)
	}
	q.seq++
	q.insert(&queued{job: nodebus.Job{Prompt: p, Attempt: 1, Secrets: maps.Clone(secrets)}, seq: q.seq})
	return nil
}

// Move replaces the prompt by a copy with the new priority, because others may read the
// prompt.
func (q *memQueue) Move(_ context.Context, id string, priority float64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lapse()
	old := q.byID[id]
	if old == nil || !old.lapses.IsZero() {
		return fmt.Errorf("%w: no prompt with this id waits: prompt %q", ErrNotFound, id)
	}
	q.remove(old)
	x, p := *old, *old.job.Prompt
	p.Priority = priority
	q.seq++
	x.job.Prompt, x.seq = &p, q.seq
	q.insert(&x)
	return nil
}

// insert adds x to the waiting prompts, at its place in the order. q.mu is held.
func (q *memQueue) insert(x *queued) {
	at, _ := slices.BinarySearchFunc(q.waiting, x, inOrder)
	q.waiting = slices.Insert(q.waiting, at, x)
	q.byID[x.job.Prompt.ID] = x
	q.version++
	q.wake()
}

// wake makes every waiting Take search again. q.mu is held.
func (q *memQueue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// remove removes x from the waiting prompts. q.mu is held.
func (q *memQueue) remove(x *queued) {
	if at, found := slices.BinarySearchFunc(q.waiting, x, inOrder); found {
		q.waiting = slices.Delete(q.waiting, at, at+1)
		q.version++
	}
}

// lapse returns prompts with lapsed leases to the waiting prompts. q.mu is held.
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

// again ends the lease at index at, and its prompt waits again. q.mu is held.
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

// search holds the state of one call of Take.
type search struct {
	q       *memQueue
	skips   map[string]bool // results of skip, by client
	at      int             // the prompts before this index are skipped
	version uint64          // the version of the queue for which at is valid
}

// next leases the first prompt that is not skipped. If the result of skip for a
// client is not known yet, next returns the client in ask. If every prompt is
// skipped, the caller waits until changed is closed, or for the duration wait, after
// which the next lease lapses.
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

func (q *memQueue) List(_ context.Context, ids ...string) iter.Seq2[Queued, error] {
	return func(yield func(Queued, error) bool) {
		for _, x := range q.find(ids) {
			if !yield(x, nil) {
				return
			}
		}
	}
}

// find returns the prompts with these ids, or all.
func (q *memQueue) find(ids []string) (found []Queued) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lapse()
	add := func(x *queued) {
		found = append(found, Queued{Prompt: x.job.Prompt, Attempt: x.job.Attempt, Leased: !x.lapses.IsZero()})
	}
	if len(ids) == 0 {
		for _, x := range slices.Concat(q.leased, q.waiting) {
			add(x)
		}
		return found
	}
	for _, id := range ids {
		if x := q.byID[id]; x != nil {
			add(x)
		}
	}
	return found
}

func (q *memQueue) Len(context.Context) (waiting, leased int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lapse()
	return len(q.waiting), len(q.leased), nil
}

func (q *memQueue) Delete(_ context.Context, ids ...string) (deleted []*nodebus.Prompt, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lapse()
	for _, id := range ids {
		if x := q.byID[id]; x != nil && x.lapses.IsZero() {
			q.remove(x)
			delete(q.byID, id)
			deleted = append(deleted, x.job.Prompt)
		}
	}
	return deleted, nil
}

type memLease struct {
	q *memQueue
	x *queued
}

func (l *memLease) Job() nodebus.Job { return l.x.job }

// hold calls f with q.mu held. If the lease has ended, hold returns ErrLapsed
// instead. at is the index of the prompt in q.leased.
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
		l.q.wake() // a waiting Take must see that the lease may lapse earlier
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
