package client

import "github.com/nodebus/nodebus"

const (
	// queueLen is the maximum number of events that wait for one loop.
	queueLen = 65536
	// queueBytes is the maximum size of the events that wait for one loop.
	queueBytes = 64 << 20
)

// item is a received event.
type item struct {
	ev     nodebus.Event
	size   int            // of the frame, in bytes
	seq    uint64         // place in the order in which the client has read, from 1
	before nodebus.Cursor // place of the client before the event
}

// queue holds events for one reader. Client.mu guards every queue of a client.
type queue struct {
	items []item
	bytes int
}

// full reports whether q has no room for it. A queue without events has room for an event
// of any size.
func (q *queue) full(it *item) bool {
	return len(q.items) > 0 && (len(q.items) >= queueLen || q.bytes+it.size > queueBytes)
}

func (q *queue) push(it item) {
	q.items = append(q.items, it)
	q.bytes += it.size
}

// pushOrForget appends it. If there is no room, a Gap takes the place of all earlier events.
func (q *queue) pushOrForget(it item) {
	if q.full(&it) {
		q.forget(&it)
	}
	q.push(it)
}

// forget replaces all events with a Gap, also if q has none. next is the event after them.
func (q *queue) forget(next *item) {
	first := item{seq: next.seq, before: next.before}
	if len(q.items) > 0 {
		first.seq, first.before = q.items[0].seq, q.items[0].before
	}
	gap := nodebus.Gap{Since: first.before.ID, Next: next.ev.ID}
	if len(q.items) > 0 {
		if earlier, ok := q.items[0].ev.Payload.(nodebus.Gap); ok {
			gap.Since = earlier.Since
		}
	}
	first.ev.Payload = gap
	*q = queue{items: []item{first}}
}

// pop removes and returns the first event. q has one.
func (q *queue) pop() item {
	it := q.items[0]
	q.items[0] = item{}
	q.items = q.items[1:]
	q.bytes -= it.size
	if len(q.items) == 0 {
		q.items = nil
	}
	return it
}

// closes reports whether ev closes its prompt.
func closes(ev nodebus.Event) bool {
	e, ok := ev.Payload.(nodebus.Executing)
	return ok && e.UniqueID == ""
}
