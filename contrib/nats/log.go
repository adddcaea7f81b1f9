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
	batchBytes   = 256 << 10 // the events of a message, unless one event is larger
	waitingBytes = 8 << 20   // the events that were accepted and not read; Append waits at this bound
	eventBytes   = 16 << 20  // the largest event
	barrierTime  = 10 * time.Second
)

// eventLog is a [nodebus.Log] in a stream. A writer sends the events that wait as one
// message, a batch, and the next batch when the stream has stored the batch before: so
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
	ends    ends
	stop    context.CancelFunc // of the writer and of trim
	reading *reader
	ended   sync.WaitGroup

	mu       sync.Mutex // not held while the cache or foreign code is called
	failed   error      // why the log has ended
	serves   bool       // the log is open
	closing  bool       // Append accepts nothing more
	waiting  []*entry
	bytes    int               // of waiting and sent
	sent     []batch           // batches that the reader has not seen; the first is the oldest
	batches  uint64            // the number of the newest batch
	accepted uint64            // the number of events that Append has accepted
	told     uint64            // how many of these events the reader has seen
	mark     uint64            // accepted, at the newest mark; see catchUp
	prompts  map[string]*state // prompts with events that the reader has not seen
	read     uint64            // stream sequence of the newest message that was read
	readAt   time.Time         // when it was read
	changed  chan struct{}     // closed and replaced when any of this changes
	queued   int               // the events that wait for room, or for the turn to wait
	turn     chan struct{}     // capacity 1: who puts a value in waits for room

	coming arrivals
}

type batch struct {
	number  uint64
	entries []*entry
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
			l.abandon(nodebus.ErrClosed)
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
	l := &eventLog{bus: b, name: rand.Text()[:12], stream: b.streamName("LOG"), changed: make(chan struct{}), turn: make(chan struct{}, 1), prompts: map[string]*state{}}
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
		err = l.stillReading(ctx, info.State.LastSeq, err)
		l.abandon(err)
		return nil, err
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

// stillReading returns the error of a log that is not open when ctx ends. newest was the
// newest message at the start.
func (l *eventLog) stillReading(ctx context.Context, newest uint64, err error) error {
	if ctx.Err() == nil {
		return fmt.Errorf("nats: reading the log: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return fmt.Errorf("nats: reading the log: %w", l.failed)
	}
	e := &StreamError{Stream: l.stream, Detail: fmt.Sprintf("the log is not open yet: this process has read message %d of %d", l.read, newest), Err: context.Cause(ctx)}
	if faultOf(l.bus.nc) == nil { // Open tells the fault
		e.Detail += "; give Open more time"
	}
	if time.Since(l.readAt) > tryTime {
		e.Reason = ErrAway
	}
	return e
}

// abandon ends a log that nobody uses. Nothing waits.
func (l *eventLog) abandon(err error) {
	l.fail(err)
	l.reading.close()
	l.ended.Wait()
	l.beside.close()
}

// Close ends the log: it refuses further events, and then sends those that wait, for at most
// some seconds.
func (l *eventLog) Close() error {
	l.mu.Lock()
	l.closing = true
	l.change() // who waits for room
	l.mu.Unlock()
	err := l.lastFlush()
	if errors.Is(err, nodebus.ErrClosed) || errors.Is(err, ErrOtherStream) {
		err = nil
	}
	l.abandon(nodebus.ErrClosed)
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

var _ nodebus.FlushingLog = (*eventLog)(nil)

// Flush waits until all events that were appended before are stored, and read.
func (l *eventLog) Flush(ctx context.Context) error {
	l.mu.Lock()
	accepted := l.accepted
	l.mu.Unlock()
	err := l.until(ctx, func() bool { return l.told >= accepted })
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && l.failed == nil {
		return &StreamError{Stream: l.stream, Reason: ErrAway, Detail: "events are not stored", Err: causes(context.Cause(ctx), faultOf(l.bus.nc))}
	}
	return err
}

// catchUp waits until the reader has all events that any process has received before. It
// appends a mark and waits for it: the newest sequence that a server reports is of no use,
// because another server of a cluster may have passed on more. A mark that no batch has yet
// is for all who ask meanwhile, so clients that connect all the time do not fill the stream.
func (l *eventLog) catchUp(ctx context.Context) error {
	l.mu.Lock()
	err := l.refusal()
	if err == nil && l.mark <= l.accepted-uint64(len(l.waiting)) {
		l.accept(&entry{record: record{kind: recordMark}}, state{})
		l.mark = l.accepted
	}
	l.mu.Unlock()
	if err != nil {
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
		if err := ctx.Err(); err != nil {
			return err
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		l.mu.Lock()
	}
	return nil
}
