package nodebus

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"

	"github.com/nodebus/nodebus/internal/queue"
)

// SessionOptions are the options of [Hub.Join]. A nil *SessionOptions, and each zero
// field, means the default.
type SessionOptions struct {
	// Codec encodes the events of the session. Default: [JSON]. Publish calls a codec
	// that is not a [JSONCodec] before it returns. If an event was published before any
	// session used the codec, the sender may have changed the payload; the codec then
	// receives the payload that [JSON] decodes. If the codec returns an error or
	// panics, the event is left out for the sessions that use the codec. Other sessions
	// are not affected.
	Codec Codec
	// Hello contains the payloads that the session sends first. They must not change.
	// Their events have the ID after which the client's own events begin.
	Hello []Payload
	// Since is the ID of the last event that the client received, if it reconnects. The
	// session then sends the events that the client missed. If Since is 0, the session
	// sends all kept events of the client's running prompts.
	Since uint64
	// Hold lists event types that the session leaves out of the replay until
	// [Session.Release]. It is for a client that has not yet told which form of these
	// events it supports. Newer events are not held. Do not use Hold for a client that
	// reconnects with Since: the client would treat the held events as received.
	Hold []string
	// Watch lists ids of prompts of other clients that the session also follows: kept
	// events and new events. Repeated ids count once.
	Watch []string
	// WatchAll makes the session follow every prompt.
	WatchAll bool
	// Include, if not nil, is called for each new event of a prompt that the session
	// does not follow. The session receives the event if Include returns true. A replay
	// contains no such events. Include may read the type and the fields of the payload,
	// but not the data that the payload points to, because the sender may change that
	// data. Include must be quick: one goroutine calls it for many events and clients.
	// A panic counts as false.
	Include func(Event) bool
}

// Session is one connection of a client to a [Hub]: the events that wait for the
// client, and the transport that writes them. Its methods are safe for concurrent use.
type Session struct {
	hub      *Hub
	shard    *shard
	client   string
	watch    []string
	watchAll bool
	include  func(Event) bool
	from     uint64 // ID of the newest event when the session joined; only newer events come through the queue
	cursor   uint64 // the client's position before its first event

	due     []*message // only the shard's worker uses it
	touched bool       // only the shard's worker uses it

	// Set by Serve.
	transport Transport
	ctx       context.Context // ends with the session
	cancel    context.CancelCauseFunc
	unhook    func() bool   // detaches the session from the context that was passed to Serve
	ended     chan struct{} // closed when the session has ended and no method of transport runs

	mu        sync.Mutex
	codec     Codec
	hello     []Payload
	held      []string   // event types that the replay leaves out until Release
	replay    []*message // written before q
	q         queue.Queue[coalesceKey, *message]
	try       TryWriter     // the transport, if it is a TryWriter and the replay is written
	cannotTry bool          // TryWrite has returned ErrUnsupported
	served    bool          // Serve was called
	started   bool          // the fields that Serve sets are set
	writing   bool          // the writer or the shard's worker writes, and looks again before it ends
	quiet     chan struct{} // closed when the session is over and nobody writes; nil if nobody does
	idle      bool          // nothing waits, nothing is being written
	rest      bool          // the transport keeps part of a batch that it could not write
	ending    bool          // end with ErrClosed once all is written
	cause     error         // why it is over; nil while it is not
}

// Join adds a session of a client to the hub. From then on the session queues the
// client's events. nil options mean the defaults. The caller must call [Session.Serve],
// or [Session.Close] if no connection is made; otherwise the session uses memory until
// its queue is full. If the hub is closed, Join returns a session that has already
// ended with [ErrClosed].
func (h *Hub) Join(client string, opts *SessionOptions) *Session {
	if opts == nil {
		opts = &SessionOptions{}
	}
	s := &Session{
		hub: h, client: client, codec: usable(opts.Codec), hello: opts.Hello,
		watchAll: opts.WatchAll, include: opts.Include,
	}
	s.watch = slices.Compact(slices.Sorted(slices.Values(opts.Watch)))
	s.q.MaxLen, s.q.MaxBytes = h.opts.QueueLen, h.opts.QueueBytes
	if !h.enter(s, opts.Since) {
		s.cause = ErrClosed
		return s
	}
	s.hold(opts.Hold)
	return s
}

// enter adds s to the hub. It reports false if the hub is closed.
func (h *Hub) enter(s *Session, since uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.use(s.codec, +1)
	s.replay = h.log.replay(s, since, h.lastID)
	s.from = h.lastID
	s.cursor = s.startCursor(since)
	s.shard = h.shards[h.shardIndex(s.client)]
	s.shard.join(s)
	h.sessions[s] = struct{}{}
	h.countWatcher(s, +1)
	return true
}

// startCursor returns the ID that the Hello events carry. With this ID, a client whose
// connection breaks before the first event can continue at the right event.
func (s *Session) startCursor(since uint64) uint64 {
	switch {
	case 0 < since && since <= s.from:
		return since
	case len(s.replay) > 0:
		return s.replay[0].id - 1
	}
	return s.from
}

// usable returns c, or JSONCodec{} for nil. If c cannot be compared with ==, or does not
// equal itself because it holds a NaN, usable wraps it in a pointer.
func usable(c Codec) Codec {
	if c == nil {
		return JSONCodec{}
	}
	if same := c; !reflect.ValueOf(c).Comparable() || c != same {
		return &struct{ Codec }{c}
	}
	return c
}

// Client returns the client id that was passed to Join.
func (s *Session) Client() string { return s.client }

// SetCodec changes the codec of the session, from the next frame on. nil means [JSON].
func (s *Session) SetCodec(c Codec) {
	c = usable(c)
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, in := s.hub.sessions[s]; in {
		s.hub.use(c, +1)
		s.hub.use(s.codec, -1)
	}
	s.codec = c
}

// hold removes events of these types from the replay. The log keeps them. Serve has not
// been called yet.
func (s *Session) hold(types []string) {
	if len(types) == 0 {
		return
	}
	s.mu.Lock()
	replay := s.replay
	s.mu.Unlock()
	var rest []*message
	var held []string
	for _, m := range replay { // without the lock, because the method EventType may be foreign code
		if typ, ok := m.typeIn(types); ok {
			held = append(held, typ)
		} else {
			rest = append(rest, m)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil {
		s.replay, s.held = rest, held
	}
}

// typeIn returns the event type of m. ok is true if types contains it. No lock is held.
func (m *message) typeIn(types []string) (typ string, ok bool) {
	_ = Protect(func() error {
		typ = m.typeName()
		return nil
	})
	return typ, slices.Contains(types, typ)
}

// Release sends the events that were held (see [SessionOptions].Hold). It sends the
// kept events of running prompts that the session follows: first all events of the
// first type, then all events of the second type, and so on. If no event of the first
// type is held, Release does nothing, so a second call with the same first type does
// nothing.
//
// The second and later types need not have been held; their kept events are then sent
// once more. Release leaves out prompts that have no event of the first type, events
// that a newer event has replaced, and prompts that have ended. Therefore the client
// never receives an outdated state after a newer one.
func (s *Session) Release(types ...string) {
	if len(types) == 0 {
		return
	}
	kept := s.keptOf(types[0])
	if kept == nil {
		return
	}
	kinds := map[*message]int{} // index of each message's type in types; computed without a lock
	for _, m := range kept {
		if typ, ok := m.typeIn(types); ok {
			kinds[m] = slices.Index(types, typ)
		}
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	due := s.hub.log.release(s, kinds, len(types))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil || !slices.Contains(s.held, types[0]) {
		return
	}
	s.held = slices.DeleteFunc(s.held, func(typ string) bool { return slices.Contains(types, typ) })
	s.push(due)
}

// keptOf returns the kept events, from before s joined, of the prompts that s follows.
// It returns nil if no event of type typ is held.
func (s *Session) keptOf(typ string) []*message {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.mu.Lock()
	held := s.cause == nil && slices.Contains(s.held, typ)
	s.mu.Unlock()
	if !held {
		return nil
	}
	return s.hub.log.unfinished(s)
}

// wantsIncluded calls Include for m. No lock is held.
func (s *Session) wantsIncluded(m *message) (yes bool) {
	err := Protect(func() error {
		yes = s.include(m.event())
		return nil
	})
	return yes && err == nil
}

// Close ends the session with cause; nil means [ErrClosed]. The hub then closes the
// transport, and Serve returns cause. Only the first call has an effect. Close does not
// wait.
func (s *Session) Close(cause error) {
	if cause == nil {
		cause = ErrClosed
	}
	s.mu.Lock()
	s.end(cause)
	started := s.started
	s.mu.Unlock()
	if !started {
		s.hub.leave(s)
	}
}

// end marks the session as ended. hangUp then closes the transport. s.mu is held.
func (s *Session) end(cause error) {
	if s.cause != nil {
		return
	}
	s.cause, s.idle = cause, false
	s.q = queue.Queue[coalesceKey, *message]{}
	s.replay, s.hello = nil, nil
	if s.started {
		if s.writing {
			s.quiet = make(chan struct{})
		}
		go s.hangUp(cause, s.quiet) // in a goroutine, because a Write may be waiting; Serve waits for the goroutine
	}
}

// hangUp closes the transport of a session that has ended. The session leaves the hub
// only after that: Hub.Close waits for it, and the program may exit after Hub.Close.
func (s *Session) hangUp(cause error, quiet <-chan struct{}) {
	defer func() { // deferred, because Close of the transport may call runtime.Goexit
		s.hub.leave(s)
		if quiet != nil {
			<-quiet
		}
		s.unhook()
		close(s.ended)
	}()
	s.cancel(cause) // without a lock, because the context that was passed to Serve may be foreign code
	closeSafely(s.transport, cause)
}

// finish makes the session end when all its events are written. It returns false if the
// session has no transport.
func (s *Session) finish() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	s.signal()
	return s.started
}

// Serve writes the events of the session to t until ctx ends or the session ends. It
// then closes t, once, and waits until no method of t runs any more. It returns the
// reason: [ErrSlow] if the client fell too far behind, [ErrClosed] if the hub closed,
// the cause of ctx, the error of the transport, or the cause that was passed to Close.
// Call Serve once: a further call returns an error at once and does not use or close
// its transport.
//
// If t has a method ReadLoop (see [Transport]), Serve calls it, and the session ends
// when ReadLoop returns. An idle session needs only the goroutine that called Serve.
func (s *Session) Serve(ctx context.Context, t Transport) error {
	if !s.start(ctx, t) {
		return errServedBefore
	}
	if r, ok := t.(reader); ok {
		s.read(r)
	}
	<-s.ended
	return s.cause
}

// read calls the ReadLoop of the transport. The session also ends if ReadLoop ends the
// goroutine with runtime.Goexit.
func (s *Session) read(r reader) {
	err := errReaderGone
	defer func() { s.Close(err) }()
	err = Protect(func() error { return r.ReadLoop(s.ctx) })
	err = transportError(r, "ReadLoop", err)
}

var errReaderGone = errors.New("nodebus: the transport ended the goroutine that reads with runtime.Goexit")

var errServedBefore = errors.New("nodebus: Session.Serve was called before; join again for each connection")

// start connects the session to t and starts to write. It returns false if Serve was
// called before.
func (s *Session) start(ctx context.Context, t Transport) bool {
	s.mu.Lock()
	before := s.served
	s.served = true
	s.mu.Unlock()
	if before {
		return false
	}
	s.transport, s.ended = t, make(chan struct{})
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.unhook = context.AfterFunc(ctx, func() { s.Close(context.Cause(ctx)) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	if cause := s.cause; cause != nil { // the session ended before Serve
		go s.hangUp(cause, nil)
		return true
	}
	s.signal()
	return true
}
