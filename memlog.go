package nodebus

import (
	"container/list"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"time"
)

// memoryLog is the default [Log]. A newer event with a key replaces the older event with
// the same key. So the log contains the newest state, and not every step to it.
type memoryLog struct {
	opts  HubOptions
	epoch string

	mu        sync.Mutex // held while followers are called, so that they receive events in order
	followers []*follower
	clock     clock
	elsewhere otherClock
	last      uint64
	prompts   map[string]*source
	clients   map[string]*clientSources
	broadcast source
	latest    *source   // the prompt of the newest event, usually also of the next event; or nil
	running   list.List // of *source; the prompt whose newest event is oldest is first
	ended     list.List // of *source, in the order in which the prompts ended and expire
	outside   outside   // the order of the events that belong to no prompt
	count     int
	bytes     int
	timer     *time.Timer
	reads     uint64 // number of calls of Read
	lost      losses
	closed    closedIDs
}

type follower struct{ deliver func(Event) }

// clientSources holds the events of one client: its prompts, and its events that belong
// to no prompt.
type clientSources struct {
	general source
	prompts map[*source]struct{}
	lost    uint64 // ID of the newest event of the client that is no longer kept
}

// NewMemoryLog returns a log that keeps events in memory, for several hubs of one
// process. Retain, KeepLen and KeepBytes of opts are its limits; nil means the defaults.
// The other options have no effect on it. Give the same Retain to [NewHub], because the
// hub remembers ended prompts for as long. The log has no goroutine. It forgets expired
// events only while a hub follows it.
func NewMemoryLog(opts *HubOptions) Log { return newMemoryLog(opts.withDefaults(), newEpoch()) }

func newEpoch() string { return strings.ToLower(rand.Text()[:10]) }

func newMemoryLog(opts HubOptions, epoch string) *memoryLog {
	l := &memoryLog{
		opts:    opts,
		epoch:   epoch,
		prompts: map[string]*source{},
		clients: map[string]*clientSources{},
	}
	l.broadcast.init(address{epoch: l.epoch})
	l.outside.enter(&l.broadcast)
	l.lost.clients.ids, l.lost.prompts.ids = map[string]uint64{}, map[string]uint64{}
	return l
}

// Append implements [Log].
func (l *memoryLog) Append(ev Event) error {
	if err := ev.known(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	src := l.sourceOf(&ev)
	if src == nil {
		return ErrClosed
	}
	l.last++
	at := l.clock.now()
	ev.ID, ev.Epoch, ev.Time = l.last, l.epoch, time.Unix(0, at)
	l.add(src, ev, at)
	return nil
}

// known makes sure that a log knows what kind of event ev is: a hub has found it out, and
// any other caller has not.
func (ev *Event) known() error {
	if ev.mark.known {
		return nil
	}
	var d draft
	if err := d.prepare(ev); err != nil {
		return err
	}
	m := &message{}
	d.fill(m, ev)
	ev.mark, ev.memo = d.mark(), m
	return nil
}

// add keeps ev, which has its place in the log, and passes it to the followers. at is
// its time in Unix nanoseconds. l.mu is held.
func (l *memoryLog) add(src *source, ev Event, at int64) {
	if m, _ := ev.memo.(*message); m != nil || !src.takes(&ev) {
		if m == nil {
			m = src.newMessage(ev.Payload, ev.mark)
			m.fill(ev.Payload, ev.mark)
			ev.memo = m
		}
		m.id, m.at, m.to, m.steps = ev.ID, at, l.address(src, &ev), src.stepped
		l.keep(src, m)
	} else {
		l.keepOnTape(src, &ev, at)
	}
	if ev.mark.step {
		src.stepped++
	}
	for _, f := range l.followers {
		f.deliver(ev)
	}
}

// sourceOf returns the source for ev: the source of its prompt, which sourceOf creates
// if necessary, of its client, or of the broadcasts. It returns nil if the prompt has
// ended and ev does not begin the prompt again, or if a newer attempt has begun.
func (l *memoryLog) sourceOf(ev *Event) *source {
	if ev.PromptID == "" {
		if ev.To == "" {
			return &l.broadcast
		}
		return &l.clientOf(ev.To).general
	}
	p := l.promptOf(ev.PromptID)
	if !l.admits(p, ev) {
		return nil
	}
	if p != nil && p.over || p == nil && l.closed.has(ev.PromptID) {
		l.forget(ev.PromptID, p)
		p = nil
	}
	if p != nil && ev.Attempt > 0 {
		p.attempt = ev.Attempt
	}
	if p == nil {
		p = &source{}
		p.init(address{ev.PromptID, ev.To, ev.Attempt, l.epoch})
		p.attempt = ev.Attempt
		if !beginsAgain(ev.Payload) { // a log that was opened again may not have its first events
			p.lost, p.lostAny = l.lost.prompts.rest, l.lost.prompts.rest
		}
		p.stepped = uint32(l.last) // other than the steps of a prompt that had the id before
		p.place = l.running.PushBack(p)
		l.bytes += sourceWeight
		l.prompts[ev.PromptID] = p
		l.own(ev.To, p)
	}
	l.latest = p
	return p
}

// promptOf returns the source of a prompt, or nil. l.mu is held.
func (l *memoryLog) promptOf(id string) *source {
	if p := l.latest; p != nil && p.addr.promptID == id {
		return p
	}
	return l.prompts[id]
}

// admits reports whether ev may follow the events of its prompt, whose source is p. l.mu is
// held.
func (l *memoryLog) admits(p *source, ev *Event) bool {
	switch {
	case p == nil && !l.closed.has(ev.PromptID):
		return true
	case p == nil || p.over:
		return beginsAgain(ev.Payload)
	}
	return ev.Attempt == 0 || ev.Attempt >= p.attempt
}

// mayFollow reports whether the log would accept ev now. l.mu is held.
func (l *memoryLog) mayFollow(ev *Event) bool {
	return ev.PromptID == "" || l.admits(l.promptOf(ev.PromptID), ev)
}

// beginsAgain reports whether p may be the first event of a prompt whose id was used
// before: its start, or its outcome, if the prompt ends before it begins.
func beginsAgain(p Payload) bool {
	_, start := p.(ExecutionStart)
	return start || isOutcome(p)
}

// forget makes an id free for a new prompt. p is the source of the old prompt, or nil.
func (l *memoryLog) forget(promptID string, p *source) {
	if p != nil {
		l.drop(p)
	}
	l.closed.remove(promptID)
}

// clientOf returns the sources of a client.
func (l *memoryLog) clientOf(client string) *clientSources {
	c := l.clients[client]
	if c == nil {
		c = &clientSources{prompts: map[*source]struct{}{}, lost: l.lost.clients.of(client)}
		c.general.init(address{to: client, epoch: l.epoch})
		l.outside.enter(&c.general)
		l.bytes += sourceWeight
		l.clients[client] = c
	}
	return c
}

// own adds a prompt to the sources of a client.
func (l *memoryLog) own(client string, p *source) {
	if client != "" {
		l.clientOf(client).prompts[p] = struct{}{}
	}
}

// address returns the address of ev. Events with the same address as their source share
// one.
func (l *memoryLog) address(p *source, ev *Event) *address {
	if p.addr.to == ev.To {
		if p.addr.attempt == ev.Attempt || ev.PromptID == "" {
			return &p.addr
		}
	} else {
		p.mixed = true
		l.own(ev.To, p)
	}
	return &address{ev.PromptID, ev.To, ev.Attempt, l.epoch}
}

// keep adds m to its source, and drops events if there is no room.
func (l *memoryLog) keep(p *source, m *message) {
	n, b := p.q.Len(), p.q.Bytes()
	p.q.Push(kept{m})
	l.count += p.q.Len() - n
	l.bytes += p.q.Bytes() - b
	if p.place == nil {
		l.outside.add(p, m.id)
	} else if e, ok := m.payload.(Executing); ok && e.UniqueID == "" {
		l.running.Remove(p.place)
		p.over, p.expires = true, time.Unix(0, m.at).Add(l.opts.Retain)
		p.place = l.ended.PushBack(p)
	}
	l.added(p, m.id)
}

// keepOnTape adds an event to the tape of its source.
func (l *memoryLog) keepOnTape(p *source, ev *Event, at int64) {
	l.bytes += p.tape.add(ev.ID, at, ev.Payload)
	l.count++
	l.added(p, ev.ID)
}

// added completes the adding of an event.
func (l *memoryLog) added(p *source, id uint64) {
	p.last = id
	if p.place != nil && !p.over {
		l.running.MoveToBack(p.place)
	}
	if l.full() {
		l.makeRoom(p)
	}
	l.startTimer(l.opts.Retain)
}

// startTimer makes the log drop expired events after the duration d, unless a timer runs
// already or no hub follows the log. l.mu is held.
func (l *memoryLog) startTimer(d time.Duration) {
	if l.timer == nil && len(l.followers) > 0 {
		l.timer = time.AfterFunc(d, l.tick)
	}
}

// Follow implements [Log].
func (l *memoryLog) Follow(deliver func(Event)) (Cursor, func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &follower{deliver}
	l.followers = append(l.followers, f)
	if l.count > 0 { // it may have had events before anybody followed it
		l.startTimer(min(l.opts.Retain, time.Second))
	}
	return Cursor{l.epoch, max(l.last, l.lost.all)}, func() { l.unfollow(f) }, nil
}

func (l *memoryLog) unfollow(f *follower) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.followers = slices.DeleteFunc(slices.Clone(l.followers), func(o *follower) bool { return o == f })
	if len(l.followers) == 0 && l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// Drop implements [Log].
func (l *memoryLog) Drop(promptID string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(promptID, l.prompts[promptID])
	return nil
}

// Read implements [Log].
func (l *memoryLog) Read(q LogQuery) (page LogPage, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var due []*message
	for _, src := range l.selected(&q, &page.Lost) {
		due = src.appendTo(due, &q)
	}
	slices.SortFunc(due, byID)
	if page.Lost = min(page.Lost, q.UpTo); page.Lost <= q.After {
		page.Lost = 0
	}
	bytes, n := 0, len(due)
	for i, m := range due {
		bytes += m.Size()
		if i > 0 && (q.Limit > 0 && i >= q.Limit || q.LimitBytes > 0 && bytes > q.LimitBytes) {
			n, page.More = i, true
			break
		}
	}
	page.Events = make([]Event, n)
	for i, m := range due[:n] {
		page.Events[i] = m.event()
		page.Events[i].memo = m
	}
	return page, nil
}

// selected returns the sources with events for q, each once, and raises lost to the ID
// of the newest lost event of q.
func (l *memoryLog) selected(q *LogQuery, lost *uint64) (sources []*source) {
	l.reads++
	add := func(src *source) {
		if src.last > q.After && src.read != l.reads {
			src.read = l.reads
			sources = append(sources, src)
		}
	}
	if q.Own {
		*lost = max(*lost, l.lost.broadcast)
		add(&l.broadcast)
	}
	if q.Own && q.Client != "" {
		c := l.clients[q.Client]
		if c == nil {
			*lost = max(*lost, l.lost.clients.of(q.Client))
		} else {
			*lost = max(*lost, c.lost)
			add(&c.general)
			for p := range c.prompts {
				if p.addr.to == q.Client {
					*lost = max(*lost, p.lost)
				}
				add(p)
			}
		}
	}
	if q.All {
		*lost = max(*lost, l.lost.all)
		for _, p := range l.prompts {
			*lost = max(*lost, p.lostAny)
			add(p)
		}
	}
	for _, id := range q.Prompts {
		if p := l.prompts[id]; p != nil { // it knows its losses, but not the losses of an earlier prompt of this id
			*lost = max(*lost, p.lostAny, l.lost.prompts.ids[id])
			add(p)
		} else {
			*lost = max(*lost, l.lost.prompts.of(id))
		}
	}
	return sources
}

// selects reports whether q selects an event with the address a.
func (q *LogQuery) selects(a *address) bool {
	if q.Own && (a.to != "" && a.to == q.Client || a.everyone()) {
		return true
	}
	return a.promptID != "" && (q.All || slices.Contains(q.Prompts, a.promptID))
}

// Closed reports whether a prompt has ended, as far as the log remembers.
func (l *memoryLog) Closed(promptID string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.prompts[promptID]
	return p != nil && p.over || p == nil && l.closed.has(promptID)
}
