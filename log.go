package nodebus

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/nodebus/nodebus/internal/queue"
)

// eventLog is what has been said, compacted: a newer keyed event replaces the
// older one. That makes it a log and a snapshot at once. The hub's lock guards
// it.
type eventLog struct {
	hub     *Hub
	prompts map[string]*story
	ended   []*story // in the order in which they ended, which is that of expiry
	lobby   story    // what belongs to no prompt
	count   int
	bytes   int
	timer   *time.Timer
	lost    losses
}

// story is what one prompt has said.
type story struct {
	addr    address // of its first event, and as a rule of all
	mixed   bool    // not of all
	q       queue.Queue[mailKey, *message]
	last    uint64 // ID of its newest event
	lost    uint64 // ID of the newest event it had to let go while running
	over    bool
	expires time.Time
}

// losses remembers what is no longer kept, for the [Gap] that says so.
type losses struct {
	all      uint64            // newest lost event of any prompt
	everyone uint64            // newest lost event that was for everyone
	client   map[string]uint64 // newest lost event by client
}

// lossesMax bounds the clients remembered; beyond it, a client that was long
// away is told of a gap whether it missed something or not.
const lossesMax = 4096

func (l *eventLog) init(h *Hub) {
	l.hub = h
	l.prompts = map[string]*story{}
	l.lobby.q.MaxLen, l.lobby.q.MaxBytes = math.MaxInt, math.MaxInt
	l.lost.client = map[string]uint64{}
	l.lost.everyone = h.lastID // an earlier process
}

// story is where ev belongs: what its prompt has said, which begins with it if
// need be, or the lobby. It is nil if the prompt is closed: nothing follows that
// but a new start under the same id.
func (l *eventLog) story(ev *Event) *story {
	if ev.PromptID == "" {
		return &l.lobby
	}
	st := l.prompts[ev.PromptID]
	if st != nil && st.over {
		if _, again := ev.Payload.(ExecutionStart); !again {
			return nil
		}
		l.drop(st)
		st = nil
	}
	if st == nil {
		st = &story{addr: address{ev.PromptID, ev.To}}
		st.q.MaxLen, st.q.MaxBytes = math.MaxInt, math.MaxInt
		l.prompts[ev.PromptID] = st
	}
	return st
}

// forget undoes the beginning of a story whose first event came to nothing.
func (l *eventLog) forget(st *story) {
	if st.last == 0 && st != &l.lobby {
		delete(l.prompts, st.addr.promptID)
	}
}

// address is whom ev is for, shared with the rest of the story if it can be.
func (st *story) address(ev *Event) *address {
	if st.addr.promptID == ev.PromptID && st.addr.to == ev.To {
		return &st.addr
	}
	st.mixed = true
	return &address{ev.PromptID, ev.To}
}

// keep files m, and lets go of what that leaves no room for.
func (l *eventLog) keep(st *story, m *message) {
	n, b := st.q.Len(), st.q.Bytes()
	st.q.Push(m)
	l.count += st.q.Len() - n
	l.bytes += st.q.Bytes() - b
	st.last = m.id
	if e, ok := m.payload.(Executing); ok && e.Node == "" && st != &l.lobby {
		st.over, st.expires = true, time.Unix(0, m.at).Add(l.hub.opts.Retain)
		l.ended = append(l.ended, st)
	}
	if l.full() {
		l.makeRoom(st)
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(l.hub.opts.Retain, l.tick)
	}
}

func (l *eventLog) full() bool {
	return l.count > l.hub.opts.KeepLen || l.bytes > l.hub.opts.KeepBytes
}

// makeRoom drops whole prompts that have ended, oldest first, then the oldest
// events outside prompts, then the oldest of the prompt that speaks.
func (l *eventLog) makeRoom(speaks *story) {
	for l.full() && len(l.ended) > 0 && l.ended[0] != speaks {
		l.drop(l.ended[0])
	}
	for l.full() && l.lobby.q.Len() > 0 {
		l.shift(&l.lobby)
	}
	for l.full() && speaks.q.Len() > 1 {
		l.shift(speaks)
	}
}

// shift lets go of a story's oldest event.
func (l *eventLog) shift(st *story) {
	n, b := st.q.Len(), st.q.Bytes()
	m, _ := st.q.Pop()
	l.count += st.q.Len() - n
	l.bytes += st.q.Bytes() - b
	st.lost = max(st.lost, m.id)
	l.lost.add(m.to, m.id)
}

// drop lets go of a whole story.
func (l *eventLog) drop(st *story) {
	l.count -= st.q.Len()
	l.bytes -= st.q.Bytes()
	if st.mixed {
		for m := range st.q.All() {
			l.lost.add(m.to, m.id)
		}
	}
	l.lost.add(&st.addr, st.last)
	delete(l.prompts, st.addr.promptID)
	if i := slices.Index(l.ended, st); i >= 0 { // the first, but for an id used again
		l.ended = slices.Delete(l.ended, i, i+1)
	}
}

func (x *losses) add(to *address, id uint64) {
	if to.promptID != "" {
		x.all = max(x.all, id)
	}
	if to.to == "" {
		if to.promptID == "" {
			x.everyone = max(x.everyone, id)
		}
		return
	}
	x.client[to.to] = max(x.client[to.to], id)
	if len(x.client) > lossesMax {
		for _, id := range x.client {
			x.everyone = max(x.everyone, id)
		}
		clear(x.client)
	}
}

// tick lets go of what is older than Retain.
func (l *eventLog) tick() {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	now := time.Now()
	for len(l.ended) > 0 && !now.Before(l.ended[0].expires) {
		l.drop(l.ended[0])
	}
	old := now.Add(-h.opts.Retain)
	next := h.opts.Retain
	for m, ok := l.lobby.q.Peek(); ok; m, ok = l.lobby.q.Peek() {
		if at := time.Unix(0, m.at); at.After(old) {
			next = at.Sub(old)
			break
		}
		l.shift(&l.lobby)
	}
	if len(l.ended) > 0 {
		next = min(next, l.ended[0].expires.Sub(now))
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

// replay returns what s is due of the past, in order, and tells it of a gap if
// part of that is gone.
func (l *eventLog) replay(s *Session, since, last uint64) []*message {
	var due []*message
	if since == 0 {
		for _, st := range l.prompts {
			mine := st.addr.to != "" && st.addr.to == s.client || s.watchAll
			if mine && !st.over || slices.Contains(s.watch, st.addr.promptID) {
				due = appendIf(due, &st.q, s.isFor)
			}
		}
		slices.SortFunc(due, byID)
		return due
	}
	from, unknown := since, since > last // from another process, or made up
	if unknown {
		from = 0
	}
	lost := max(l.lost.everyone, l.lost.client[s.client])
	if s.watchAll {
		lost = max(lost, l.lost.all)
	}
	for _, id := range s.watch {
		if st := l.prompts[id]; st == nil {
			lost = max(lost, l.lost.all)
		} else {
			lost = max(lost, st.lost)
		}
	}
	missed := func(m *message) bool { return m.id > from && s.isFor(m) }
	for _, st := range l.prompts {
		if st.last > from {
			due = appendIf(due, &st.q, missed)
		}
	}
	due = appendIf(due, &l.lobby.q, missed)
	slices.SortFunc(due, byID)
	if from < lost || unknown {
		g := Gap{Since: since, Next: last + 1}
		if len(due) > 0 {
			g.Next = due[0].id
		}
		s.hello = append(slices.Clip(s.hello), g)
	}
	return due
}

func byID(a, b *message) int { return cmp.Compare(a.id, b.id) }

func appendIf(due []*message, q *queue.Queue[mailKey, *message], want func(*message) bool) []*message {
	for m := range q.All() {
		if want(m) {
			due = append(due, m)
		}
	}
	return due
}

// isFor reports whether m is addressed to s.
func (s *Session) isFor(m *message) bool {
	switch {
	case m.to.to != "" && m.to.to == s.client:
		return true
	case m.to.promptID != "":
		return s.watchAll || slices.Contains(s.watch, m.to.promptID)
	}
	return m.to.to == ""
}
