package nats

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// meta is the header of a message.
type meta struct {
	ID       string        `json:"id"`
	Client   string        `json:"client,omitempty"`
	Priority float64       `json:"priority,omitempty"`
	Size     int           `json:"size,omitempty"`    // of the data
	Sealed   int           `json:"sealed,omitempty"`  // bytes of the data that are encrypted secrets
	Name     string        `json:"name,omitempty"`    // of this Push, and of the parts
	Parts    int           `json:"parts,omitempty"`   // 0: the message has the data
	Born     uint64        `json:"born,omitempty"`    // of a state: the sequence of the prompt
	Order    uint64        `json:"order,omitempty"`   // the place among prompts with the same priority; 0: the sequence of this state
	Attempt  int           `json:"attempt,omitempty"` // that runs, or would begin next
	Lease    string        `json:"lease,omitempty"`   // the name of the lease; empty: the prompt waits
	Node     string        `json:"node,omitempty"`    // that has the lease
	By       string        `json:"by,omitempty"`      // the name of whatever has stored this state
	Taken    uint64        `json:"taken,omitempty"`   // the order of taking; 0: the sequence of this state
	Lasts    time.Duration `json:"lasts,omitempty"`   // of the lease
	Gone     bool          `json:"gone,omitempty"`    // the prompt has left the queue
	Deadline time.Time     `json:"deadline,omitzero"` // see [nodebus.Policy]
}

// item is a prompt in the queue. It does not change: a change makes a new item.
type item struct {
	meta
	token string
	state uint64    // the sequence of the state; 0 if there is none
	until time.Time // when the lease lapses
}

// isWhole reports whether a prompt can have these sizes. Somebody else may have written the
// header.
func (x *meta) isWhole() bool {
	return x.Size >= 0 && x.Sealed >= 0 && x.Sealed <= x.Size && x.Parts >= 0 && x.Parts <= min(x.Size, maxParts)
}

// waits returns what the state of x says if x waits from now on. The attempt counts if it
// has begun.
func (x *item) waits(begun bool) meta {
	next := x.meta
	next.Lease, next.Node, next.By, next.Lasts, next.Taken = "", "", "", 0, 0
	if begun {
		next.Attempt++
	}
	return next
}

// load is what prompts take; see [flow.QueueOptions].
type load struct{ prompts, bytes int }

// index is what a process knows of the prompts in the queue: it learns it from the headers
// of the stream, and asks nobody. It is not safe for concurrent use.
type index struct {
	byToken map[string]*item
	waiting []*item // in order
	leased  map[string]*item
	all     load
	clients map[string]load
	lapses  time.Time // no lease lapses earlier
	version uint64    // incremented at each change of waiting
}

func newIndex() index {
	return index{byToken: map[string]*item{}, leased: map[string]*item{}, clients: map[string]load{}}
}

func inOrder(a, b *item) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Order, b.Order))
}

// apply replaces the item of a prompt, and returns the new item. The item is Gone if the
// prompt has left the queue, and nil if the message says nothing of a prompt that is known.
func (i *index) apply(x *meta, token string, isState bool, seq uint64) *item {
	old := i.byToken[token]
	now := &item{meta: *x, token: token}
	switch {
	case !isState:
		now.Born, now.Order, now.Attempt = seq, seq, 1
	case old == nil || old.Born > x.Born: // of a prompt that had the id before
		return nil
	case old.Born < x.Born: // of a prompt that had the id later, and was gone before it was read
		i.remove(old)
		return nil
	default:
		now.state = seq
		now.Order, now.Taken = cmp.Or(x.Order, seq), cmp.Or(x.Taken, seq)
		now.until = time.Now().Add(x.Lasts)
	}
	if old != nil {
		i.remove(old)
	}
	if !now.Gone {
		i.insert(now)
	}
	return now
}

// insert adds an item.
func (i *index) insert(x *item) {
	i.byToken[x.token] = x
	i.count(x, 1)
	if x.Lease != "" {
		if i.leased[x.token] = x; len(i.leased) == 1 || x.until.Before(i.lapses) {
			i.lapses = x.until
		}
		return
	}
	at, _ := slices.BinarySearchFunc(i.waiting, x, inOrder)
	i.waiting = slices.Insert(i.waiting, at, x)
	i.version++
}

// remove removes an item.
func (i *index) remove(x *item) {
	delete(i.byToken, x.token)
	delete(i.leased, x.token)
	i.count(x, -1)
	if at, found := slices.BinarySearchFunc(i.waiting, x, inOrder); found && x.Lease == "" {
		i.waiting = slices.Delete(i.waiting, at, at+1)
		i.version++
	}
}

// count adds what x takes (n is 1), or subtracts it (n is -1).
func (i *index) count(x *item, n int) {
	own := i.clients[x.Client]
	for _, l := range []*load{&i.all, &own} {
		l.prompts += n
		l.bytes += n * x.Size
	}
	if i.clients[x.Client] = own; own.prompts == 0 {
		delete(i.clients, x.Client)
	}
}

// lapse returns the prompts of lapsed leases to the waiting prompts, and the time until
// the next lease may lapse. The state in the stream stays: the next Take replaces it.
func (i *index) lapse() (next time.Duration) {
	next = time.Hour
	if len(i.leased) == 0 {
		return next
	}
	if left := time.Until(i.lapses); left > 0 {
		return left
	}
	for _, x := range i.leased {
		if left := time.Until(x.until); left > 0 {
			next = min(next, left)
			continue
		}
		now := *x
		now.Lease, now.Node, now.Attempt = "", "", x.Attempt+1
		i.remove(x)
		i.insert(&now)
	}
	i.lapses = time.Now().Add(next)
	return next
}

// snapshot returns the prompts with these tokens, or all if there are none: first the leased
// prompts, in the order in which they were taken, and then the waiting ones.
func (i *index) snapshot(tokens []string) (all []*item) {
	if len(tokens) == 0 {
		for _, x := range i.leased {
			all = append(all, x)
		}
		all = append(all, i.waiting...)
	}
	for at, t := range tokens {
		if x := i.byToken[t]; x != nil && !slices.Contains(tokens[:at], t) {
			all = append(all, x)
		}
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
	return all
}

// lastPriority returns the largest priority up to most of the prompts that wait, and -Inf if
// there is none.
func (i *index) lastPriority(most float64) float64 {
	at, _ := slices.BinarySearchFunc(i.waiting, most, func(x *item, most float64) int {
		if x.Priority <= most {
			return -1
		}
		return 1
	})
	if at == 0 {
		return math.Inf(-1)
	}
	return i.waiting[at-1].Priority
}

// expired returns the ids of the prompts that wait and whose deadlines are before now.
func (i *index) expired(now time.Time) (ids []string) {
	for _, x := range i.waiting {
		if !x.Deadline.IsZero() && x.Deadline.Before(now) {
			ids = append(ids, x.ID)
		}
	}
	return ids
}
