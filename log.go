package nodebus

import (
	"container/list"
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
	latest  *story    // the one that spoke last, which speaks again as a rule; or nil
	running list.List // of *story: the one that was silent longest comes first
	ended   []*story  // in the order in which they ended, which is that of expiry
	lobby   story     // what belongs to no prompt
	count   int
	bytes   int
	timer   *time.Timer
	lost    losses
}

// story is what one prompt has said.
type story struct {
	addr    address // of its first event, and as a rule of all
	mixed   bool    // not of all
	q       queue.Queue[keptKey, kept]
	slab    []message     // for those to come
	brief   []message     // for the progress to come
	last    uint64        // ID of its newest event
	lost    uint64        // ID of the newest event it had to let go, while not mixed
	place   *list.Element // among those running; nil in the lobby
	over    bool
	expires time.Time
}

// kept is a message in the log, where what was said to one client does not
// replace what was said to another.
type kept struct{ *message }

type keptKey struct {
	coalesceKey
	to string
}

// messageWeight is what keeping a message costs beside its payload and its
// frame, roughly.
const messageWeight = 300

// Size is about how many bytes are kept.
func (k kept) Size() int { return messageWeight + 2*k.message.Size() }

// Key is that of the message, and to whom it went.
func (k kept) Key() (keptKey, bool) {
	key, keyed := k.message.Key()
	return keptKey{key, k.to.to}, keyed
}

// losses remembers what is no longer kept, for the [Gap] that says so: the IDs
// of the newest lost events.
type losses struct {
	all      uint64 // of any prompt
	everyone uint64 // of those that were for everyone
	clients  newest
	prompts  newest
}

// newest is the newest ID by name.
type newest struct {
	ids  map[string]uint64
	rest uint64 // of those not in the map any more
}

// newestMax bounds the names remembered; beyond it, a client that was long away
// is told of a gap whether it missed something or not.
const newestMax = 4096

func (n *newest) add(name string, id uint64) {
	if len(n.ids) >= newestMax {
		for _, id := range n.ids {
			n.rest = max(n.rest, id)
		}
		clear(n.ids)
	}
	n.ids[name] = max(n.ids[name], id)
}

func (n *newest) of(name string) uint64 { return max(n.rest, n.ids[name]) }

func (l *eventLog) init(h *Hub) {
	l.hub = h
	l.prompts = map[string]*story{}
	l.lobby.q.MaxLen, l.lobby.q.MaxBytes = math.MaxInt, math.MaxInt
	l.lost.clients.ids, l.lost.prompts.ids = map[string]uint64{}, map[string]uint64{}
	l.lost.everyone = h.lastID // an earlier process
}

// story is where ev belongs: what its prompt has said, which begins with it if
// need be, or the lobby. It is nil if the prompt is closed: nothing follows that
// but a new start under the same id.
func (l *eventLog) story(ev *Event) *story {
	if ev.PromptID == "" {
		return &l.lobby
	}
	st := l.latest
	if st == nil || st.addr.promptID != ev.PromptID {
		st = l.prompts[ev.PromptID]
	}
	if st != nil && st.over {
		if _, again := ev.Payload.(ExecutionStart); !again {
			return nil
		}
		l.drop(st)
		st = nil
	}
	if st == nil {
		st = &story{addr: address{ev.PromptID, ev.To, ev.Attempt}}
		st.q.MaxLen, st.q.MaxBytes = math.MaxInt, math.MaxInt
		st.place = l.running.PushBack(st)
		l.prompts[ev.PromptID] = st
	}
	l.latest = st
	return st
}

// newMessage takes one from a slab, which saves an allocation. A slab is freed as
// a whole, so that one that is large, or will be replaced, is on its own; but for
// progress, of which there is much and each is small.
func (st *story) newMessage(p Payload, d *draft) *message {
	if _, ok := p.(Progress); ok {
		return nextIn(&st.brief, 4)
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
	return nextIn(&st.slab, min(max(st.q.Len(), 4), 64))
}

func nextIn(slab *[]message, n int) *message {
	if len(*slab) == 0 {
		*slab = make([]message, n)
	}
	m := &(*slab)[0]
	*slab = (*slab)[1:]
	return m
}

// address is whom ev is for, shared with the rest of the story if it can be.
func (st *story) address(ev *Event) *address {
	same := st.addr.promptID == ev.PromptID && st.addr.to == ev.To
	if same && st.addr.attempt == ev.Attempt {
		return &st.addr
	}
	st.mixed = st.mixed || !same
	return &address{ev.PromptID, ev.To, ev.Attempt}
}

// keep files m, and lets go of what that leaves no room for.
func (l *eventLog) keep(st *story, m *message) {
	n, b := st.q.Len(), st.q.Bytes()
	st.q.Push(kept{m})
	l.count += st.q.Len() - n
	l.bytes += st.q.Bytes() - b
	st.last = m.id
	if st.place != nil {
		l.running.MoveToBack(st.place)
		if e, ok := m.payload.(Executing); ok && e.UniqueID == "" {
			l.running.Remove(st.place)
			st.over, st.expires = true, time.Unix(0, m.at).Add(l.hub.opts.Retain)
			l.ended = append(l.ended, st)
		}
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
// events outside prompts, then the oldest of the prompt that speaks, then whole
// prompts that have been silent.
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
	for l.full() && l.running.Len() > 0 && l.running.Front() != speaks.place {
		l.drop(l.running.Front().Value.(*story))
	}
}

// shift lets go of a story's oldest event.
func (l *eventLog) shift(st *story) {
	n, b := st.q.Len(), st.q.Bytes()
	m, _ := st.q.Pop()
	l.count += st.q.Len() - n
	l.bytes += st.q.Bytes() - b
	if st.mixed || st == &l.lobby {
		l.lost.add(m.to, m.id)
	} else {
		st.lost = m.id
	}
}

// drop lets go of a whole story.
func (l *eventLog) drop(st *story) {
	l.count -= st.q.Len()
	l.bytes -= st.q.Bytes()
	if st.mixed {
		for m := range st.q.All() {
			l.lost.add(m.to, m.id)
		}
		l.lost.add(&st.addr, st.lost)
	} else {
		l.lost.add(&st.addr, st.last)
	}
	// A message that waits for a client keeps the story alive, not what it holds.
	st.q, st.slab, st.brief = queue.Queue[keptKey, kept]{}, nil, nil
	delete(l.prompts, st.addr.promptID)
	if l.latest == st {
		l.latest = nil
	}
	switch {
	case !st.over:
		l.running.Remove(st.place)
	case l.ended[0] == st:
		l.ended[0] = nil
		l.ended = l.ended[1:]
	default: // an id used again
		i := slices.Index(l.ended, st)
		l.ended = slices.Delete(l.ended, i, i+1)
	}
}

func (x *losses) add(to *address, id uint64) {
	switch {
	case to.promptID != "":
		x.all = max(x.all, id)
		x.prompts.add(to.promptID, id)
	case to.to == "":
		x.everyone = max(x.everyone, id)
	}
	if to.to != "" {
		x.clients.add(to.to, id)
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
