// Package queue provides a bounded FIFO queue in which a newer item replaces an
// older item with the same key. It holds the messages that a slow client has not
// received yet, and the messages that a prompt has published so far.
package queue

import "iter"

// Item is an item of a Queue. Each method must always return the same result.
type Item[K comparable] interface {
	// Key returns the key under which a newer item replaces this item. It returns
	// false if no item may replace this item.
	Key() (K, bool)
	// Size returns the number of bytes that the item counts against MaxBytes.
	Size() int
}

// Queue is a FIFO of at most MaxLen items and MaxBytes bytes. An item with a key
// goes to the tail, and the older item with this key is removed. The zero value
// is an empty queue that accepts no items. A Queue is not safe for concurrent use.
type Queue[K comparable, V interface {
	comparable
	Item[K]
}] struct {
	MaxLen, MaxBytes int

	slots []V       // a slot has the zero value if its item was replaced
	head  int       // slots[:head] are already removed
	first int       // sequence number of slots[0]; the first push has number 0
	live  int       // number of slots that hold an item
	bytes int       // total size of the items
	index map[K]int // maps a key to its sequence number; nil while a scan is cheaper
}

// scanMax is the maximum queue length for which a scan is cheaper than an index.
const scanMax = 8

// Len returns the number of items.
func (q *Queue[K, V]) Len() int { return q.live }

// Bytes returns the total size of the items.
func (q *Queue[K, V]) Bytes() int { return q.bytes }

// Push appends v, which must not be the zero value. If v would exceed a limit, Push
// returns false and the queue does not change. There is one exception: an empty
// queue accepts an item that is larger than MaxBytes.
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
		if old == len(q.slots)-1 { // the old item is already at the tail
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

// find returns the index in slots of the item with key k, or -1.
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
	for i := len(q.slots) - 1; i >= q.head; i-- { // newest first: a key often repeats soon
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

// compact removes the empty slots once most slots are empty. So its cost is spread
// over many pushes.
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

// Peek returns the oldest item and leaves it in the queue.
func (q *Queue[K, V]) Peek() (v V, ok bool) {
	var zero V
	for ; q.head < len(q.slots); q.head++ {
		if v := q.slots[q.head]; v != zero {
			return v, true
		}
	}
	return zero, false
}

// Pop removes the oldest item and returns it.
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

// keepSlots limits how many slots an empty queue keeps allocated. The limit is low
// because a program may have many queues.
const keepSlots = 64

// reset drops the index of an empty queue, and its slots if there are more than
// keepSlots.
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

// Clear removes all items.
func (q *Queue[K, V]) Clear() {
	q.live, q.bytes = 0, 0
	clear(q.slots)
	q.reset()
}

// Take removes up to n of the oldest items and appends them to dst.
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

// From yields the items from the first item for which after is true, and does not
// remove them. after must be false for the older items and true for the newer items.
// From finds the first item in logarithmic time, except for slots of replaced items.
func (q *Queue[K, V]) From(after func(V) bool) iter.Seq[V] {
	return func(yield func(V) bool) {
		var zero V
		low, high := q.head, len(q.slots) // the first item is in slots[low:]; after is true for slots[high:]
		for low < high {
			mid := low + (high-low)/2
			at := mid
			for at < high && q.slots[at] == zero {
				at++
			}
			if at < high && !after(q.slots[at]) {
				low = at + 1
			} else {
				high = mid
			}
		}
		for i := low; i < len(q.slots); i++ {
			if v := q.slots[i]; v != zero && !yield(v) {
				return
			}
		}
	}
}

// All yields the items, oldest first, and does not remove them.
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
