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
	// Codec encodes what the session is sent. Default JSON. One that is not a
	// JSONCodec is asked before Publish returns. What was published before a
	// session used it, it is given as [JSON] decodes it, since the sender may
	// have changed the payload. An event that it refuses, with an error or a
	// panic, is left out for the sessions that use it; nobody else notices.
	Codec Codec
	// Hello is sent first, before anything the hub has. It must not change. Its
	// events carry the ID after which the client's own begin.
	Hello []Payload
	// Since is the ID of the last event the client saw, if it comes back: it is
	// sent what it missed. 0: it is sent all that is kept of its running prompts.
	Since uint64
	// HoldPreviews leaves the previews out of what is sent of the past, until
	// [Session.ReleasePreviews]: for a client that has yet to say which form of
	// them it knows. Newer ones are not held. It is not for a client with a cursor,
	// which would take them for having been sent.
	HoldPreviews bool
	// Watch names prompts of others to follow too: what is kept of them, and
	// what is to come.
	Watch []string
	// WatchAll follows every prompt.
	WatchAll bool
	// Overhear, if not nil, is asked about each event of a prompt that the session
	// does not follow: it is due those for which that returns true, from now on; a
	// replay has none of them. It may look at what a payload holds itself, its type
	// first of all, and not at what that refers to, which its sender may be changing.
	// The hub's workers call it, so it must be quick and not use the hub. A panic is
	// a no.
	Overhear func(Event) bool
}

// Session is the presence of one client in a [Hub]: what it is still due, and
// the connection that drains to. Its methods are safe for concurrent use.
type Session struct {
	hub      *Hub
	shard    *shard
	client   string
	watch    []string
	watchAll bool
	overhear func(Event) bool
	from     uint64 // newer events come through the queue
	cursor   uint64 // where the client stands before its first event

	due     []*message // the shard worker's own
	touched bool

	writers sync.WaitGroup // the writer, which runs while there is something for it

	// Set by Serve.
	transport Transport
	ctx       context.Context // of what is written
	cancel    context.CancelCauseFunc
	unhook    func() bool   // from the context that Serve was given
	ended     chan struct{} // closed when the session is over and t runs no more

	mu        sync.Mutex
	codec     Codec
	hello     []Payload
	held      bool       // the replay is without its previews as yet
	first     []*message // what is written before q: the replay, or what met a writer at rest
	q         queue.Queue[mailKey, *message]
	try       TryWriter // not nil once there is a transport that is one
	cannotTry bool      // TryWrite is not supported by this connection
	started   bool
	writing   bool  // the writer runs, and looks again before it ends
	busy      bool  // a Write runs, or there is no transport yet
	idle      bool  // nothing waits, nothing is being written
	rest      bool  // try keeps part of a batch that it could not write
	ending    bool  // end with ErrClosed once all is written
	cause     error // why it is over; nil while it is not
}

// Join adds a session of a client and from then on queues what it is due. The
// caller then calls [Session.Serve], or [Session.Close] if it
// comes to nothing. On a closed hub the session is over already.
func (h *Hub) Join(client string, opts *SessionOptions) *Session {
	if opts == nil {
		opts = &SessionOptions{}
	}
	s := &Session{
		hub: h, client: client, codec: usable(opts.Codec), hello: opts.Hello,
		watch: slices.Clone(opts.Watch), watchAll: opts.WatchAll, overhear: opts.Overhear, busy: true,
	}
	s.q.MaxLen, s.q.MaxBytes = h.opts.QueueLen, h.opts.QueueBytes
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		s.cause = ErrClosed
		return s
	}
	h.use(s.codec, +1)
	s.first = h.log.replay(s, opts.Since, h.lastID)
	if opts.HoldPreviews {
		s.holdPreviews()
	}
	s.from = h.lastID
	s.cursor = s.startCursor(opts.Since)
	s.shard = h.shards[h.shardIndex(client)]
	s.shard.join(s)
	h.sessions[s] = struct{}{}
	h.watches(s, +1)
	return s
}

// startCursor is the cursor that the greeting carries: a client whose connection
// breaks before the first event still knows where it stood.
func (s *Session) startCursor(since uint64) uint64 {
	switch {
	case 0 < since && since <= s.from:
		return since
	case len(s.first) > 0:
		return s.first[0].id - 1
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

// followsAll reports whether the session is due events of m's prompt whoever's
// that is.
func (s *Session) followsAll(m *message) (yes bool) {
	if s.watchAll {
		return true
	}
	defer func() {
		if recover() != nil {
			yes = false
		}
	}()
	return s.overhear(m.event())
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

// end says that the session is over; what else there is to do is done by others.
// s.mu is held, perhaps by the shard's worker, so that no other lock may be taken.
func (s *Session) end(cause error) {
	if s.cause != nil {
		return
	}
	s.cause, s.idle = cause, false
	s.q = queue.Queue[mailKey, *message]{}
	s.first, s.hello = nil, nil
	if s.started {
		s.cancel(cause)
		go s.hangUp(cause) // a Write may be waiting
	}
}

// hangUp closes the transport of a session that is over. Only then does it leave
// the hub, whose Close waits for that: the program may end after it.
func (s *Session) hangUp(cause error) {
	closeSafely(s.transport, cause)
	s.hub.leave(s)
	s.writers.Wait()
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

// signal sees to it that the writer runs. s.mu is held.
func (s *Session) signal() {
	if s.started && !s.writing && s.cause == nil {
		s.writing = true
		s.writers.Add(1)
		go s.drain()
	}
}

// wants returns what the shard's worker must make for the session. t is nil if
// messages have to queue.
func (s *Session) wants() (c Codec, t TryWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.idle {
		return s.codec, nil
	}
	return s.codec, s.try
}

// enqueue puts messages into the queue. One that is full ends the session.
func (s *Session) enqueue(msgs []*message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.push(msgs)
}

func (s *Session) push(msgs []*message) {
	if s.cause != nil || len(msgs) == 0 {
		return
	}
	s.idle = false
	s.signal()
	if !s.busy && len(s.first) < framesPerWrite {
		s.first = append(s.first, msgs...) // none is late, so that none is replaced
		return
	}
	for _, m := range msgs {
		if !s.q.Push(m) {
			s.end(ErrSlow)
			return
		}
	}
}

// write tries to send batches, made with c, at once and queues what the
// connection does not take.
func (s *Session) write(c Codec, batches []*batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, b := range batches {
		if s.cause != nil {
			return
		}
		if !s.idle || s.codec != c {
			for _, b := range batches[i:] {
				s.push(b.msgs)
			}
			return
		}
		if len(b.wire) == 0 {
			continue
		}
		all, err := tryWriteSafely(s.try, b.wire)
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			s.cannotTry, s.try = true, nil
			s.push(b.msgs)
		case err != nil:
			s.end(err)
		case !all:
			s.idle, s.rest = false, true
			s.signal()
		}
	}
}

// Serve writes what the session is due to t until ctx ends or the session is over. It
// then closes t, once, waits until no method of t runs any more, and says why the
// session is over: [ErrSlow] if the client fell too far behind, [ErrClosed] if the hub
// closed, ctx's cause, or the transport's error. Serve is called once.
//
// If t is a [Reader], Serve runs its ReadLoop; the return of ReadLoop ends the session.
// An idle session has no goroutine but the goroutine that called Serve.
func (s *Session) Serve(ctx context.Context, t Transport) error {
	s.start(ctx, t)
	if r, ok := t.(Reader); ok {
		s.read(r)
	}
	<-s.ended
	return s.cause
}

// read runs the ReadLoop of the transport. The session ends also if ReadLoop ends
// the goroutine.
func (s *Session) read(r Reader) {
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
		s.cancel(cause)
		go s.hangUp(cause)
		return
	}
	s.signal()
}
