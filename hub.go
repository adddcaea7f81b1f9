package nodebus

import (
	"cmp"
	"sync"
	"time"
)

// Publisher accepts events. A [Hub] is a Publisher. Tests and tracers wrap a Publisher:
// the wrapper may replace the payload, but must not modify the payload that it
// received. It must be safe for concurrent use.
type Publisher interface {
	Publish(Event) error
}

// HubOptions are the limits of a [Hub]. A nil *HubOptions means the defaults. A field
// that is zero or less means its default.
type HubOptions struct {
	// QueueLen and QueueBytes limit the events that wait for one session. The session
	// of a client that falls further behind ends with [ErrSlow]. Defaults: 65 536
	// events and 16 MiB. Two kinds of events do not count: events that were passed to a
	// Write of the transport, and the replay for a client that reconnects. An event
	// larger than QueueBytes may wait alone.
	//
	// The defaults are large because a graph of small nodes publishes more events in
	// one millisecond than a healthy client reads in ten. The log and all clients share
	// the memory of the events. A smaller value disconnects clients that are only
	// briefly behind.
	QueueLen   int
	QueueBytes int
	// Retain is how long the hub keeps events for clients that reconnect: events of a
	// prompt after the end of the prompt, other events after they were sent. Default: 5
	// minutes.
	Retain time.Duration
	// KeepLen and KeepBytes limit all events that the hub keeps. Defaults: 262 144
	// events and 64 MiB. If there is no room, the hub drops ended prompts before other
	// events; the prompt that ended first goes first. KeepLen and KeepBytes also limit
	// the events that wait for one [Hub.Subscribe] loop.
	KeepLen   int
	KeepBytes int
	// Drain is how long Close waits until clients have received the events that wait
	// for them. Default: 5 seconds.
	Drain time.Duration
}

func (o *HubOptions) withDefaults() HubOptions {
	var opts HubOptions
	if o != nil {
		opts = *o
	}
	opts.QueueLen = positiveOr(opts.QueueLen, 1<<16)
	opts.QueueBytes = positiveOr(opts.QueueBytes, 16<<20)
	opts.Retain = positiveOr(opts.Retain, 5*time.Minute)
	opts.KeepLen = positiveOr(opts.KeepLen, 1<<18)
	opts.KeepBytes = positiveOr(opts.KeepBytes, 64<<20)
	opts.Drain = positiveOr(opts.Drain, 5*time.Second)
	return opts
}

// positiveOr returns v, or otherwise if v is zero or less.
func positiveOr[T cmp.Ordered](v, otherwise T) T {
	var zero T
	if v > zero {
		return v
	}
	return otherwise
}

// Hub delivers events to clients. Its guarantees:
//
//  1. Publish and SendSync encode the payload before they return, so the caller may
//     then change its value. Only a payload that cannot change may be encoded later: a
//     struct of strings, booleans and integers, or a standard payload of a Frozen
//     event. Publish and SendSync do not wait for clients. If the hub itself is far
//     behind, they wait for it, at most about a second for each shard. They fail only
//     if the payload cannot be encoded as [JSON], the event has no address, or the hub
//     or the prompt is closed.
//  2. IDs increase. Every session receives its events in the order of IDs, except the
//     events that [Session.Release] sends.
//  3. An event of a prompt goes to its submitter (To), to clients that watch the
//     prompt, and to clients whose Include accepts the event. An event with only To
//     goes to that client. Only a broadcast goes to every client.
//  4. Each session has a limited queue, in which a newer [Coalescer] replaces an older
//     one. A full queue ends this session with [ErrSlow]. The hub drops no other event,
//     with one exception: an event that the session's own [Codec] refuses is left out
//     for this session. Other sessions are not affected.
//  5. The hub keeps events for sessions that join later, until Retain has passed; see
//     [SessionOptions].Since. If events are missing from a replay, a [Gap] comes before
//     the replay.
//  6. A client may have several sessions. Each session receives all events of the
//     client. The end of a session does not affect the others.
//  7. The hub holds no lock while it calls foreign code. Transports, codecs, payloads,
//     subscribers and filters may therefore use the hub and its sessions.
//
// All methods are safe for concurrent use.
type Hub struct {
	opts   HubOptions
	shards []*shard

	// The order of locks: first Hub.mu, then shard.reg, then one of shard.mu,
	// Session.mu, subscription.mu and message.mu. Code that holds one of the last four
	// takes no other lock. Code that holds any lock calls no foreign code: no method of
	// a Transport, a Codec or a Payload that is not standard, no Include, and no body
	// of a Subscribe loop.
	mu       sync.Mutex // guards what follows
	closed   bool
	lastID   uint64
	clock    clock
	log      eventLog
	subs     []*subscription
	watching []int // per shard, the number of sessions that may receive events of other clients' prompts
	sessions map[*Session]struct{}
	left     chan struct{} // closed when the last session has left a closed hub
	codecs   map[Codec]int // foreign codecs, with the number of sessions that use each
}

// NewHub returns a hub. nil options mean the defaults. The hub has no goroutine while
// nothing is published. Call Close to end its sessions.
func NewHub(opts *HubOptions) *Hub {
	h := &Hub{
		opts:     opts.withDefaults(),
		sessions: map[*Session]struct{}{},
		left:     make(chan struct{}),
		codecs:   map[Codec]int{},
		// The IDs of an earlier process must be older than all IDs of this hub, because
		// clients reconnect with them. JavaScript represents microseconds exactly.
		lastID: uint64(time.Now().UnixMicro()),
	}
	h.log.init(h)
	for range shardCount() {
		h.shards = append(h.shards, newShard())
	}
	h.watching = make([]int, len(h.shards))
	return h
}

// Publish gives ev an ID and delivers it to its clients. It returns an [*EncodeError]
// if the payload cannot be encoded as [JSON], [ErrNoAddress] if ev has no address, and
// [ErrClosed] if the hub is closed or ev belongs to a prompt that has been closed (only
// an [ExecutionStart] may follow then). Of the closed prompts whose events are no longer
// kept, the hub remembers at least the last 4096.
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
	var d draft
	if err := d.prepare(&ev); err != nil {
		return err
	}
	h.mu.Lock()
	p, err := h.publish(&ev, &d)
	h.mu.Unlock()
	if err == nil {
		p.m.encodeReserved(p.reserved)
		h.waitForRoom(p.full)
	}
	return err
}

// published holds the work that remains for a message after the hub's lock is released.
type published struct {
	m        *message
	reserved int    // the number of codecs whose entry is not ready
	full     uint64 // bit i is set if shard i has no room
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

// publish is the part of Publish that needs the hub's lock. The sessions' queues, the
// log and the subscribers share one message.
func (h *Hub) publish(ev *Event, d *draft) (p published, err error) {
	if h.closed {
		return p, ErrClosed
	}
	l := h.log.logOf(ev)
	if l == nil {
		return p, ErrClosed
	}
	h.lastID++
	p.m, p.reserved = l.newMessage(ev.Payload, d), len(h.codecs)
	p.m.fill(h.lastID, h.clock.now(), ev.Payload, l.address(ev), d)
	if p.reserved > 0 {
		p.m.reserve(h.codecs)
	}
	h.log.keep(l, p.m)
	for _, s := range h.subs {
		s.push(p.m)
	}
	if len(h.sessions) > 0 {
		p.full = h.route(p.m)
	}
	return p, nil
}

// route passes m to the shards that may have a session for it. It returns the shards
// that have no room, as bits.
func (h *Hub) route(m *message) (full uint64) {
	to := -1
	if m.to.to != "" {
		to = h.shardIndex(m.to.to)
	}
	everyone := m.to.everyone()
	for i, s := range h.shards {
		if i == to || everyone || m.to.promptID != "" && h.watching[i] > 0 {
			if !s.post(m) {
				full |= 1 << i
			}
		}
	}
	return full
}

// waitForRoom waits for the shards in full. A worker does not wait: it would wait for
// itself, or for another worker that waits for it.
func (h *Hub) waitForRoom(full uint64) {
	if full == 0 || isWorker() {
		return
	}
	for i := 0; full != 0; i++ {
		if full&1 != 0 {
			h.shards[i].waitForRoom()
		}
		full >>= 1
	}
}

// use changes the number of sessions that use a foreign codec by n. Publish calls these
// codecs before it returns. h.mu is held.
func (h *Hub) use(c Codec, n int) {
	if _, ours := c.(JSONCodec); ours {
		return
	}
	if h.codecs[c] += n; h.codecs[c] <= 0 {
		delete(h.codecs, c)
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
	s.mu.Lock()
	c := s.codec
	s.mu.Unlock()
	h.use(c, -1)
	if h.closed && len(h.sessions) == 0 {
		close(h.left)
	}
}

// countWatcher changes the number of sessions that may receive events of other clients'
// prompts by n. h.mu is held.
func (h *Hub) countWatcher(s *Session, n int) {
	if s.watchAll || s.include != nil || len(s.watch) > 0 {
		h.watching[h.shardIndex(s.client)] += n
	}
}

// Close ends the hub. It delivers the events that were published before, and then ends
// every session with [ErrClosed]. Loops of [Hub.Subscribe] end without an error, after
// the events that wait. Close waits for clients at most HubOptions.Drain. It returns
// nil. Only the first call has an effect: a later call returns at once, even while the
// first call still waits for clients.
func (h *Hub) Close() error {
	sessions, ok := h.shut()
	if !ok {
		return nil
	}
	timer := time.NewTimer(h.opts.Drain)
	defer timer.Stop()
	late := !h.drain(timer.C) // true if a worker is stuck, for example in a transport that does not return
	if len(sessions) == 0 {
		return nil
	}
	for _, s := range sessions {
		if late || !s.finish() {
			s.Close(ErrClosed)
		}
	}
	if late {
		return nil
	}
	select {
	case <-h.left:
	case <-timer.C:
		for _, s := range sessions {
			s.Close(ErrClosed)
		}
	}
	return nil
}

// shut marks the hub as closed and returns its sessions. ok is false if the hub was
// already closed.
func (h *Hub) shut() (sessions []*Session, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, false
	}
	h.closed = true
	h.log.close()
	for _, s := range h.subs {
		s.end(nil)
	}
	h.subs = nil
	for s := range h.sessions {
		sessions = append(sessions, s)
	}
	return sessions, true
}

// drain waits until every event is written or in the queue of its session. It returns
// false if tooLong fires first.
func (h *Hub) drain(tooLong <-chan time.Time) bool {
	for _, s := range h.shards {
		select {
		case <-s.drained():
		case <-tooLong:
			return false
		}
	}
	return true
}

// clock returns the time of day in Unix nanoseconds. The hub reads it for each event;
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
