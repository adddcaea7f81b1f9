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
	for l.full() && current.q.Len() > 1 {
		l.dropOldest(current)
	}
	for l.full() && l.running.Len() > 0 && l.running.Front() != current.place {
		l.drop(l.running.Front().Value.(*source))
	}
}

// dropOldest drops the oldest event of p.
func (l *memoryLog) dropOldest(p *source) {
	n, b := p.q.Len(), p.q.Bytes()
	m, _ := p.q.Pop()
	l.count += p.q.Len() - n
	l.bytes += p.q.Bytes() - b
	if p.mixed || p.place == nil {
		l.lost.add(m.to, m.id)
	} else {
		p.lost = m.id
	}
	if p.place == nil && p.q.Len() == 0 {
		l.leave(p.addr.to)
	}
}

// leave removes the sources of a client that has no events.
func (l *memoryLog) leave(client string) {
	if c := l.clients[client]; c != nil && c.general.q.Len() == 0 && len(c.prompts) == 0 {
		delete(l.clients, client)
	}
}

// drop drops a whole prompt.
func (l *memoryLog) drop(p *source) {
	l.count -= p.q.Len()
	l.bytes -= p.q.Bytes()
	l.disown(p, p.addr.to)
	if p.mixed {
		for m := range p.q.All() {
			l.lost.add(m.to, m.id)
			l.disown(p, m.to.to)
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

// disown removes a prompt from the sources of a client.
func (l *memoryLog) disown(p *source, client string) {
	if c := l.clients[client]; c != nil {
		delete(c.prompts, p)
		l.leave(client)
	}
}

// tick drops events that are older than Retain.
func (l *memoryLog) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.followers) == 0 {
		return
	}
	now := time.Now()
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
	if l.timer = nil; l.count > 0 {
		l.timer = time.AfterFunc(max(next, min(l.opts.Retain, time.Second)), l.tick)
	}
}

// outside holds the order of the events that belong to no prompt, over all clients. Some
// of its entries are stale: a newer event has replaced the event, or it was dropped.
type outside struct {
	entries []outsideEntry
	live    int // number of entries after the newest cleaning
}

type outsideEntry struct {
	src *source
	id  uint64
}

// add adds the newest event. It removes stale entries once there are many.
func (o *outside) add(src *source, id uint64) {
	if len(o.entries) >= 64 && len(o.entries) >= 2*o.live {
		live := o.entries[:0]
		for _, e := range o.entries {
			if e.kept() {
				live = append(live, e)
			}
		}
		clear(o.entries[len(live):])
		o.entries, o.live = live, len(live)
	}
	o.entries = append(o.entries, outsideEntry{src, id})
}

// kept reports whether the source still has the event.
func (e *outsideEntry) kept() bool {
	for k := range e.src.q.From(func(k kept) bool { return k.id >= e.id }) {
		return k.id == e.id
	}
	return false
}

// oldest returns the oldest event. It is also the oldest event of its source.
func (o *outside) oldest() (*source, *message, bool) {
	for len(o.entries) > 0 {
		e := o.entries[0]
		if k, ok := e.src.q.Peek(); ok && k.id == e.id {
			return e.src, k.message, true
		}
		o.entries[0] = outsideEntry{}
		o.entries = o.entries[1:]
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
