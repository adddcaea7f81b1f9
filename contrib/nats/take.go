package nats

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/stored"
)

// slowTake is the time after which Take extends a new lease before it returns it: the
// engine counts the duration from then.
const slowTake = 500 * time.Millisecond

// Take stores the number of the attempt before it returns the lease. While no prompt waits,
// it waits also if NATS is away. A prompt with secrets that this process cannot read is
// left to other processes, and so are later prompts of its client.
func (q *queue) Take(ctx context.Context, skip func(clientID string) bool) (flow.Lease, error) {
	s := search{q: q, skips: map[string]bool{}, blocked: map[string]bool{}}
	for {
		found, ask, changed, wait, err := s.next(ctx)
		switch {
		case err != nil:
			return nil, err
		case ask != nil:
			s.skips[*ask] = skip(*ask)
			continue
		case found != nil:
			lease, err := q.take(ctx, found, false)
			if lease != nil {
				return lease, nil
			}
			if err != nil {
				return nil, err
			}
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		case <-q.life.Done():
		}
		timer.Stop()
	}
}

// TakeOne also leases a prompt that this process cannot read, or not its secrets: the caller
// ends the prompt. Its Job then has what can be read.
func (q *queue) TakeOne(ctx context.Context, id string) (flow.Lease, error) {
	ctx, stop, err := q.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	for {
		x, err := q.waits(ctx, id)
		if err != nil {
			return nil, err
		}
		if lease, err := q.take(ctx, x, true); lease != nil {
			return lease, nil
		} else if err != nil {
			return nil, err
		}
	}
}

// search holds the state of one call of Take.
type search struct {
	q       *queue
	skips   map[string]bool
	blocked map[string]bool // clients with a prompt that only other processes can take; valid for version, too
	at      int             // the prompts before this index are skipped
	version uint64          // of the waiting prompts for which at is valid
}

// next returns the first prompt that is not skipped, or a client whose answer of skip is
// not known. If every prompt is skipped, the caller waits until changed is closed, or for
// the duration wait.
func (s *search) next(ctx context.Context) (found *item, ask *string, changed <-chan struct{}, wait time.Duration, err error) {
	q := s.q
	_, changed = q.now()
	if err := cmp.Or(ctx.Err(), q.hasOwn(ctx)); err != nil {
		return nil, nil, nil, 0, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	wait = q.index.lapse()
	if s.version != q.index.version {
		s.version, s.at, s.blocked = q.index.version, 0, map[string]bool{}
	}
	for ; s.at < len(q.index.waiting); s.at++ {
		x := q.index.waiting[s.at]
		if q.broken[x.Born] == nil && x.Sealed > 0 && q.prompts.sealer == nil {
			q.mark(x, q.prompts.noSecrets(x.ID, stored.ErrNoKey))
		}
		if err := q.broken[x.Born]; err != nil {
			s.blocked[x.Client] = s.blocked[x.Client] || !errors.Is(err, errUnreadable) // nobody can take a damaged prompt
			continue
		}
		if s.blocked[x.Client] {
			continue
		}
		skipped, known := s.skips[x.Client]
		switch {
		case !known:
			return nil, &x.Client, nil, 0, nil
		case !skipped:
			return x, nil, nil, 0, nil
		}
	}
	return nil, nil, changed, wait, nil
}

// take leases a prompt. It returns no lease if the prompt does not wait any more, or, unless
// unreadableToo is true, if this process cannot read it.
func (q *queue) take(ctx context.Context, x *item, unreadableToo bool) (flow.Lease, error) {
	ctx, stop, err := q.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	select {
	case q.taking <- struct{}{}:
	case <-ctx.Done():
		return nil, q.overdue(ctx)
	}
	defer func() { <-q.taking }()
	if err := q.hasOwn(ctx); err != nil || !q.still(x) {
		return nil, err
	}
	job := nodebus.Job{Attempt: x.Attempt}
	b, err := q.fetch(ctx, x)
	if err == nil {
		job.Secrets, err = q.prompts.unseal(x.ID, b.sealed)
	}
	switch unreadable := errors.Is(err, ErrKey) || errors.Is(err, errUnreadable); {
	case isNotFound(err):
		return nil, nil
	case unreadable && !unreadableToo:
		q.leave(x, err)
		return nil, nil
	case err != nil && !unreadable:
		return nil, err
	}
	job.Prompt = b.prompt
	return q.lease(ctx, x, job)
}

// still reports whether x is what this process knows of its prompt.
func (q *queue) still(x *item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.index.byToken[x.token] == x
}

// lease stores a lease.
func (q *queue) lease(ctx context.Context, x *item, job nodebus.Job) (flow.Lease, error) {
	l := &lease{q: q, x: *x, job: job, until: time.Now().Add(leaseTime), turn: make(chan struct{}, 1)}
	name := rand.Text()
	l.x.Lease, l.x.By, l.x.Node, l.x.Lasts, l.x.Taken = name, name, q.node, leaseTime, 0
	began := time.Now()
	var err error
	switch l.x.state, err = q.replace(ctx, x, l.x.meta); {
	case isLapsed(err): // another process was faster
		return nil, nil
	case err != nil:
		q.disown(name)
		return nil, err
	}
	l.x.Taken = l.x.state
	q.taken(x.ID, job.Attempt, l.x.state)
	if time.Since(began) > slowTake {
		switch err := l.Extend(ctx, leaseTime); {
		case isLapsed(err):
			return nil, nil
		case err != nil: // the lease may be as old as the wait for the answer
			q.disown(name)
			return nil, err
		}
	}
	return l, nil
}

// leave marks a prompt, and makes whoever searches look again.
func (q *queue) leave(x *item, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mark(x, err)
	q.wake()
}

// mark remembers that this process cannot take a prompt, and logs it once. q.mu is held; the
// logger is of package late.
func (q *queue) mark(x *item, err error) {
	if q.broken[x.Born] == nil {
		text := "nats: a prompt is left to other processes"
		if errors.Is(err, errUnreadable) {
			text = "nats: a prompt is damaged, and no process can take it"
		}
		q.logger.Error(text, "prompt", x.ID, "error", err)
	}
	q.broken[x.Born] = err
}

// disown remembers the name of a lease that Take has not returned. The stream may have it
// although NATS has not answered; it is then given back when this process reads it.
func (q *queue) disown(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.disowned) >= 1000 { // they lapse after leaseTime
		clear(q.disowned)
	}
	q.disowned[name] = true
	for _, x := range q.index.leased { // it has been read already
		if x.Lease == name {
			q.reclaim(x)
			return
		}
	}
}

// reclaim gives back a lease that Take has not returned. The attempt does not count. q.mu
// is held.
func (q *queue) reclaim(x *item) {
	if x.Lease == "" || !q.disowned[x.Lease] || q.check() != nil {
		return
	}
	delete(q.disowned, x.Lease)
	q.ended.Go(func() {
		ctx, stop := bounded(q.life)
		defer stop()
		if _, err := q.replace(ctx, x, x.waits(false)); err != nil && !isLapsed(err) && q.life.Err() == nil {
			q.logger.Warn("nats: a lease that nobody has is not given back; it lapses", "prompt", x.ID, "error", err)
		}
	})
}

// endOwn ends the leases of an earlier process with the name of this node. The attempts count.
func (q *queue) endOwn(ctx context.Context) error {
	if q.node == "" {
		return nil
	}
	var own []*item
	q.mu.Lock()
	for _, x := range q.index.leased {
		if x.Node == q.node {
			own = append(own, x)
		}
	}
	q.mu.Unlock()
	if len(own) > 0 { // also if the process before is still there, which must not be
		q.logger.Info("nats: the prompts of the process before with this Options.Node wait again; if it still runs, give each process a Node of its own", "node", q.node, "prompts", len(own))
	}
	return atOnce(len(own), func(i int) error {
		if _, err := q.replace(ctx, own[i], own[i].waits(true)); err != nil && !isLapsed(err) {
			return err
		}
		return nil
	})
}
