package nodebus

import (
	"container/list"
	"math"
	"time"

	"github.com/nodebus/nodebus/internal/queue"
)

// eventLog keeps the published events for replays. A newer event with a key replaces
// the older event with the same key. So the log contains the newest state, and not
// every step to it. The hub's lock guards it.
type eventLog struct {
	hub     *Hub
	prompts map[string]*promptLog
	latest  *promptLog // the prompt of the newest event, usually also of the next event; or nil
	running list.List  // of *promptLog; the prompt whose newest event is oldest is first
	ended   list.List  // of *promptLog, in the order in which the prompts ended and expire
	general promptLog  // the events that belong to no prompt
	count   int
	bytes   int
	timer   *time.Timer
	lost    losses
	closed  closedIDs
}

// promptLog keeps the events of one prompt.
type promptLog struct {
	addr    address // address of the first event; usually all events have it
	mixed   bool    // not all events have addr
	q       queue.Queue[keptKey, kept]
	slab    []message     // preallocated memory for the next messages
	steps   []message     // preallocated memory for the next progress messages
	last    uint64        // ID of the newest event
	lost    uint64        // ID of the newest event that was dropped to make room while mixed was false
	place   *list.Element // position in running, or in ended if over; nil for general
	over    bool
	expires time.Time
}

// kept is a message in the log. An event for one client does not replace an event for
// another client, so the key contains the client.
type kept struct{ *message }

type keptKey struct {
	coalesceKey
	to string
}

// messageWeight is an estimate, in bytes, of the memory for a message without its
// payload and its frame.
const messageWeight = 300

// Size estimates the memory for the message in bytes.
func (k kept) Size() int { return messageWeight + 2*k.message.Size() }

// Key returns the message's key together with the client in its address.
func (k kept) Key() (keptKey, bool) {
	key, keyed := k.message.Key()
	return keptKey{key, k.to.to}, keyed
}

// losses holds the IDs of the newest events that are no longer kept, to compute a
// [Gap].
type losses struct {
	all       uint64 // the newest lost event of any prompt
	broadcast uint64 // the newest lost broadcast
	clients   newestIDs
	prompts   newestIDs
}

// newestIDs holds the newest ID for each name.
type newestIDs struct {
	ids  map[string]uint64
	rest uint64 // the newest ID of all names that were removed from the map
}

// newestMax limits the names in the map. When it is reached, all names are removed, and
// a client that was away for long receives a gap even if it missed nothing.
const newestMax = 4096

func (n *newestIDs) add(name string, id uint64) {
	if len(n.ids) >= newestMax {
		for _, id := range n.ids {
			n.rest = max(n.rest, id)
		}
		clear(n.ids)
	}
	n.ids[name] = max(n.ids[name], id)
}

func (n *newestIDs) of(name string) uint64 { return max(n.rest, n.ids[name]) }

// closedIDs holds the ids of the prompts that ended and are not kept any more: at least
// the newest closedMax, at most twice as many.
type closedIDs struct{ newer, older map[string]struct{} }

const closedMax = 4096

func (c *closedIDs) add(id string) {
	if len(c.newer) >= closedMax {
		c.newer, c.older = nil, c.newer
	}
	if c.newer == nil {
		c.newer = map[string]struct{}{}
	}
	c.newer[id] = struct{}{}
}

func (c *closedIDs) has(id string) bool {
	_, newer := c.newer[id]
	_, older := c.older[id]
	return newer || older
}

func (c *closedIDs) remove(id string) {
	delete(c.newer, id)
	delete(c.older, id)
}

func (l *eventLog) init(h *Hub) {
	l.hub = h
	l.prompts = map[string]*promptLog{}
	l.general.q.MaxLen, l.general.q.MaxBytes = math.MaxInt, math.MaxInt
	l.lost.clients.ids, l.lost.prompts.ids = map[string]uint64{}, map[string]uint64{}
	l.lost.broadcast = h.lastID // the events of an earlier process are lost
}

// logOf returns the log for ev: the log of its prompt, which logOf creates if
// necessary, or general. It returns nil if the prompt has ended; only a new
// ExecutionStart may follow under the same id.
func (l *eventLog) logOf(ev *Event) *promptLog {
	if ev.PromptID == "" {
		return &l.general
	}
	p := l.latest
	if p == nil || p.addr.promptID != ev.PromptID {
		p = l.prompts[ev.PromptID]
	}
	if p != nil && p.over || p == nil && l.closed.has(ev.PromptID) {
		if _, again := ev.Payload.(ExecutionStart); !again {
			return nil
		}
		if p != nil {
			l.drop(p)
			p = nil
		}
		l.closed.remove(ev.PromptID)
	}
	if p == nil {
		p = &promptLog{addr: address{ev.PromptID, ev.To, ev.Attempt}}
		p.q.MaxLen, p.q.MaxBytes = math.MaxInt, math.MaxInt
		p.place = l.running.PushBack(p)
		l.prompts[ev.PromptID] = p
	}
	l.latest = p
	return p
}

// newMessage returns an empty message. It allocates most messages in slabs of several
// messages. The memory of a slab is freed when none of its messages is used any more.
// Therefore a message that is large, or that a newer message will replace, is allocated
// alone. Progress messages are replaced, too, but they are small and frequent, so they
// have small slabs of their own.
func (p *promptLog) newMessage(payload Payload, d *draft) *message {
	if _, ok := payload.(Progress); ok {
		return nextIn(&p.steps, 4)
	}
	if d.foreignKey {
		m := &struct {
			message
			key coalesceKey
		}{key: d.key}
		m.message.key = &m.key
		return &m.message
	}
	if d.keyed || d.size > 4096 {
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

// address returns the address of ev. Events with the same address as the prompt share
// one.
func (p *promptLog) address(ev *Event) *address {
	same := p.addr.promptID == ev.PromptID && p.addr.to == ev.To
	if same && p.addr.attempt == ev.Attempt {
		return &p.addr
	}
	p.mixed = p.mixed || !same
	return &address{ev.PromptID, ev.To, ev.Attempt}
}

// keep adds m to the log, and drops events if there is no room.
func (l *eventLog) keep(p *promptLog, m *message) {
	n, b := p.q.Len(), p.q.Bytes()
	p.q.Push(kept{m})
	l.count += p.q.Len() - n
	l.bytes += p.q.Bytes() - b
	p.last = m.id
	if p.place != nil {
		l.running.MoveToBack(p.place)
		if e, ok := m.payload.(Executing); ok && e.UniqueID == "" {
			l.running.Remove(p.place)
			p.over, p.expires = true, time.Unix(0, m.at).Add(l.hub.opts.Retain)
			p.place = l.ended.PushBack(p)
		}
	}
	if l.full() {
		l.makeRoom(p)
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(l.hub.opts.Retain, l.tick)
	}
}

func (l *eventLog) full() bool {
	return l.count > l.hub.opts.KeepLen || l.bytes > l.hub.opts.KeepBytes
}

// makeRoom drops events in this order: whole prompts that have ended, oldest first; the
// oldest events without a prompt; the oldest events of current, the prompt of the
// newest event; whole prompts that run, first the prompt whose newest event is oldest.
func (l *eventLog) makeRoom(current *promptLog) {
	for l.full() && l.ended.Len() > 0 && l.ended.Front() != current.place {
		l.drop(l.ended.Front().Value.(*promptLog))
	}
	for l.full() && l.general.q.Len() > 0 {
		l.dropOldest(&l.general)
	}
	for l.full() && current.q.Len() > 1 {
		l.dropOldest(current)
	}
	for l.full() && l.running.Len() > 0 && l.running.Front() != current.place {
		l.drop(l.running.Front().Value.(*promptLog))
	}
}

// dropOldest drops the oldest event of p.
func (l *eventLog) dropOldest(p *promptLog) {
	n, b := p.q.Len(), p.q.Bytes()
	m, _ := p.q.Pop()
	l.count += p.q.Len() - n
	l.bytes += p.q.Bytes() - b
	if p.mixed || p == &l.general {
		l.lost.add(m.to, m.id)
	} else {
		p.lost = m.id
	}
}

// drop drops a whole prompt.
func (l *eventLog) drop(p *promptLog) {
	l.count -= p.q.Len()
	l.bytes -= p.q.Bytes()
	if p.mixed {
		for m := range p.q.All() {
			l.lost.add(m.to, m.id)
		}
		l.lost.add(&p.addr, p.lost)
	} else {
		l.lost.add(&p.addr, p.last)
	}
	// A message that still waits for a client points to p. Free the events of p now.
	p.q, p.slab, p.steps = queue.Queue[keptKey, kept]{}, nil, nil
	delete(l.prompts, p.addr.promptID)
	if p.over {
		l.closed.add(p.addr.promptID)
	}
	if l.latest == p {
		l.latest = nil
	}
	l.running.Remove(p.place) // only the list that contains it removes it
	l.ended.Remove(p.place)
}

func (x *losses) add(to *address, id uint64) {
	switch {
	case to.promptID != "":
		x.all = max(x.all, id)
		x.prompts.add(to.promptID, id)
	case to.to == "":
		x.broadcast = max(x.broadcast, id)
	}
	if to.to != "" {
		x.clients.add(to.to, id)
	}
}

// tick drops events that are older than Retain.
func (l *eventLog) tick() {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	now := time.Now()
	old, next := now.Add(-h.opts.Retain), h.opts.Retain
	for e := l.ended.Front(); e != nil; e = l.ended.Front() {
		p := e.Value.(*promptLog)
		if now.Before(p.expires) {
			next = p.expires.Sub(now)
			break
		}
		l.drop(p)
	}
	for m, ok := l.general.q.Peek(); ok; m, ok = l.general.q.Peek() {
		if at := time.Unix(0, m.at); at.After(old) {
			next = min(next, at.Sub(old))
			break
		}
		l.dropOldest(&l.general)
	}
	if l.timer = nil; l.count > 0 {
		l.timer = time.AfterFunc(max(next, min(h.opts.Retain, time.Second)), l.tick)
	}
}

func (l *eventLog) close() {
	if l.timer != nil {
		l.timer.Stop()
	}
}
