package nodebus

import (
	"fmt"
	"sync"
)

// Publisher accepts events. A [Hub] is a Publisher. Tests and tracers wrap a Publisher:
// the wrapper may replace the payload, but must not modify the payload that it
// received. It must be safe for concurrent use.
type Publisher interface {
	Publish(Event) error
}

// Hub delivers events to clients. Its guarantees:
//
//  1. Publish and SendSync encode the payload before they return, so the caller may
//     then change its value. Only a payload that cannot change may be encoded later: a
//     struct of strings, booleans and integers, or a standard payload of a Frozen
//     event. Publish and SendSync do not wait for clients. If the hub itself is far
//     behind, they wait for it, at most about a second for each shard. They fail only
//     if the payload cannot be encoded as [JSON], the event has no address, the log
//     fails, or the hub or the prompt is closed.
//  2. IDs increase. Every session receives its events in the order of IDs, except the
//     events that [Session.Release] and [Session.Watch] send.
//  3. An event of a prompt goes to its submitter (To), to clients that watch the
//     prompt, and to clients whose Include accepts the event. An event with only To
//     goes to that client. Only a broadcast goes to every client.
//  4. Each session has a limited queue, in which a newer [Coalescer] replaces an older
//     one, but no state from before a step of the prompt. Neighbouring pieces of a text
//     become one piece when they are written; see [TextPiece]. If the queue is full, the
//     session continues from the log. The hub drops no other event, with one exception:
//     an event that the session's own [Codec] refuses is left out for this session.
//     Other sessions are not affected.
//  5. The log keeps events for sessions that join later; see [SessionOptions].Since. A
//     session joins at one point between two events: it receives what the log kept up
//     to this point, and then every later event. If events are missing, a [Gap] comes
//     in their place. A session without a cursor cannot know of a gap; it ends with
//     [ErrSlow] if it has fallen behind and the log no longer has the events.
//  6. A client without a cursor that reconnects is sent again exactly the prompts that
//     it has not confirmed; see [SessionOptions].Confirms.
//  7. A client may have several sessions. Each session receives all events of the
//     client. The end of a session does not affect the others.
//  8. The hub holds no lock while it calls foreign code. Transports, codecs, payloads,
//     subscribers and filters may therefore use the hub and its sessions.
//
// All methods are safe for concurrent use.
type Hub struct {
	opts     HubOptions
	log      Log
	unfollow func()
	epoch    string // the life of the log
	shards   []*shard

	publishing inFlight  // the calls of the log's Append
	places     placeAsks // the questions for the log's newest place

	// The order of locks: first a lock of the log, then Hub.mu, then shard.reg, then one
	// of shard.mu, Session.mu, subscription.mu and message.mu. Code that holds one of the
	// last four takes no other lock. Code that holds any lock calls no foreign code: no
	// method of a Log, a Transport, a Codec or a Payload that is not standard, no
	// Include, no May, and no body of a Subscribe loop.
	mu        sync.Mutex // guards what follows
	closed    bool
	broken    error  // the log cannot be followed
	lastID    uint64 // ID of the newest event that the log has passed on
	index     clientIndex
	subs      []*subscription
	watching  []int // per shard, the number of sessions that may receive events of other clients' prompts
	sessions  map[*Session]struct{}
	catching  bool          // NewHub still reads the log
	early     []Event       // events that the log has passed on meanwhile
	named     uint64        // number of sessions that ever joined
	total     HubStats      // the counters of the sessions that have left
	left      chan struct{} // closed when the last session has left a closed hub
	arrived   chan struct{} // closed when the log passes on the event awaited; nil if nobody waits
	awaited   uint64
	status    Status // the newest broadcast Status, if hasStatus
	hasStatus bool
}

// NewHub returns a hub. nil options mean the defaults. The hub has no goroutine while
// nothing is published. Call Close to end its sessions.
//
// If the log already has events, NewHub reads the events of all prompts, because a
// client without a cursor must receive the prompts that run.
//
// If the log of the options fails, Publish and Subscribe return its error, and sessions
// end with it.
func NewHub(opts *HubOptions) *Hub {
	h := &Hub{
		opts:     opts.withDefaults(),
		sessions: map[*Session]struct{}{},
		left:     make(chan struct{}),
	}
	h.publishing.ended = make(chan struct{})
	h.index.init(h.opts.Retain)
	for range shardCount() {
		h.shards = append(h.shards, newShard())
	}
	h.watching = make([]int, len(h.shards))
	if h.log = h.opts.Log; h.log == nil {
		h.log = newMemoryLog(h.opts, newEpoch())
	}
	h.follow()
	return h
}

// follow begins to receive events from the log.
func (h *Hub) follow() {
	var at Cursor
	h.catching = true
	err := Protect(func() (err error) {
		at, h.unfollow, err = h.log.Follow(h.deliver)
		return err
	})
	if err != nil {
		err = fmt.Errorf("nodebus: the log cannot be followed: %w", err)
		h.unfollow = func() {}
	} else {
		err = h.catchUp(at.ID)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.log, h.broken = brokenLog{err}, err
	}
	h.epoch, h.lastID = at.Epoch, max(h.lastID, at.ID)
	for i := range h.early {
		h.index.add(&h.early[i], h.early[i].mark)
	}
	h.catching, h.early = false, nil
}

// catchUp adds to the index the prompts that the log had before the hub followed it.
func (h *Hub) catchUp(upTo uint64) error {
	q := LogQuery{All: true, UpTo: upTo}
	for q.After < upTo {
		found, _, err := h.readLog(q)
		if err != nil {
			return err
		}
		h.mu.Lock()
		for i := range found.Events {
			ev := &found.Events[i]
			t, _ := standardTraits(ev.Payload, true)
			p, _ := h.index.add(ev, mark{step: t.step, outcome: t.outcome})
			q.After = ev.ID
			if found.Lost > 0 { // perhaps it is not the first event of its prompt
				p.first = 1
			}
		}
		h.mu.Unlock()
		if !found.More {
			return nil
		}
	}
	return nil
}

// brokenLog is a log that cannot be used.
type brokenLog struct{ err error }

func (l brokenLog) Append(Event) error                         { return l.err }
func (l brokenLog) Read(LogQuery) (LogPage, error)             { return LogPage{}, l.err }
func (l brokenLog) Follow(func(Event)) (Cursor, func(), error) { return Cursor{}, nil, l.err }
func (l brokenLog) Drop(string) error                          { return l.err }

// Epoch returns the life of the hub's log. Every event and cursor of the hub has it.
func (h *Hub) Epoch() string { return h.epoch }

// Publish gives ev an ID and delivers it to its clients. It returns an [*EncodeError]
// if the payload cannot be encoded as [JSON], [ErrNoAddress] if ev has no address, and
// [ErrClosed] if the hub is closed or ev belongs to a prompt that has been closed. Then
// only an [ExecutionStart], or the outcome of a prompt that never began, may follow. Of
// the closed prompts whose events are no longer kept, the log in memory remembers at
// least the last 4096.
//
// Loops in this process (see [Hub.Subscribe]) receive ev.Payload itself. If there are
// such loops, the data that the payload points to must not change any more.
func (h *Hub) Publish(ev Event) error {
	switch {
	case ev.Broadcast:
		ev.PromptID, ev.To = "", ""
	case ev.PromptID == "" && ev.To == "":
		return ErrNoAddress
	}
	ev.Payload = clamped(ev.Payload)
	var d draft
	if err := d.prepare(&ev); err != nil {
		return err
	}
	ev.mark, ev.memo = d.mark(), nil
	if d.early || d.foreign {
		m := &message{}
		d.fill(m, &ev)
		ev.memo = m
	}
	if !h.publishing.begin() {
		return ErrClosed
	}
	if err := h.append(ev); err != nil {
		return err
	}
	h.waitForRoom()
	return nil
}

// append calls the log and ends the call of begin. It returns a panic of a foreign log as
// an error.
func (h *Hub) append(ev Event) error {
	defer h.publishing.end()
	if l, ours := h.log.(*memoryLog); ours { // it does not panic
		return l.Append(ev)
	}
	return Protect(func() error { return h.log.Append(ev) })
}

// SendSync sends p to the clients with these ids. The event belongs to no prompt.
// Without an id, SendSync returns [ErrNoAddress]; to send to every client, use
// [Hub.Broadcast]. It stops at the first error. For other errors see [Hub.Publish].
func (h *Hub) SendSync(p Payload, to ...string) error {
	if len(to) == 0 {
		return ErrNoAddress
	}
	for _, client := range to {
		if err := h.Publish(Event{To: client, Payload: p}); err != nil {
			return err
		}
	}
	return nil
}

// Broadcast sends p to every client. For errors see [Hub.Publish].
func (h *Hub) Broadcast(p Payload) error { return h.Publish(Event{Broadcast: true, Payload: p}) }

// deliver receives the next event of the log. It passes the event to the subscribers
// and to the shards. The sessions' queues share one message.
func (h *Hub) deliver(ev Event) {
	m, shared := ev.message()
	if m == nil && !ev.mark.known { // before the lock, because this calls foreign code
		m = newMessage(&ev)
		t, _ := standardTraits(ev.Payload, true)
		ev.mark = mark{known: true, size: m.size, coalesces: m.keyed, step: t.step, outcome: m.outcome, extension: m.extension}
	}
	k := ev.mark
	ev.memo, ev.mark = nil, mark{}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || ev.ID <= h.lastID {
		return
	}
	h.lastID = ev.ID
	if h.arrived != nil && ev.ID >= h.awaited {
		close(h.arrived) // Close continues when it has the lock
		h.arrived = nil
	}
	if ev.Broadcast { // otherwise it is no Status that everybody receives
		if s, isStatus := ev.Payload.(Status); isStatus {
			h.status, h.hasStatus = s, true
		}
	}
	if h.catching {
		ev.mark = k
		h.early = append(h.early, ev)
		return
	}
	p, steps := h.index.add(&ev, k)
	for _, s := range h.subs {
		s.push(&ev, int(k.size))
	}
	if len(h.sessions) > 0 {
		if m == nil {
			m = &message{id: ev.ID, at: ev.Time.UnixNano()}
			m.fill(ev.Payload, k)
			if p != nil {
				m.to = p.address(&ev)
			} else {
				m.to = &address{ev.PromptID, ev.To, ev.Attempt, ev.Epoch}
			}
		}
		if !shared {
			m.steps = steps
		}
		h.route(m)
	}
}

// route passes m to the shards that may have a session for it. h.mu is held.
func (h *Hub) route(m *message) {
	to := -1
	if m.to.to != "" {
		to = h.shardIndex(m.to.to)
	}
	everyone := m.to.everyone()
	for i, s := range h.shards {
		if i == to || everyone || m.to.promptID != "" && h.watching[i] > 0 {
			s.post(m)
		}
	}
}

// waitForRoom waits for the shards that have no room. A worker does not wait: it would
// wait for itself, or for another worker that waits for it.
func (h *Hub) waitForRoom() {
	for _, s := range h.shards {
		if s.full.Load() && !isWorker() {
			s.waitForRoom()
		}
	}
}

// leave removes a session from the hub. A second call does nothing.
func (h *Hub) leave(s *Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, in := h.sessions[s]; !in {
		return
	}
	delete(h.sessions, s)
	s.shard.leave(s)
	h.countWatcher(s, -1)
	h.total.add(s.stats(h.lastID))
	if h.closed && len(h.sessions) == 0 {
		close(h.left)
	}
}

// countWatcher changes the number of sessions that may receive events of other clients'
// prompts by n, if s is such a session. h.mu is held.
func (h *Hub) countWatcher(s *Session, n int) {
	if s.watchAll || s.include != nil || len(s.watch) > 0 {
		h.watching[h.shardIndex(s.client)] += n
	}
}
