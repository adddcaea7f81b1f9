package nodebus

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"

	"github.com/nodebus/nodebus/internal/queue"
)

// SessionOptions says what a session begins with. Nil is the defaults.
type SessionOptions struct {
	// Codec encodes what the session receives. Default [JSON]. A codec that is not a
	// [JSONCodec] is called before Publish returns. An event that was published before
	// a session used the codec is given to it as [JSON] decodes it, since the sender may
	// have changed the payload. An event that the codec refuses, with an error or a
	// panic, is left out for the sessions that use the codec; nobody else notices.
	Codec Codec
	// Hello is sent first, before anything the hub has. It must not change. Its
	// events carry the ID after which the client's own begin.
	Hello []Payload
	// Since is the ID of the last event the client saw, if it comes back: it receives
	// what it missed. 0: it receives all that is kept of its running prompts.
	Since uint64
	// Hold lists event types that are left out of what is sent of the past, until
	// [Session.Release]: for a client that has yet to say which form of them it knows.
	// Newer events are not held. Do not use Hold for a client with a cursor: the client
	// would take the events that are held for events that it has received.
	Hold []string
	// Watch names prompts of other clients to follow too: what is kept of them, and
	// what is to come. Repeated names count once.
	Watch []string
	// WatchAll follows every prompt.
	WatchAll bool
	// Include, if not nil, is asked about each event of a prompt that the session does
	// not follow. The session receives the events for which Include returns true, from
	// now on; a replay has none of them. Include may look at the payload's own fields,
	// its type first of all, and not at what the payload refers to, which its sender may
	// be changing. Include must be quick: one goroutine calls it for many events and
	// clients. A panic means no.
	Include func(Event) bool
}

// Session is the presence of one client in a [Hub]: what it is still due, and the
// connection that drains to. Its methods are safe for concurrent use.
type Session struct {
	hub      *Hub
	shard    *shard
	client   string
	watch    []string
	watchAll bool
	include  func(Event) bool
	from     uint64 // ID of the newest event when the session joined; newer events come through the queue
	cursor   uint64 // where the client stands before its first event

	due     []*message // the shard worker's own
	touched bool       // likewise

	// Set by Serve.
	transport Transport
	ctx       context.Context // ends with the session
	cancel    context.CancelCauseFunc
	unhook    func() bool   // from the context that Serve was given
	ended     chan struct{} // closed when the session is over and no method of transport runs

	mu        sync.Mutex
	codec     Codec
	hello     []Payload
	held      []string   // event types that the replay leaves out as yet
	replay    []*message // what is written before q
	q         queue.Queue[coalesceKey, *message]
	try       TryWriter // not nil once there is a transport that is one
	cannotTry bool      // TryWrite is not supported by this connection
	started   bool
	writing   bool          // the writer or the shard's worker writes, and looks again before it ends
	quiet     chan struct{} // closed when the session is over and nobody writes; nil if nobody does
	idle      bool          // nothing waits, nothing is being written
	rest      bool          // the transport keeps part of a batch that it could not write
	ending    bool          // end with ErrClosed once all is written
	cause     error         // why it is over; nil while it is not
}

// Join adds a session of a client and from then on queues what it is due. The
// caller then calls [Session.Serve], or [Session.Close] if it comes to nothing. On a
// closed hub the session is over already.
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

// startCursor is the cursor that the greeting carries: a client whose connection
// breaks before the first event still knows where it stood.
func (s *Session) startCursor(since uint64) uint64 {
	switch {
	case 0 < since && since <= s.from:
		return since
	case len(s.replay) > 0:
		return s.replay[0].id - 1
	}
	return s.from
}

// usable returns a codec that can be compared with ==.
func usable(c Codec) Codec {
	if c == nil {
		return JSON
	}
	if !reflect.ValueOf(c).Comparable() {
		return &struct{ Codec }{c}
	}
	return c
}

// Client is the id the session joined with.
func (s *Session) Client() string { return s.client }

// SetCodec changes what the session is encoded with, from the next frame on.
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

// hold takes events of some types out of the replay. The log still has them. Nobody
// serves the session yet.
func (s *Session) hold(types []string) {
	if len(types) == 0 {
		return
	}
	s.mu.Lock()
	replay := s.replay
	s.mu.Unlock()
	var rest []*message
	var held []string
	for _, m := range replay { // without the lock: the type of an event is foreign code
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

// typeIn returns the event type of m if it is one of types. No lock is held.
func (m *message) typeIn(types []string) (typ string, ok bool) {
	_ = Protect(func() error {
		typ = m.typeName()
		return nil
	})
	return typ, slices.Contains(types, typ)
}

// Release sends the events that were held (see [SessionOptions].Hold): the events that
// are still kept of the prompts that run and that the session follows. It sends all
// events of the first type, then all events of the second type, and so on. The second
// and later types need not have been held; their kept events are then sent once more.
// Prompts without an event of the first type are left out. Events that were replaced
// since, or whose prompt has ended, are not sent. So nothing newer about the subject of
// such an event has been sent before. A second Release of the same first type does
// nothing.
func (s *Session) Release(types ...string) {
	if len(types) == 0 {
		return
	}
	kept := s.keptOf(types[0])
	if kept == nil {
		return
	}
	kinds := map[*message]int{} // by message, the place of its type in types; found out without a lock
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

// keptOf returns what the log has of the prompts that s follows, from before s joined.
// It returns nil if nothing of this type is held.
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

// wantsIncluded asks Include about m. No lock is held.
func (s *Session) wantsIncluded(m *message) (yes bool) {
	err := Protect(func() error {
		yes = s.include(m.event())
		return nil
	})
	return yes && err == nil
}

// Close ends the session because of cause ([ErrClosed] if nil). The transport is
// then closed, and Serve returns cause. Only the first cause counts.
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

// end marks the session as over. hangUp closes the transport. s.mu is held.
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
		go s.hangUp(cause, s.quiet) // a Write may be waiting; Serve waits for this goroutine
	}
}

// hangUp closes the transport of a session that is over. Only then does it leave
// the hub, whose Close waits for that: the program may end after it.
func (s *Session) hangUp(cause error, quiet <-chan struct{}) {
	s.cancel(cause) // without a lock: the context that Serve was given may be of foreign code
	closeSafely(s.transport, cause)
	s.hub.leave(s)
	if quiet != nil {
		<-quiet
	}
	s.unhook()
	close(s.ended)
}

// finish ends the session once it has written what it is due. It reports false
// if it has no transport.
func (s *Session) finish() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	s.signal()
	return s.started
}

// Serve writes what the session is due to t until ctx ends or the session is over. It
// then closes t, once, waits until no method of t runs any more, and says why the
// session is over: [ErrSlow] if the client fell too far behind, [ErrClosed] if the hub
// closed, ctx's cause, or the transport's error. Serve is called once.
//
// If t has a method ReadLoop (see [Transport]), Serve runs it, and the session ends when
// it returns. An idle session has no goroutine but the goroutine that called Serve.
func (s *Session) Serve(ctx context.Context, t Transport) error {
	s.start(ctx, t)
	if r, ok := t.(reader); ok {
		s.read(r)
	}
	<-s.ended
	return s.cause
}

// read runs the ReadLoop of the transport. The session ends also if ReadLoop ends
// the goroutine.
func (s *Session) read(r reader) {
	err := errReaderGone
	defer func() { s.Close(err) }()
	err = Protect(func() error { return r.ReadLoop(s.ctx) })
	err = transportError(r, "ReadLoop", err)
}

var errReaderGone = errors.New("nodebus: the transport ended the goroutine that reads with runtime.Goexit")

// start makes the session write to t.
func (s *Session) start(ctx context.Context, t Transport) {
	s.transport, s.ended = t, make(chan struct{})
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.unhook = context.AfterFunc(ctx, func() { s.Close(context.Cause(ctx)) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	if cause := s.cause; cause != nil { // it was over before
		go s.hangUp(cause, nil)
		return
	}
	s.signal()
}
