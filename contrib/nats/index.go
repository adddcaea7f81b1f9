package nats

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func inOrder(a, b *item) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Order, b.Order))
}

// change makes every waiting call look again. q.mu is held.
func (q *queue) change() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// current waits until this process has read what it has stored, and ends the leases that
// have lapsed. q.mu is held, and released while current waits.
func (q *queue) current(ctx context.Context) error {
	for {
		once, stop := context.WithTimeout(ctx, tryTime)
		wanted := q.stored
		err := q.reads(once, wanted)
		stop()
		if err == nil || ctx.Err() != nil || q.err != nil {
			return err
		}
		// What was stored may have expired before it was read.
		q.mu.Unlock()
		once, stop = context.WithTimeout(ctx, tryTime)
		seq, err := q.from.newest(once, q.name+".>", wanted)
		stop()
		q.mu.Lock()
		if err == nil && q.stored == wanted {
			q.stored = min(wanted, seq)
			q.settle(wanted)
		}
	}
}

// reads waits until this process has read a message. q.mu is held, and released meanwhile.
func (q *queue) reads(ctx context.Context, seq uint64) error {
	for q.read < seq && q.err == nil {
		if err := q.wait(ctx); err != nil {
			return err
		}
	}
	if q.err == nil {
		q.lapse()
	}
	return q.err
}

// wait waits for a change. q.mu is held, and released meanwhile.
func (q *queue) wait(ctx context.Context) error {
	changed := q.changed
	q.mu.Unlock()
	defer q.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return overdue(ctx)
	}
}

// overdue returns the error of a context that has ended.
func overdue(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), ErrAway) {
		return fmt.Errorf("nats: %w: %w", ErrAway, ctx.Err())
	}
	return ctx.Err()
}

// receive applies a message to the index.
func (q *queue) receive(m jetstream.Msg, at *jetstream.MsgMetadata) {
	x := &meta{}
	names := strings.Split(m.Subject(), ".")
	known := len(names) == 3 && json.Unmarshal([]byte(m.Headers().Get(metaKey)), x) == nil
	q.mu.Lock()
	defer q.mu.Unlock()
	q.read = at.Sequence.Stream
	switch {
	case known:
		q.apply(x, names[1], names[2] == "s", q.read)
	case len(names) == 5: // a part
		q.names[names[3]] = names[1]
	}
	q.settle(q.read)
	q.change()
}

// apply replaces the item of a prompt. q.mu is held.
func (q *queue) apply(x *meta, token string, isState bool, seq uint64) {
	old := q.byToken[token]
	now := &item{meta: *x, token: token}
	switch {
	case !isState:
		now.Born, now.Order, now.Attempt = seq, seq, 1
		q.pushed(q.pushing[token])
	case old == nil || old.Born > x.Born: // of a prompt that had the id before
		return
	case old.Born < x.Born: // of a prompt that had the id later, and was gone before it was read
		q.remove(old)
		return
	default:
		now.state = seq
		now.Order, now.Taken = cmp.Or(x.Order, seq), cmp.Or(x.Taken, seq)
		now.until = time.Now().Add(x.Lasts)
	}
	if old != nil {
		q.remove(old)
	}
	if now.Gone {
		q.gone[now.Born] = now
		return
	}
	q.insert(now)
	q.reclaim(now)
}

// insert adds an item to the index. q.mu is held.
func (q *queue) insert(x *item) {
	q.byToken[x.token] = x
	q.count(x, 1)
	if x.Lease != "" {
		if q.leased[x.token] = x; len(q.leased) == 1 || x.until.Before(q.lapses) {
			q.lapses = x.until
		}
		return
	}
	at, _ := slices.BinarySearchFunc(q.waiting, x, inOrder)
	q.waiting = slices.Insert(q.waiting, at, x)
	q.version++
}

// remove removes an item from the index. q.mu is held.
func (q *queue) remove(x *item) {
	delete(q.byToken, x.token)
	delete(q.leased, x.token)
	q.count(x, -1)
	if at, found := slices.BinarySearchFunc(q.waiting, x, inOrder); found && x.Lease == "" {
		q.waiting = slices.Delete(q.waiting, at, at+1)
		q.version++
	}
}

// count adds an item to the load (n is 1), or removes it (n is -1). q.mu is held.
func (q *queue) count(x *item, n int) {
	own := q.clients[x.Client]
	for _, l := range []*load{&q.all, &own} {
		l.prompts += n
		l.bytes += n * x.Size
	}
	if q.clients[x.Client] = own; own.prompts == 0 {
		delete(q.clients, x.Client)
	}
}

// lapse returns the prompts of lapsed leases to the waiting prompts, and the time until
// the next lease may lapse. The state in the stream stays: the next Take replaces it. q.mu is held.
func (q *queue) lapse() (next time.Duration) {
	next = time.Hour
	if len(q.leased) == 0 {
		return next
	}
	if left := time.Until(q.lapses); left > 0 {
		return left
	}
	for _, x := range q.leased {
		if left := time.Until(x.until); left > 0 {
			next = min(next, left)
			continue
		}
		now := *x
		now.Lease, now.Node, now.Attempt = "", "", x.Attempt+1
		q.remove(x)
		q.insert(&now)
	}
	q.lapses = time.Now().Add(next)
	return next
}
