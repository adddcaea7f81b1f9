package nodebus

import (
	"time"

	"github.com/nodebus/nodebus/internal/queue"
)

// This file drops events from the memory log: when there is no room, and when events
// are older than Retain.

func (l *memoryLog) full() bool { return l.count > l.opts.KeepLen || l.bytes > l.opts.KeepBytes }

// makeRoom drops events in this order: whole prompts that have ended, oldest first; the
// oldest events without a prompt; the oldest events of current, the source of the newest
// event; whole prompts that run, first the prompt whose newest event is oldest.
func (l *memoryLog) makeRoom(current *source) {
	for l.full() && l.ended.Len() > 0 && l.ended.Front() != current.place {
		l.drop(l.ended.Front().Value.(*source))
	}
	for l.full() {
		src, _, ok := l.outside.oldest()
		if !ok {
			break
		}
		l.dropOldest(src)
	}
	for l.full() && current.q.Len()+current.tape.n > 1 {
		l.dropOldest(current)
	}
	for l.full() && l.running.Len() > 0 && l.running.Front() != current.place {
		l.drop(l.running.Front().Value.(*source))
	}
}

// dropOldest drops the oldest event of p.
func (l *memoryLog) dropOldest(p *source) {
	id, to := uint64(0), &p.addr
	oldest, ok := p.q.Peek()
	if taped, any := p.tape.oldest(); any && (!ok || taped < oldest.id) {
		size := 0
		id, size = p.tape.pop()
		l.count--
		l.bytes -= size
	} else {
		n, b := p.q.Len(), p.q.Bytes()
		p.q.Pop()
		l.count += p.q.Len() - n
		l.bytes += p.q.Bytes() - b
		id, to = oldest.id, oldest.to
	}
	p.lostAny = id
	if p.mixed || p.place == nil {
		l.addLost(to, id)
	} else {
		p.lost = id
	}
	if p.place == nil && p.q.Len() == 0 {
		l.leave(p.addr.to)
	}
}

// addLost records the loss of an event. The sources of a client that has other events know
// the losses of the client exactly.
func (l *memoryLog) addLost(to *address, id uint64) {
	if c := l.clients[to.to]; c != nil {
		c.lost = max(c.lost, id)
	}
	l.lost.add(to, id)
}

// leave removes the sources of a client that has no events.
func (l *memoryLog) leave(client string) {
	if c := l.clients[client]; c != nil && c.general.q.Len() == 0 && len(c.prompts) == 0 {
		l.outside.leave(&c.general)
		l.bytes -= sourceWeight
		delete(l.clients, client)
	}
}

// drop drops a whole prompt.
func (l *memoryLog) drop(p *source) {
	l.bytes -= sourceWeight
	l.count -= p.q.Len() + p.tape.n
	l.bytes -= p.q.Bytes() + p.tape.bytes
	l.disown(p, p.addr.to)
	if p.mixed {
		for r := range p.tape.from(0) {
			l.addLost(&p.addr, r.id)
		}
		for m := range p.q.All() {
			l.addLost(m.to, m.id)
			l.disown(p, m.to.to)
		}
		l.addLost(&p.addr, p.lost)
	} else {
		l.addLost(&p.addr, p.last)
	}
	// A message that still waits for a client points to p. Free the events of p now.
	p.q, p.tape, p.slab, p.steps = queue.Queue[keptKey, kept]{}, tape{}, nil, nil
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

// disown removes a prompt from the sources of a client.
func (l *memoryLog) disown(p *source, client string) {
	if c := l.clients[client]; c != nil {
		delete(c.prompts, p)
		l.leave(client)
	}
}

// oldest returns the ID of the oldest event, or the ID after the newest if there is no
// event. l.mu is held.
func (l *memoryLog) oldest() uint64 {
	least := max(l.last, l.lost.all) + 1
	for _, p := range l.prompts {
		if k, ok := p.q.Peek(); ok {
			least = min(least, k.id)
		}
		if id, ok := p.tape.oldest(); ok {
			least = min(least, id)
		}
	}
	if _, m, ok := l.outside.oldest(); ok {
		least = min(least, m.id)
	}
	return least
}

// tick drops events that are older than Retain.
func (l *memoryLog) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.followers) == 0 {
		return
	}
	now := l.elsewhere.now()
	old, next := now.Add(-l.opts.Retain), l.opts.Retain
	for e := l.ended.Front(); e != nil; e = l.ended.Front() {
		p := e.Value.(*source)
		if now.Before(p.expires) {
			next = p.expires.Sub(now)
			break
		}
		l.drop(p)
	}
	for src, m, ok := l.outside.oldest(); ok; src, m, ok = l.outside.oldest() {
		if at := time.Unix(0, m.at); at.After(old) {
			next = min(next, at.Sub(old))
			break
		}
		l.dropOldest(src)
	}
	l.timer = nil
	if l.count > 0 {
		l.startTimer(max(next, min(l.opts.Retain, time.Second)))
	}
}

// outside holds the order of the events that belong to no prompt, over all clients, in a
// ring. Some of its entries are stale: a newer event has replaced the event, or the event
// was dropped. The ring holds no pointers, so the garbage collector does not look into it.
type outside struct {
	ring    []outsideEntry // its length is a power of two
	head, n int
	live    int       // number of entries after the newest cleaning
	sources []*source // by number; nil if the number is free
	free    []int32
}

type outsideEntry struct {
	id     uint64
	source int32
}

// enter gives a source a number.
func (o *outside) enter(src *source) {
	if n := len(o.free); n > 0 {
		src.number, o.free = o.free[n-1], o.free[:n-1]
	} else {
		src.number = int32(len(o.sources))
		o.sources = append(o.sources, nil)
	}
	o.sources[src.number] = src
}

// leave frees the number of a source that has no events.
func (o *outside) leave(src *source) {
	o.sources[src.number] = nil
	o.free = append(o.free, src.number)
}

func (o *outside) at(i int) *outsideEntry { return &o.ring[(o.head+i)&(len(o.ring)-1)] }

// add adds the newest event. When the ring is full, it removes stale entries, if there may
// be many, or makes the ring larger.
func (o *outside) add(src *source, id uint64) {
	if o.n == len(o.ring) {
		if o.n >= 2*o.live && o.n >= 64 {
			o.clean()
		}
		if 2*o.n > len(o.ring) || o.n == 0 {
			o.grow()
		}
	}
	o.n++
	*o.at(o.n - 1) = outsideEntry{id, src.number}
}

// clean removes the stale entries.
func (o *outside) clean() {
	kept := 0
	for i := range o.n {
		if e := *o.at(i); o.has(e) {
			*o.at(kept) = e
			kept++
		}
	}
	o.n, o.live = kept, kept
}

func (o *outside) grow() {
	larger := make([]outsideEntry, max(64, 2*len(o.ring)))
	for i := range o.n {
		larger[i] = *o.at(i)
	}
	o.ring, o.head = larger, 0
}

// has reports whether the source still has the event.
func (o *outside) has(e outsideEntry) bool {
	src := o.sources[e.source]
	if src == nil {
		return false
	}
	for k := range src.q.From(func(k kept) bool { return k.id >= e.id }) {
		return k.id == e.id
	}
	return false
}

// oldest returns the oldest event. It is also the oldest event of its source.
func (o *outside) oldest() (*source, *message, bool) {
	for o.n > 0 {
		e := o.at(0)
		if src := o.sources[e.source]; src != nil {
			if k, ok := src.q.Peek(); ok && k.id == e.id {
				return src, k.message, true
			}
		}
		o.head, o.n = o.head+1, o.n-1
	}
	return nil, nil, false
}

// losses holds the IDs of the newest events that are no longer kept.
type losses struct {
	all       uint64 // the newest lost event of any prompt
	broadcast uint64 // the newest lost broadcast
	clients   newestIDs
	prompts   newestIDs
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

// addAll records the loss of whatever the log had up to this ID. The log is empty.
func (x *losses) addAll(upTo uint64) {
	x.all, x.broadcast, x.clients.rest, x.prompts.rest = upTo, upTo, upTo, upTo
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
