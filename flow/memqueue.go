package flow

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

type memQueue struct {
	opts  QueueOptions
	share int // the maximum memory of the prompts of one client

	mu      sync.Mutex
	waiting []*queued // in order
	leased  leases
	byID    map[string]*queued
	all     load            // of all prompts, waiting and leased
	clients map[string]load // the same, by client
	seq     uint64
	changed chan struct{} // closed and replaced when Take must search again
	version uint64        // incremented at each change of waiting
}

// queued is a prompt in the queue. A lease points to the queued value that it has
// taken. If the prompt waits again, the queue makes a new queued value, so an old
// lease never matches it.
type queued struct {
	job    nodebus.Job // does not change
	size   int         // the memory of the prompt, in bytes
	born   uint64      // the number of its Push
	seq    uint64      // order of arrival
	taken  uint64      // order of taking, while the prompt is leased
	lapses time.Time   // when the lease lapses; zero while the prompt waits
	at     int         // the index in leases, while the prompt is leased; else -1
}

// load is what prompts take. A prompt counts until it leaves the queue: a leased prompt
// may rest for weeks, and is in memory all the time.
type load struct{ prompts, bytes int }

// count adds x to the load of the queue (n is 1), or removes it (n is -1). q.mu is held.
func (q *memQueue) count(x *queued, n int) {
	client := x.job.Prompt.ClientID
	own := q.clients[client]
	for _, l := range []*load{&q.all, &own} {
		l.prompts += n
		l.bytes += n * x.size
	}
	if q.clients[client] = own; own.prompts == 0 {
		delete(q.clients, client)
	}
}

// room returns an error if there is no room for one more prompt of this size. q.mu is
// held.
func (q *memQueue) room(client string, size int) error {
	own := q.clients[client]
	switch {
	case q.all.prompts >= q.opts.Len:
		return fmt.Errorf("%w: %d prompts wait or run; submit again later, or raise QueueOptions.Len", ErrFull, q.all.prompts)
	case own.prompts >= q.opts.PerClient:
		return fmt.Errorf("%w: %d prompts of this client wait or run; submit again when one of them has ended, or raise QueueOptions.PerClient", ErrFull, own.prompts)
	case q.all.bytes+size > q.opts.Bytes:
		return fmt.Errorf("%w: the prompts that wait or run take %d of %d bytes, and this prompt takes %d; submit again later, or raise QueueOptions.Bytes",
			ErrFull, q.all.bytes, q.opts.Bytes, size)
	case own.bytes+size > q.share:
		return fmt.Errorf("%w: the prompts of this client that wait or run take %d of %d bytes, and this prompt takes %d; submit again when one of them has ended, or raise QueueOptions.Bytes",
			ErrFull, own.bytes, q.share, size)
	}
	return nil
}

func inOrder(a, b *queued) int {
	return cmp.Or(cmp.Compare(a.job.Prompt.Priority, b.job.Prompt.Priority), cmp.Compare(a.seq, b.seq))
}

func (q *memQueue) Push(_ context.Context, p *nodebus.Prompt, secrets map[string]string) error {
	size := promptSize(p, q.share)
	for name, secret := range secrets {
		size += 64 + len(name) + len(secret)
	}
	if size > q.share { // to submit it again later would not help
		return promptError("prompt_too_large", "The prompt needs too much memory",
			fmt.Sprintf("it takes more than %d bytes, which is all that one client may use of the queue; submit a smaller prompt, or raise QueueOptions.Bytes", q.share))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lapse()
	switch old := q.byID[p.ID]; {
	case old != nil && !old.lapses.IsZero():
		return fmt.Errorf("%w: the prompt runs; choose another id, or submit again when it has ended: prompt %q", ErrDuplicate, p.ID)
	case old != nil:
		return fmt.Errorf("%w: the prompt waits; choose another id, or delete the waiting prompt: prompt %q", ErrDuplicate, p.ID)
	}
	if err := q.room(p.ClientID, size); err != nil {
		return fmt.Errorf("%w: prompt %q", err, p.ID)
	}
	q.seq++
	x := &queued{job: nodebus.Job{Prompt: p, Attempt: 1, Secrets: maps.Clone(secrets)}, size: size, born: q.seq, seq: q.seq, at: -1}
	q.count(x, 1)
	q.insert(x)
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
	for now := time.Now(); len(q.leased) > 0 && !now.Before(q.leased[0].lapses); {
		x := q.leased[0]
		q.again(x, x.job.Attempt+1)
	}
}

// again ends the lease of old, and its prompt waits again. q.mu is held.
func (q *memQueue) again(old *queued, attempt int) {
	heap.Remove(&q.leased, old.at)
	x := *old
	x.job.Attempt, x.lapses = attempt, time.Time{}
	q.insert(&x)
}

// leave forgets a prompt that neither waits nor is leased any more. q.mu is held.
func (q *memQueue) leave(x *queued) {
	delete(q.byID, x.job.Prompt.ID)
	q.count(x, -1)
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
			return q.lease(x), nil, nil, 0
		}
	}
	wait = time.Hour
	if len(q.leased) > 0 {
		wait = time.Until(q.leased[0].lapses)
	}
	return nil, nil, q.changed, wait
}

// lease leases a waiting prompt. q.mu is held.
func (q *memQueue) lease(x *queued) *memLease {
	q.remove(x)
	q.seq++
	x.taken = q.seq
	x.lapses = time.Now().Add(leaseTime)
	heap.Push(&q.leased, x)
	return &memLease{q, x}
}

func (q *memQueue) TakeOne(_ context.Context, id string) (Lease, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lapse()
	x := q.byID[id]
	if x == nil || !x.lapses.IsZero() {
		return nil, fmt.Errorf("%w: no prompt with this id waits: prompt %q", ErrNotFound, id)
	}
	return q.lease(x), nil
}

// listed names a prompt of a listing.
type listed struct {
	id     string
	born   uint64
	leased bool
}

// List keeps the names of the prompts, and looks the prompts up while it yields: a slow
// reader does not keep prompts in memory that have left the queue.
func (q *memQueue) List(_ context.Context, ids ...string) iter.Seq2[Queued, error] {
	return func(yield func(Queued, error) bool) {
		for _, name := range q.snapshot(ids) {
			if x, ok := q.lookUp(name); ok && !yield(x, nil) {
				return
			}
		}
	}
}

// snapshot returns the names of the prompts with these ids, or of all prompts: first the
// leased prompts, then the waiting prompts.
func (q *memQueue) snapshot(ids []string) []listed {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lapse()
	leased, waiting := slices.Clone(q.leased), q.waiting
	if len(ids) > 0 {
		leased, waiting = q.find(ids)
	}
	slices.SortFunc(leased, func(a, b *queued) int { return cmp.Compare(a.taken, b.taken) })
	names := make([]listed, 0, len(leased)+len(waiting))
	for _, x := range leased {
		names = append(names, listed{x.job.Prompt.ID, x.born, true})
	}
	for _, x := range waiting {
		names = append(names, listed{x.job.Prompt.ID, x.born, false})
	}
	return names
}

// find returns the prompts with these ids: the leased prompts in any order, the waiting
// prompts in order. q.mu is held.
func (q *memQueue) find(ids []string) (leased, waiting []*queued) {
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		x := q.byID[id]
		switch {
		case x == nil || seen[id]:
		case x.lapses.IsZero():
			waiting = append(waiting, x)
		default:
			leased = append(leased, x)
		}
		seen[id] = true
	}
	slices.SortFunc(waiting, inOrder)
	return leased, waiting
}

// lookUp returns a prompt of a listing, if it is still in the queue. The prompt is shown
// as leased if it was leased at the moment of the listing.
func (q *memQueue) lookUp(name listed) (found Queued, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	x := q.byID[name.id]
	if x == nil || x.born != name.born {
		return Queued{}, false
	}
	return Queued{Prompt: x.job.Prompt, Attempt: x.job.Attempt, Leased: name.leased}, true
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
			q.leave(x)
			deleted = append(deleted, x.job.Prompt)
		}
	}
	return deleted, nil
}
