package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

const leaseTime = 30 * time.Second

// queue is a [flow.Queue] in a stream. The stream has two messages of a prompt: the
// prompt, which does not change, and its state, which each change replaces. A change says
// which state it replaces: if two processes change a state at the same time, only one
// succeeds. Each process reads the headers of all messages, and so knows the order, but
// keeps no prompts in memory.
//
// What a process knows may be old, so it decides nothing that cannot be undone: whether a
// prompt is in the queue, and who has it, the stream says.
//
// No clocks are compared, so that a clock may jump. A lease that is not extended lapses in
// each process after its duration, counted from the moment at which that process has seen
// it, by the monotonic clock. The holder counts from a moment before it asked for the lease:
// it gives up before others take the prompt.
type queue struct {
	*reached
	prompts  *promptStream
	limits   limits
	node     string
	flush    func(context.Context) error                // stores the events that were published before
	taken    func(id string, attempt int, lease uint64) // says that earlier attempts of other processes are over
	leftover leftover
	logger   *slog.Logger
	taking   chan struct{} // holds a token while a Take of this process changes a state

	reader  *reader
	sweeper *sweeper
	ended   sync.WaitGroup // what the queue does in the background

	mu       sync.Mutex // not held while code of callers runs, or while NATS works
	index    index
	pushing  map[string]*item // prompts that this process pushes, and has not read yet
	mustRead uint64           // Len waits until this process has read so far; see changes
	broken   map[uint64]error // prompts that this process cannot take, by their sequence
	disowned map[string]bool  // names of leases that Take has not returned
}

// openQueue opens the queue, and reads the headers that its stream has.
func (b *Bus) openQueue(ctx context.Context) (*queue, error) {
	prompts, err := b.openPrompts(ctx)
	if err != nil {
		return nil, err
	}
	q := &queue{
		reached: newReached(), prompts: prompts, limits: newLimits(b.opts.Queue), node: b.opts.Node, flush: b.flushLog, taken: b.taken,
		logger: b.logger, taking: make(chan struct{}, 1), sweeper: newSweeper(),
		index: newIndex(), pushing: map[string]*item{}, broken: map[uint64]error{}, disowned: map[string]bool{},
	}
	prompts.known = q.newestKnown
	q.reader = b.readerOf(prompts.stream, &reader{headersOnly: true, receive: q.receive, fail: q.fail, compare: q.forgetGone})
	q.reader.start()
	if err := q.begins(ctx); err != nil {
		_ = q.close()
		return nil, err
	}
	return q, nil
}

// begins reads what the stream has, and ends the leases that an earlier process with the
// name of this node has left.
func (q *queue) begins(ctx context.Context) error {
	if err := q.catchUp(ctx); err != nil {
		return &StreamError{Stream: q.prompts.name, Detail: "it cannot be read", Err: err}
	}
	return q.endOwn(ctx)
}

// catchUp waits until this process has read what any process has stored.
func (q *queue) catchUp(ctx context.Context) error {
	return q.prompts.from.catchUp(ctx, q.prompts.name+".>", q.newestKnown, q.wait)
}

// close ends the queue. It waits for what the queue does in the background.
func (q *queue) close() error {
	q.mu.Lock() // so that nothing begins in the background afterwards
	q.fail(nodebus.ErrClosed)
	q.mu.Unlock()
	q.reader.close()
	q.ended.Wait()
	return nil
}

// receive applies a message to the index.
func (q *queue) receive(m jetstream.Msg, at *jetstream.MsgMetadata) {
	x, seq := &meta{}, at.Sequence.Stream
	names := strings.Split(m.Subject(), ".")
	known := len(names) == 3 && json.Unmarshal([]byte(m.Headers().Get(metaKey)), x) == nil
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case known:
		isState := names[2] == "s"
		if !isState {
			q.pushed(q.pushing[names[1]])
		}
		now := q.index.apply(x, names[1], isState, seq)
		switch {
		case isState && x.Gone && m.Headers().Get(jetstream.MsgTTLHeader) != "": // see expire
			q.sweeper.removed(x.Born, x.Name)
		case isState && x.Gone:
			q.sweeper.left(&item{meta: *x, token: names[1], state: seq})
		case now != nil:
			q.reclaim(now)
		}
	case len(names) == 5: // a part
		q.sweeper.hasPart(names[1], names[3])
	}
	q.settle(seq)
	q.to(seq)
}

// hasOwn waits until this process has read what it has stored.
func (q *queue) hasOwn(ctx context.Context) error {
	for n := 0; ; n++ {
		stored := q.hasStored()
		once, stop := context.WithTimeout(ctx, readTime(n))
		err := q.wait(once, stored)
		stop()
		if err == nil || ctx.Err() != nil || q.check() != nil {
			return err
		}
		// What was stored may have expired before it was read.
		seq, err := q.prompts.from.newest(ctx, q.prompts.name+".>", stored)
		if err != nil {
			return err
		}
		if q.expired(stored, seq); seq < stored {
			q.mu.Lock()
			q.settle(stored)
			q.mu.Unlock()
		}
	}
}

// replace replaces the state of x. If somebody else has changed the state, it waits until
// this process has read the change, at most a second, and returns [flow.ErrLapsed].
func (q *queue) replace(ctx context.Context, x *item, next meta) (uint64, error) {
	seq, err := q.prompts.replace(ctx, x, next)
	if !isLapsed(err) {
		q.changes(seq)
		return seq, err
	}
	once, stop := context.WithTimeout(ctx, tryTime)
	defer stop()
	if q.wait(once, seq) == nil { // a caller that tries again finds another state, or tries for long
		_ = pause(ctx)
	}
	return 0, err
}

// changes says that this process has stored something that changes a prompt: Len must have
// read it.
func (q *queue) changes(seq uint64) {
	q.knows(seq)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mustRead = max(q.mustRead, seq)
}

// waits returns a prompt if it waits, and an error otherwise.
func (q *queue) waits(ctx context.Context, id string) (*item, error) {
	if err := q.hasOwn(ctx); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.index.lapse()
	if x := q.index.byToken[token(id)]; x != nil && x.Lease == "" {
		return x, nil
	}
	return nil, notWaiting(id)
}

func notWaiting(id string) error {
	return fmt.Errorf("%w: no prompt with this id waits: prompt %q", flow.ErrNotFound, id)
}

// fetch returns a prompt, see promptStream.
func (q *queue) fetch(ctx context.Context, x *item) (*body, error) {
	b, err := q.prompts.fetch(ctx, x)
	if isNotFound(err) { // this process has not read its end, because it was away for long
		q.forget(x)
	}
	return b, err
}

// forget removes a prompt that the stream does not have from what this process knows.
func (q *queue) forget(x *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.broken, x.Born)
	if now := q.index.byToken[x.token]; now != nil && now.Born == x.Born {
		q.index.remove(now)
		q.wake()
	}
	if now := q.pushing[x.token]; now != nil && now.Born == x.Born {
		q.pushed(now)
		q.wake()
	}
}

// Move stores a new place for the prompt.
func (q *queue) Move(ctx context.Context, id string, priority float64) error {
	ctx, stop, err := q.begin(ctx)
	if err != nil {
		return err
	}
	defer stop()
	for {
		x, err := q.waits(ctx, id)
		if err != nil {
			return err
		}
		next := x.waits(false)
		next.Priority, next.Order = priority, 0
		if _, err = q.replace(ctx, x, next); !isLapsed(err) {
			return err
		}
	}
}

// Delete reads each prompt before it removes it, because it returns the prompts.
func (q *queue) Delete(ctx context.Context, ids ...string) (deleted []*nodebus.Prompt, err error) {
	ctx, stop, err := q.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	for _, id := range ids {
		p, err := q.deleteOne(ctx, id)
		switch {
		case isNotFound(err):
		case err != nil:
			return deleted, err
		default:
			deleted = append(deleted, p)
		}
	}
	return deleted, nil
}

func (q *queue) deleteOne(ctx context.Context, id string) (*nodebus.Prompt, error) {
	for {
		x, err := q.waits(ctx, id)
		if err != nil {
			return nil, err
		}
		b, err := q.fetch(ctx, x)
		if err != nil && !errors.Is(err, errUnreadable) {
			return nil, err
		}
		switch seq, err := q.replace(ctx, x, meta{Gone: true}); {
		case err == nil:
			q.taken(x.ID, x.Attempt, seq)
			gone := *x
			gone.state = seq
			_ = q.clean(ctx, &gone) // sweep does it otherwise
			return b.prompt, nil
		case !isLapsed(err): // otherwise it has changed meanwhile
			return nil, err
		}
	}
}

// Len counts what this process knows. Changes of other processes come a moment later. It does
// not wait until this process has read what it has pushed: in a cluster, a message may come from
// another server than its acknowledgement, and later.
func (q *queue) Len(ctx context.Context) (waiting, leased int, err error) {
	ctx, stop, err := q.begin(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer stop()
	q.mu.Lock()
	must := q.mustRead
	q.mu.Unlock()
	if read, _ := q.now(); read < must {
		if err := q.hasOwn(ctx); err != nil {
			return 0, 0, err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.index.lapse()
	waiting = len(q.index.waiting)
	for _, x := range q.pushing {
		if x.Born > 0 {
			waiting++
		}
	}
	return waiting, len(q.index.leased), nil
}
