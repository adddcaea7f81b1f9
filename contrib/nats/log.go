package nats

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

const (
	flightBytes  = 256 << 10 // the events of a message, unless one event is larger
	waitingBytes = 8 << 20   // the events that wait for a flight; Append waits at this bound
	eventBytes   = 16 << 20  // the largest event
	barrierTime  = 10 * time.Second
)

// eventLog is a [nodebus.Log] in a stream. A writer sends the events that wait as one
// message, a flight, and the next flight when the stream has stored the flight before: so
// the events of a process keep their order, whatever is sent again. A reader adds the
// events of all processes to a cache, in the order of the stream. Followers receive an
// event when the reader has it, never earlier.
type eventLog struct {
	bus     *Bus
	stream  string
	subject string
	name    string // of this publisher, another in each life of the process
	cache   *nodebus.LogCache
	beside  *previews
	floors  floors
	stop    context.CancelFunc // of the writer and of trim
	reading *reader
	ended   sync.WaitGroup

	mu       sync.Mutex // not held while the cache or foreign code is called
	failed   error      // why the log has ended
	serves   bool       // the log is open
	waiting  []*entry
	bytes    int               // of waiting
	sent     []flight          // flights that the reader has not seen; the first is the oldest
	flights  uint64            // the number of the newest flight
	accepted uint64            // the number of events that Append has accepted
	told     uint64            // how many of these events the reader has seen
	prompts  map[string]*state // prompts with events that the reader has not seen
	read     uint64            // stream sequence of the newest message that was read
	changed  chan struct{}     // closed and replaced when any of this changes

	coming arrivals
}

// entry is an event that waits to be sent, or to be seen by the reader.
type entry struct {
	record
	ev     nodebus.Event
	begins bool // the event may be the first event of a prompt that has ended
	weight int  // bytes that the event takes while it waits; 0: it needs no room
}

type flight struct {
	number  uint64
	entries []*entry
}

// state is what the events that the reader has not seen say about a prompt.
type state struct {
	events  int
	anew    bool // the prompt has begun again, or was dropped: what the cache says is old
	over    bool
	attempt int
}

// openLog opens the log and reads what its stream has.
func openLog(ctx context.Context, b *Bus) (*eventLog, error) {
	for orphan, hole := uint64(0), uint64(0); ; {
		l, err := tryLog(ctx, b, orphan, hole)
		newest := uint64(0)
		if err == nil {
			if newest = l.coming.newestOrphan(); newest <= orphan {
				if err = l.serve(); err == nil {
					return l, nil
				}
			}
			_ = l.Close()
		}
		// If the stream begins in the middle of a large event, this event is lost, too. If
		// messages are missing, because a file of the server was damaged, or because the
		// stream has dropped them just now, so is everything before them.
		var missing skippedError
		if err != nil && !errors.As(err, &missing) || ctx.Err() != nil {
			return nil, cmp.Or(err, context.Cause(ctx))
		}
		hole = max(hole, uint64(missing))
		orphan = max(orphan, newest, hole)
	}
}

// tryLog opens the log. The events up to the message orphan are lost. The messages up to hole
// are not read.
func tryLog(ctx context.Context, b *Bus, orphan, hole uint64) (*eventLog, error) {
	l := &eventLog{bus: b, name: rand.Text()[:12], stream: b.streamName("LOG"), changed: make(chan struct{}), prompts: map[string]*state{}}
	l.subject = l.stream + ".events"
	l.coming.set()
	opts := nodebus.HubOptions{}
	if b.opts.Log != nil {
		opts = *b.opts.Log
	}
	stream, err := l.openStream(ctx, &opts)
	if err != nil {
		return nil, err
	}
	info := stream.CachedInfo()
	lost := nodebus.Cursor{Epoch: epochOf(stream)}
	if first := info.State.FirstSeq; first > 1 {
		lost.ID = idOf(first, 0) - 1
	}
	if orphan > 0 {
		lost.ID = max(lost.ID, idOf(orphan+1, 0)-1)
	}
	if l.beside, err = listen(b.nc, l.stream+".previews", l.name); err != nil {
		return nil, fmt.Errorf("nats: receiving previews: %w", err)
	}
	l.cache = nodebus.NewLogCache(lost, &opts)
	l.floors.retain = opts.Retain
	l.reading = &reader{
		js: b.js, stream: l.stream, epoch: lost.Epoch, whole: true, first: max(info.State.FirstSeq, hole+1),
		receive: l.receive, fail: l.fail, logger: b.logger,
	}
	run, stop := context.WithCancel(context.Background())
	l.stop = stop
	l.reading.start()
	l.ended.Go(func() { l.write(run) })
	l.ended.Go(func() { l.trimNow(run) })
	if err := l.catchUp(ctx); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("nats: reading the log: %w", err)
	}
	l.beside.live.Store(true)
	return l, nil
}

// serve says that the log is open: if it fails from now on, the bus has ended. It returns the
// error if the log has failed already.
func (l *eventLog) serve() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serves = l.failed == nil
	return l.failed
}

// Close ends the log. Events that wait are sent first, for at most some seconds.
func (l *eventLog) Close() error {
	err := l.lastFlush()
	if errors.Is(err, nodebus.ErrClosed) || errors.Is(err, ErrOtherStream) {
		err = nil
	}
	l.fail(nodebus.ErrClosed)
	l.reading.close()
	l.ended.Wait()
	l.beside.close()
	return err
}

// fail ends the log: from now on, its methods return err.
func (l *eventLog) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = err
		if l.serves {
			l.bus.end(err)
		}
	}
	l.stop()
	l.change()
}

// change wakes whoever waits for a change. l.mu is held.
func (l *eventLog) change() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Append implements [nodebus.Log]. It waits only while 8 MiB wait for NATS.
func (l *eventLog) Append(ev nodebus.Event) error {
	e, err := newEntry(&ev)
	if err != nil {
		return err
	}
	if e.weight > eventBytes {
		return fmt.Errorf("nats: an event of %d bytes: the largest event of the log has %d bytes; keep large data elsewhere, and publish where it is", e.weight, eventBytes)
	}
	l.beside.send(e)
	return l.add(e)
}

// newEntry returns the entry of an event.
func newEntry(ev *nodebus.Event) (*entry, error) {
	f, err := nodebus.JSON.Encode(*ev)
	if err != nil {
		return nil, err
	}
	if !f.Binary && isTooDeep(f.Data) {
		return nil, &nodebus.EncodeError{Type: fmt.Sprintf("%T", ev.Payload), Err: errTooDeep}
	}
	_, start := ev.Payload.(nodebus.ExecutionStart)
	e := &entry{ev: *ev, begins: start || f.Outcome}
	e.record = record{kind: recordEvent, promptID: ev.PromptID, to: ev.To, attempt: max(ev.Attempt, 0), data: f.Data}
	switch foreign := isForeign(ev.Payload); {
	case foreign && f.Binary:
		e.kind = recordForeignBinary
	case foreign:
		e.kind = recordForeign
	case f.Binary:
		e.kind = recordBinary
	}
	e.weight = e.size()
	return e, nil
}

// add waits for room, and queues an entry for the writer.
func (l *eventLog) add(e *entry) error {
	for {
		l.mu.Lock()
		for l.failed == nil && l.bytes > 0 && e.weight > 0 && l.bytes+e.weight > waitingBytes {
			changed := l.changed
			l.mu.Unlock()
			<-changed
			l.mu.Lock()
		}
		read, err := l.read, l.failed
		l.mu.Unlock()
		if err != nil {
			return err
		}
		old, over := error(nil), false
		if e.promptID != "" && e.kind != recordDrop {
			old, over = l.cache.Check(e.ev), l.cache.Closed(e.promptID)
		}
		l.mu.Lock()
		if l.read != read || l.failed != nil { // the reader has changed what the cache says
			l.mu.Unlock()
			continue
		}
		defer l.mu.Unlock()
		if !l.note(e, old, over) {
			return nodebus.ErrClosed
		}
		l.accepted++
		l.waiting = append(l.waiting, e)
		l.bytes += e.weight
		if len(l.waiting) == 1 {
			l.change()
		}
		return nil
	}
}

// note notes what e says about its prompt. It returns false if e may not follow. old is
// what the cache says about e, and over whether the prompt has ended there. l.mu is held.
func (l *eventLog) note(e *entry, old error, over bool) bool {
	if e.promptID == "" {
		return true
	}
	s := l.prompts[e.promptID]
	if s == nil {
		s = &state{}
	}
	now := *s
	switch {
	case e.kind == recordDrop:
		now = state{events: s.events, anew: true}
	case s.over && !e.begins, !s.over && e.attempt > 0 && e.attempt < s.attempt, !s.anew && !s.over && old != nil:
		return false
	default:
		if s.over || !s.anew && over {
			now.anew, now.attempt = true, 0
		}
		now.attempt = max(now.attempt, e.attempt)
		now.over = closes(e.ev.Payload)
	}
	now.events++
	*s = now
	l.prompts[e.promptID] = s
	return true
}

// closes reports whether p is the last event of its prompt.
func closes(p nodebus.Payload) bool {
	e, ok := p.(nodebus.Executing)
	return ok && e.UniqueID == ""
}

// Closed reports whether a prompt has ended, as far as this process knows. [nodebus.Hub]
// asks it before an engine publishes the end of a prompt again.
func (l *eventLog) Closed(promptID string) bool {
	l.mu.Lock()
	s := l.prompts[promptID]
	known, over := s != nil && (s.over || s.anew), s != nil && s.over
	l.mu.Unlock()
	if known {
		return over
	}
	return l.cache.Closed(promptID)
}

// Read implements [nodebus.Log].
func (l *eventLog) Read(q nodebus.LogQuery) (nodebus.LogPage, error) {
	l.mu.Lock()
	err := l.failed
	l.mu.Unlock()
	if err != nil {
		return nodebus.LogPage{}, err
	}
	return l.cache.Read(q)
}

// Follow implements [nodebus.Log]. It begins after all events that any process has
// received: a client may bring a cursor that another process has given. And it begins after
// all events that Append has accepted, so that a hub that closes knows what it waits for.
func (l *eventLog) Follow(deliver func(nodebus.Event)) (nodebus.Cursor, func(), error) {
	ctx, stop := context.WithTimeout(context.Background(), barrierTime)
	defer stop()
	if err := l.catchUp(ctx); err != nil {
		return nodebus.Cursor{}, nil, fmt.Errorf("nats: finding the newest event: %w", err)
	}
	return l.cache.Follow(func(ev nodebus.Event) { // the other followers receive the event also if this one panics
		_ = nodebus.Protect(func() error { deliver(ev); return nil })
	})
}

// Drop implements [nodebus.Log]. Every process drops the events at the same place.
func (l *eventLog) Drop(promptID string) error {
	if promptID == "" {
		return nil
	}
	e := &entry{record: record{kind: recordDrop, promptID: promptID}}
	if err := l.add(e); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), barrierTime)
	defer stop()
	return l.Flush(ctx)
}

// Flush waits until all events that were appended before are stored, and read.
func (l *eventLog) Flush(ctx context.Context) error {
	l.mu.Lock()
	accepted := l.accepted
	l.mu.Unlock()
	err := l.until(ctx, func() bool { return l.told >= accepted })
	if err != nil && ctx.Err() != nil {
		return &StreamError{Stream: l.stream, Reason: ErrAway, Detail: "events are not stored", Err: errors.Join(context.Cause(ctx), faultOf(l.bus.nc))}
	}
	return err
}

// catchUp waits until the reader has all events that any process has received before. It
// appends a mark and waits for it: the newest sequence that a server reports is of no use,
// because another server of a cluster may have passed on more.
func (l *eventLog) catchUp(ctx context.Context) error {
	e := &entry{record: record{kind: recordMark}}
	if err := l.add(e); err != nil {
		return err
	}
	return l.Flush(ctx)
}

// until waits until done returns true. l.mu is held while done is called.
func (l *eventLog) until(ctx context.Context, done func() bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !done() {
		if l.failed != nil {
			return l.failed
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		l.mu.Lock()
		if err := ctx.Err(); err != nil && !done() {
			return err
		}
	}
	return nil
}
