package nodebus

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nodebus/nodebus/internal/queue"
)

// Session is one connection of a client to a [Hub]: the events that wait for the
// client, and the transport that writes them. Its methods are safe for concurrent use.
type Session struct {
	hub      *Hub
	shard    *shard
	name     string
	client   string
	watchAll bool
	include  func(Event) bool
	confirms bool
	cursors  bool   // the client has asked for cursors, so it understands a Gap
	joined   uint64 // ID of the newest event when the session joined; s does not receive older events live
	greet    Cursor // the place that Hello carries

	// watch holds the prompts that the session follows besides the client's own: only
	// events above the ID come through the queue. It is written while Hub.mu, shard.reg
	// and mu are held, and read while one of them is held.
	watch map[string]uint64

	lane lane // only the shard's worker uses it
	// from is an ID: only events above it come through the queue. After Join, only the
	// shard's worker changes it, while it holds mu.
	from uint64

	// Set by Serve.
	transport Transport
	ctx       context.Context // ends with the session
	cancel    context.CancelCauseFunc
	unhook    func() bool   // detaches the session from the context that was passed to Serve
	ended     chan struct{} // closed when the session has ended and no method of transport runs

	mu       sync.Mutex
	state    sessionState
	cause    error // why the session is over; nil while it is not
	codec    Codec
	rights   uint64   // counts the changes of granted and may; Hub.mu guards it, too
	granted  []string // prompts that the session may watch again after it has left them
	may      func(promptID string) bool
	hello    []Payload
	holds    []string   // event types that the replay leaves out until Release
	readings []*reading // written before q
	q        queue.Queue[queueKey, *message]
	try      TryWriter     // the transport, if it can write without waiting
	ending   bool          // end with ErrClosed once all is written
	quiet    chan struct{} // closed when the session is over and nobody writes; nil if nobody waits

	taken   uint64 // the events up to this ID were taken from the log and the queue
	written uint64 // the transport has taken the events up to this ID

	asked, answered uint64 // the newest outcomes that the client was sent and has confirmed
	askedAt         time.Time
	asks            uint64 // number of writes with an outcome
	unsettled       bool   // a confirmed prompt has events in our buffers
	leaving         bool   // ConfirmWritten was called

	resumed    bool
	replaced   uint64 // number of events that newer events replaced in q
	gaps       uint64
	fellBehind uint64
	slow       bool // the session has ended with ErrSlow
}

// sessionState says who may use the transport to write. The session is over if cause is
// not nil; the writer or the worker may still be busy then.
type sessionState uint8

const (
	stateJoined   sessionState = iota // Serve was not called
	stateStarting                     // Serve sets its fields
	stateIdle                         // nothing waits; the shard's worker may write
	stateClaimed                      // the shard's worker writes
	stateWriting                      // the writer runs; it looks again before it ends
)

// WatchMax is the maximum number of prompts of other clients that a session follows by
// their ids.
const WatchMax = 1024

// Join adds a session of a client to the hub. From then on the session queues the
// client's events. nil options mean the defaults. The caller must call [Session.Serve],
// or [Session.Close] if no connection is made; otherwise the session uses memory up to
// the limits of its queue. If the hub is closed, Join returns a session that has already
// ended with [ErrClosed].
func (h *Hub) Join(client string, opts *SessionOptions) *Session {
	if opts == nil {
		opts = &SessionOptions{}
	}
	c := usable(opts.Codec)
	jc, _ := c.(JSONCodec)
	s := &Session{
		hub: h, client: client, codec: c, hello: opts.Hello, holds: slices.Clone(opts.Hold), may: opts.May, granted: slices.Clone(opts.Watch),
		watchAll: opts.WatchAll, include: opts.Include,
		cursors: jc.Envelope || opts.Since != Cursor{},
	}
	s.confirms = opts.Confirms && !s.cursors && client != ""
	for _, p := range opts.Watch {
		if s.watch == nil {
			s.watch = map[string]uint64{}
		}
		if len(s.watch) < WatchMax && p != "" {
			s.watch[p] = 0
		}
	}
	s.q.MaxLen, s.q.MaxBytes = h.opts.QueueLen, h.opts.QueueBytes
	if s.confirms {
		h.awaitConfirmations(client)
	}
	if err := h.enter(s, opts, h.isAhead(opts.Since)); err != nil {
		s.cause = err // nobody else knows the session
	}
	return s
}

// enter adds s to the hub. It returns an error if the hub or its log cannot be used. The replay and the live
// events are one step: the log has all events up to h.lastID, and the shard passes on all
// later events.
func (h *Hub) enter(s *Session, opts *SessionOptions, ahead bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	if h.broken != nil {
		return h.broken
	}
	h.named++
	s.name = "s" + strconv.FormatUint(h.named, 10)
	s.greet = h.begin(s, opts, ahead)
	if s.confirms {
		h.index.enter(s.client, s)
	}
	s.shard = h.shards[h.shardIndex(s.client)]
	s.shard.join(s)
	h.sessions[s] = struct{}{}
	h.countWatcher(s, +1)
	return nil
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

// Name returns a name of the session that no other session of the hub has, see
// [Hub.End].
func (s *Session) Name() string { return s.name }

// SetCodec changes the codec of the session, from the next frame on. nil means [JSON].
func (s *Session) SetCodec(c Codec) {
	c = usable(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codec = c
}

// readingsMax limits the answers that wait for one client.
const readingsMax = 4 * WatchMax

// read adds a reading. If the client sends requests and does not read the answers, the
// session ends. s.mu is held.
func (s *Session) read(r *reading) {
	if len(s.readings) >= readingsMax {
		s.end(ErrSlow)
		return
	}
	s.readings = append(s.readings, r)
	s.signal()
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
	slow := is(cause, ErrSlow) // without a lock, because the error may be foreign
	s.mu.Lock()
	s.slow = s.slow || slow && s.cause == nil
	s.end(cause)
	started := s.state >= stateIdle
	s.mu.Unlock()
	if !started {
		s.hub.leave(s)
		s.settleForGood()
	}
}

// end marks the session as ended. hangUp then closes the transport. s.mu is held.
func (s *Session) end(cause error) {
	if s.cause != nil {
		return
	}
	s.cause, s.slow = cause, s.slow || cause == ErrSlow //nolint:errorlint // no foreign code is called under the lock
	s.q = queue.Queue[queueKey, *message]{}
	s.readings, s.hello = nil, nil
	if s.state >= stateIdle {
		if s.state != stateIdle {
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
		s.settleForGood()
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
	return s.state >= stateIdle
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
		s.readFrom(r)
	}
	<-s.ended
	return s.cause
}

// readFrom calls the ReadLoop of the transport. The session also ends if ReadLoop ends the
// goroutine with runtime.Goexit.
func (s *Session) readFrom(r reader) {
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
	before := s.state != stateJoined
	if !before {
		s.state = stateStarting
	}
	s.mu.Unlock()
	if before {
		return false
	}
	s.transport, s.ended = t, make(chan struct{})
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.unhook = context.AfterFunc(ctx, func() { s.Close(context.Cause(ctx)) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.try, _ = t.(TryWriter)
	s.state = stateIdle
	if cause := s.cause; cause != nil { // the session ended before Serve
		go s.hangUp(cause, nil)
		return true
	}
	s.signal()
	return true
}

// stats returns the statistics of the session. newest is the newest ID of the hub.
func (s *Session) stats(newest uint64) SessionStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SessionStats{
		Name: s.name, Client: s.client, Watches: len(s.watch),
		Queued: s.q.Len(), QueuedBytes: s.q.Bytes(), Unconfirmed: s.confirms && s.answered < s.asked,
		Replaced: s.replaced, Gaps: s.gaps, FellBehind: s.fellBehind,
		Resumed: s.resumed, Slow: s.slow,
		Lag: s.lag(newest),
	}
}

// lag returns how many IDs the session is behind the newest. s.mu is held.
func (s *Session) lag(newest uint64) uint64 {
	taken := s.taken
	switch {
	case s.q.Len() == 0 && len(s.readings) == 0:
		return 0
	case s.greet.Epoch == s.hub.epoch:
		taken = max(taken, s.greet.ID)
	}
	return newest - min(newest, taken)
}

const maxID = ^uint64(0)
