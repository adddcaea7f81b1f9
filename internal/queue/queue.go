// Package queue is a bounded mailbox in which a newer item may replace an older
// one of the same key: what a slow client is still due, and what a prompt has
// said so far.
package queue

import "iter"

// Item is what a Queue holds. Both methods must always answer the same.
type Item[K comparable] interface {
	// Key is what a newer item replaces this one under; false if nothing does.
	Key() (K, bool)
	// Size is what the item weighs against MaxBytes.
	Size() int
}

// Queue is a FIFO of at most MaxLen items and MaxBytes bytes. An item with a
// key goes to the tail and takes the older item with that key out. The zero
// value is an empty queue without room; it is not safe for concurrent use.
type Queue[K comparable, V interface {
	comparable
	Item[K]
}] struct {
	MaxLen, MaxBytes int

	slots []V       // the zero value where an item was replaced
	head  int       // slots[:head] are gone
	first int       // number of the slot at slots[0], counted from the first push
	live  int       // slots that hold an item
	bytes int       // their size
	index map[K]int // key to slot number; nil while a scan is cheaper
}

// scanMax is the length up to which looking at each item beats keeping an index.
const scanMax = 8

// Len is the number of items waiting.
func (q *Queue[K, V]) Len() int { return q.live }

// Bytes is the sum of their sizes.
func (q *Queue[K, V]) Bytes() int { return q.bytes }

// Push appends v. It reports false, and leaves the queue as it was, if that
// would exceed a bound; v is not the zero value. An item larger than MaxBytes is
// let into an empty queue.
func (q *Queue[K, V]) Push(v V) bool {
	var zero V
	k, keyed := v.Key()
	old := -1
	if keyed {
		old = q.find(k)
	}
	n, bytes := q.live+1, q.bytes+v.Size()
	if old >= 0 {
		n, bytes = n-1, bytes-q.slots[old].Size()
	}
	if n > q.MaxLen || bytes > q.MaxBytes && n > 1 {
		return false
	}
	q.live, q.bytes = n, bytes
	if old >= 0 {
		if old == len(q.slots)-1 { // it is at the tail already
			q.slots[old] = v
			return true
		}
		q.slots[old] = zero
	}
	q.compact()
	if keyed && q.index != nil {
		q.index[k] = q.first + len(q.slots)
	}
	q.slots = append(q.slots, v)
	return true
}

// find returns the place in slots of the item with key k, or -1.
func (q *Queue[K, V]) find(k K) int {
	var zero V
	if q.index == nil && q.live > scanMax {
		q.reindex()
	}
	if q.index != nil {
		if n, ok := q.index[k]; ok {
			return n - q.first
		}
		return -1
	}
	for i := len(q.slots) - 1; i >= q.head; i-- { // what was said last is said again
		if v := q.slots[i]; v != zero {
			if ki, ok := v.Key(); ok && ki == k {
				return i
			}
		}
	}
	return -1
}

func (q *Queue[K, V]) reindex() {
	var zero V
	if q.index == nil {
		q.index = make(map[K]int, 2*scanMax)
	}
	clear(q.index)
	for i := q.head; i < len(q.slots); i++ {
		if v := q.slots[i]; v != zero {
			if k, ok := v.Key(); ok {
				q.index[k] = q.first + i
			}
		}
	}
}

// compact makes room at the front once most slots are gone or dead, so that
// the cost of it is spread over the pushes that caused it.
func (q *Queue[K, V]) compact() {
	if len(q.slots) < 64 || len(q.slots) < 4*q.live {
		return
	}
	var zero V
	w := 0
	for i := q.head; i < len(q.slots); i++ {
		if q.slots[i] != zero {
			q.slots[w] = q.slots[i]
			w++
		}
	}
	clear(q.slots[w:])
	q.first += len(q.slots) - w
	q.slots, q.head = q.slots[:w], 0
	if q.index != nil {
		q.reindex()
	}
}

// Peek returns the oldest item.
func (q *Queue[K, V]) Peek() (v V, ok bool) {
	var zero V
	for ; q.head < len(q.slots); q.head++ {
		if v := q.slots[q.head]; v != zero {
			return v, true
		}
	}
	return zero, false
}

// Pop takes the oldest item out.
func (q *Queue[K, V]) Pop() (v V, ok bool) {
	if v, ok = q.Peek(); !ok {
		return v, false
	}
	var zero V
	q.slots[q.head] = zero
	q.head++
	q.live--
	q.bytes -= v.Size()
	if q.index != nil {
		if k, keyed := v.Key(); keyed {
			delete(q.index, k)
		}
	}
	if q.live == 0 {
		q.reset()
	}
	return v, true
}

// keepSlots is how many slots an empty queue holds on to: there may be many.
const keepSlots = 64

// reset forgets an emptied queue's index, and its slots if a burst left many.
func (q *Queue[K, V]) reset() {
	q.first += len(q.slots)
	q.head, q.index = 0, nil
	if cap(q.slots) > keepSlots {
		q.slots = nil
	} else {
		clear(q.slots)
		q.slots = q.slots[:0]
	}
}

// Take appends up to n of the oldest items to dst and takes them out.
func (q *Queue[K, V]) Take(dst []V, n int) []V {
	for range n {
		v, ok := q.Pop()
		if !ok {
			break
		}
		dst = append(dst, v)
	}
	return dst
}

// All yields the items, oldest first, and leaves them in.
func (q *Queue[K, V]) All() iter.Seq[V] {
	return func(yield func(V) bool) {
		var zero V
		for i := q.head; i < len(q.slots); i++ {
			if v := q.slots[i]; v != zero && !yield(v) {
				return
			}
		}
	}
}
