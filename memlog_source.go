package nodebus

import (
	"cmp"
	"container/list"
	"time"

	"github.com/nodebus/nodebus/internal/queue"
)

// source keeps the events of one prompt, the events of one client that belong to no
// prompt, or the broadcasts.
type source struct {
	addr    address // address of the first event; usually all events have it
	mixed   bool    // not all events have addr
	q       queue.Queue[keptKey, kept]
	tape    tape          // the most frequent events; all other events are in q
	slab    []message     // preallocated memory for the next messages
	steps   []message     // preallocated memory for the next progress messages
	last    uint64        // ID of the newest event
	lost    uint64        // ID of the newest event that was dropped to make room while mixed was false
	lostAny uint64        // ID of the newest event that was dropped to make room
	stepped uint32        // number of steps so far, see traits
	place   *list.Element // position in running, or in ended if over; nil if it is not a prompt
	read    uint64        // number of the newest Read that has selected it
	number  int32         // number in outside, if it is not a prompt
	attempt int           // of the newest event
	over    bool
	expires time.Time
}

func (p *source) init(addr address) {
	p.addr = addr
	p.q.MaxLen, p.q.MaxBytes = maxInt, maxInt
}

const maxInt = int(^uint(0) >> 1)

// appendTo appends the messages that q selects, at most as many as a page may have.
func (p *source) appendTo(due []*message, q *LogQuery) []*message {
	if p.last <= q.After {
		return due
	}
	n := 0
	if !p.mixed || q.selects(&p.addr) {
		for r := range p.tape.from(q.After) {
			if r.id > q.UpTo || q.Limit > 0 && n > q.Limit {
				break
			}
			due = append(due, p.message(r))
			n++
		}
	}
	n = 0
	for k := range p.q.From(func(k kept) bool { return k.id > q.After }) {
		if k.id > q.UpTo || q.Limit > 0 && n > q.Limit {
			break
		}
		if !p.mixed || q.selects(k.to) {
			due = append(due, k.message)
			n++
		}
	}
	return due
}

// newMessage returns an empty message. It allocates most messages in slabs of several
// messages. The memory of a slab is freed when none of its messages is used any more.
// Therefore a message that is large, or that a newer message will replace, is allocated
// alone. Progress messages are replaced, too, but they are small and frequent, so they
// have small slabs of their own.
func (p *source) newMessage(payload Payload, k mark) *message {
	if _, ok := payload.(Progress); ok {
		return nextIn(&p.steps, 4)
	}
	if k.coalesces || k.size > 4096 {
		return &message{}
	}
	return nextIn(&p.slab, min(max(p.q.Len(), 4), 64))
}

func nextIn(slab *[]message, n int) *message {
	if len(*slab) == 0 {
		*slab = make([]message, n)
	}
	m := &(*slab)[0]
	*slab = (*slab)[1:]
	return m
}

// kept is a message in the log. An event for one client does not replace an event for
// another client, so the key contains the client.
type kept struct{ *message }

type keptKey struct {
	coalesceKey
	to string
}

// sourceWeight is an estimate, in bytes, of the memory for a prompt or a client without its
// events, in the log and in the hub.
const sourceWeight = 1200

// messageWeight is an estimate, in bytes, of the memory for a message without its
// payload and its frame.
const messageWeight = 300

// Size estimates the memory for the message in bytes.
func (k kept) Size() int { return messageWeight + 2*k.message.Size() }

// Key returns the message's key together with the client in its address.
func (k kept) Key() (keptKey, bool) {
	key, keyed := k.message.stateKey()
	return keptKey{key, k.to.to}, keyed
}

func byID(a, b *message) int { return cmp.Compare(a.id, b.id) }

// clock returns the time of day in Unix nanoseconds. The log reads it for each event;
// [time.Now] would be a fifth of the event's cost, because it reads two clocks. If
// clock was set less than a second ago, it reads only the monotonic clock and so costs
// half.
type clock struct {
	set  time.Time
	unix int64
}

func (c *clock) now() int64 {
	if ago := time.Since(c.set); ago < time.Second {
		return c.unix + int64(ago)
	}
	c.set = time.Now()
	c.unix = c.set.UnixNano()
	return c.unix
}

// otherClock is the clock of whoever gives the events their times, if it is not the clock of
// this process.
type otherClock struct {
	is  time.Time // what it said
	set time.Time // when, by the clock of this process
}

func (c *otherClock) now() time.Time {
	if c.set.IsZero() {
		return time.Now()
	}
	return c.is.Add(time.Since(c.set))
}
