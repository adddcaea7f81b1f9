package nodebus

import (
	"cmp"
	"sync"
	"time"
)

// Publisher accepts events. A [Hub] is a Publisher; tests and tracers wrap one. A
// wrapper may replace the payload but must not modify the payload that it received.
type Publisher interface {
	Publish(Event) error
}

// HubOptions are the bounds of a [Hub]. Nil, and each zero field, is the
// default.
type HubOptions struct {
	// QueueLen and QueueBytes bound what waits for one client, exactly: by default
	// 65 536 events and 16 MiB. Events that were handed to a Write of the transport no
	// longer count, and neither does what a client that comes back receives of the past.
	// An event larger than QueueBytes may wait alone. The default is large because a
	// graph of small nodes publishes more events in a millisecond than a healthy client
	// reads in ten; the log and all clients share the events. A smaller value cuts off
	// clients that are only briefly behind.
	QueueLen   int
	QueueBytes int
	// Retain is how long the events of a prompt are kept after its end, and other
	// events after they were sent, for clients that come back. Default 5 minutes.
	Retain time.Duration
	// KeepLen and KeepBytes bound what is kept in all: by default 262 144 events
	// and 64 MiB. The oldest ended prompts go first.
	KeepLen   int
	KeepBytes int
	// Drain is how long Close waits for clients to take what they are still due.
	// Default 5 seconds.
	Drain time.Duration
}

func (o *HubOptions) withDefaults() HubOptions {
	var opts HubOptions
	if o != nil {
		opts = *o
	}
	opts.QueueLen = cmp.Or(opts.QueueLen, 1<<16)
	opts.QueueBytes = cmp.Or(opts.QueueBytes, 16<<20)
	opts.Retain = cmp.Or(opts.Retain, 5*time.Minute)
	opts.KeepLen = cmp.Or(opts.KeepLen, 1<<18)
	opts.KeepBytes = cmp.Or(opts.KeepBytes, 64<<20)
	opts.Drain = cmp.Or(opts.Drain, 5*time.Second)
	return opts
}

// Hub hands events to the clients they are for. What it promises:
//
//  1. Publish and SendSync encode before they return, so that the caller may
//     use its value again. They never wait for a client, and fail only if the
//     payload cannot be encoded as [JSON] or the hub is closed. If the hub itself
//     is far behind, they wait for it, a second at most.
//  2. IDs increase, and every session sees its events in the order of IDs, except
//     the events that [Session.Release] sends.
//  3. An event of a prompt goes to its submitter (To) and to the clients that watch
//     the prompt or include the event. An event with To alone goes to that client.
//     Only a broadcast goes to everyone.
//  4. Each session has a bounded queue, in which a newer [Coalescer] replaces an
//     older one. A full queue ends that session with [ErrSlow]; no other session
//     notices. Nothing else is dropped, except an event that a session's own [Codec]
//     refuses: it is left out for this session, and no other session notices.
//  5. Events are kept, for sessions that join later, until Retain has passed;
//     see [SessionOptions].Since. A [Gap] before a replay announces what is missing
//     from it.
//  6. A client may have several sessions; each gets everything, and the end of
//     one does not touch the others.
//  7. No lock is held while code of others runs: transports, codecs, payloads,
//     subscribers and filters may use the hub and its sessions.
//
// Its methods are safe for concurrent use.
type Hub struct {
	opts   HubOptions
	shards []*shard

	// The order of locks: Hub.mu is taken first, then shard.reg, and last any of
	// shard.mu, Session.mu, subscription.mu and message.mu. Nobody who holds one of the
	// last four takes another lock. Nobody who holds a lock calls code of others: a
	// method of a Transport, a Codec, a Payload that is not standard, an Include, or the
	// body of a Subscribe loop.
	mu       sync.Mutex // guards what follows
	closed   bool
	lastID   uint64
	clock    clock
	log      eventLog
	subs     []*subscription
	watching []int // per shard, the sessions that may be due events of prompts of others
	sessions map[*Session]struct{}
	left     chan struct{} // closed when the last session has left a closed hub
	codecs   map[Codec]int // the codecs that are not ours, with the number of sessions that use them
}

// NewHub returns a hub that is ready to use. It runs no goroutine while nothing
// is published; Close it to end its sessions.
func NewHub(opts *HubOptions) *Hub {
	h := &Hub{
		opts:     opts.withDefaults(),
		sessions: map[*Session]struct{}{},
		left:     make(chan struct{}),
		codecs:   map[Codec]int{},
		// A cursor that a client brings from an earlier process is always older
		// than what this one gives out. Microseconds stay exact in JavaScript.
		lastID: uint64(time.Now().UnixMicro()),
	}
	h.log.init(h)
	for range shardCount() {
		h.shards = append(h.shards, newShard())
	}
	h.watching = make([]int, len(h.shards))
	return h
}

// Publish gives ev an ID and hands it to the clients it is for. It returns an
// [*EncodeError] if the payload cannot be encoded as [JSON], [ErrNoAddress] if ev has no
// address, and [ErrClosed] after Close and for an event of a prompt that has been closed.
//
// Readers in this process (see Subscribe) get ev.Payload itself: if there are readers,
// what the payload refers to must not change any more.
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

// published is what remains to be done for a message without the hub's lock.
type published struct {
	m        *message
	reserved int    // how many codecs have an entry that is not ready
	full     uint64 // bit i is set if shard i has no room
}

// SendSync sends to the clients named, outside any prompt. Without a name it fails
// with [ErrNoAddress]; [Hub.Broadcast] reaches everyone. For other errors see
// [Hub.Publish].
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

// Broadcast sends to every client. For errors see [Hub.Publish].
func (h *Hub) Broadcast(p Payload) error { return h.Publish(Event{Broadcast: true, Payload: p}) }

// publish is Publish under the lock. A session's queue, the log and the subscribers
// share one message.
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

// route hands m to the shards that may have a session that is due it, and returns
// which of them have no room.
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

// waitForRoom waits for shards that are behind.
func (h *Hub) waitForRoom(full uint64) {
	for i := 0; full != 0; i++ {
		if full&1 != 0 {
			h.shards[i].waitForRoom()
		}
		full >>= 1
	}
}

// use counts the sessions of codecs that are not ours: Publish calls these codecs before
// it returns. h.mu is held.
func (h *Hub) use(c Codec, n int) {
	if _, ours := c.(JSONCodec); ours {
		return
	}
	if h.codecs[c] += n; h.codecs[c] <= 0 {
		delete(h.codecs, c)
	}
}

// leave takes a session out of the hub; a second call does nothing.
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

// countWatcher counts sessions that may be due events of prompts of others. h.mu is held.
func (h *Hub) countWatcher(s *Session, n int) {
	if s.watchAll || s.include != nil || len(s.watch) > 0 {
		h.watching[h.shardIndex(s.client)] += n
	}
}

// Close ends the hub: what was published is still delivered, then every session
// and subscription ends with [ErrClosed]. It waits for clients as long as
// HubOptions.Drain says and no longer. Later calls do nothing.
func (h *Hub) Close() error {
	sessions, ok := h.shut()
	if !ok {
		return nil
	}
	timer := time.NewTimer(h.opts.Drain)
	defer timer.Stop()
	late := !h.drain(timer.C) // a worker may be in a transport that does not return
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

// shut marks the hub as closed and returns its sessions. ok is false if it was closed
// already.
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

// drain waits until everything is in the sessions' queues or written. It reports false
// if that takes too long.
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

// clock tells the time of day in Unix nanoseconds, at half the price of [time.Now],
// which reads two clocks. If it was set less than a second ago, it reads only the
// monotonic clock. The hub reads it for each event; time.Now would be a fifth of the
// event's cost.
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
