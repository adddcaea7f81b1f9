package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
// No clocks are compared, so that a clock may jump. A lease that is not extended lapses in
// each process after its duration, counted from the moment at which that process has seen
// it, by the monotonic clock. The holder counts from a moment before it asked for the lease:
// it gives up before others take the prompt.
type queue struct {
	js     jetstream.JetStream
	stream jetstream.Stream
	name   string // of the stream; the subjects begin with it
	opts   flow.QueueOptions
	share  int // the maximum bytes of the prompts of one client
	node   string
	sealer *sealer
	parts  partStore
	flush  func(context.Context) error // stores the events that were published before
	leftover
	logger *slog.Logger
	taking chan struct{} // holds a token while a Take of this process changes a state

	reader *reader
	life   context.Context // ends with close
	end    context.CancelFunc
	ended  sync.WaitGroup

	mu       sync.Mutex // not held while code of callers runs, or while NATS works
	err      error      // why the queue has ended
	byToken  map[string]*item
	waiting  []*item // in order
	leased   map[string]*item
	all      load
	clients  map[string]load
	read     uint64           // sequence of the newest message that was read
	stored   uint64           // sequence of the newest message that this process has stored
	pushing  map[string]*item // prompts that this process pushes, and has not read yet
	broken   map[uint64]error // prompts that this process cannot take, by their sequence
	disowned map[string]bool  // names of leases that Take has not returned
	lapses   time.Time        // no lease lapses earlier
	changed  chan struct{}
	version  uint64 // incremented at each change of waiting

	gone     map[uint64]*item  // prompts that have left the queue, and may be in the stream
	names    map[string]string // the names of values with parts, with their tokens
	orphans  map[string]int    // names whose prompt was not there, and how often
	cleaning []*item           // prompts that this process removes from the stream
	cleaners int
}

// load is what prompts take; see [flow.QueueOptions].
type load struct{ prompts, bytes int }

// meta is the header of a message.
type meta struct {
	ID       string        `json:"id"`
	Client   string        `json:"client,omitempty"`
	Priority float64       `json:"priority,omitempty"`
	Size     int           `json:"size,omitempty"`    // of the data
	Sealed   int           `json:"sealed,omitempty"`  // bytes of the data that are encrypted secrets
	Name     string        `json:"name,omitempty"`    // of this Push, and of the parts
	Parts    int           `json:"parts,omitempty"`   // 0: the message has the data
	Born     uint64        `json:"born,omitempty"`    // of a state: the sequence of the prompt
	Order    uint64        `json:"order,omitempty"`   // the place among prompts with the same priority; 0: the sequence of this state
	Attempt  int           `json:"attempt,omitempty"` // that runs, or would begin next
	Lease    string        `json:"lease,omitempty"`   // the name of the lease; empty: the prompt waits
	Node     string        `json:"node,omitempty"`    // that has the lease
	By       string        `json:"by,omitempty"`      // the name of whatever has stored this state
	Taken    uint64        `json:"taken,omitempty"`   // the order of taking; 0: the sequence of this state
	Lasts    time.Duration `json:"lasts,omitempty"`   // of the lease
	Gone     bool          `json:"gone,omitempty"`    // the prompt has left the queue
}

// item is a prompt in the queue. It does not change: a change makes a new item.
type item struct {
	meta
	token string
	state uint64    // the sequence of the state; 0 if there is none
	until time.Time // when the lease lapses
}

// openQueue opens the queue, and reads the headers that its stream has.
func (b *Bus) openQueue(ctx context.Context) (*queue, error) {
	name := b.streamName("QUEUE")
	// Direct reads are not allowed: a replica that lags would say that a message is not there.
	stream, err := b.openStream(ctx, "QUEUE", jetstream.StreamConfig{
		Subjects: []string{name + ".*.p", name + ".*.s", partSubjects(name)}, MaxMsgsPerSubject: 1, AllowMsgTTL: true,
	})
	if err != nil {
		return nil, err
	}
	q := &queue{
		js: b.js, stream: stream, name: name, node: b.opts.Node, sealer: b.sealer, parts: newParts(b.nc, b.js, stream),
		flush: b.flushLog, logger: b.logger, taking: make(chan struct{}, 1), changed: make(chan struct{}),
		byToken: map[string]*item{}, leased: map[string]*item{}, clients: map[string]load{}, pushing: map[string]*item{},
		broken: map[uint64]error{}, disowned: map[string]bool{}, gone: map[uint64]*item{}, names: map[string]string{}, orphans: map[string]int{},
	}
	q.opts, q.share = queueLimits(b.opts.Queue)
	q.life, q.end = context.WithCancel(context.Background())
	q.reader = &reader{
		js: b.js, stream: name, epoch: epochOf(stream), headersOnly: true, receive: q.receive, fail: b.ends(q.fail), logger: b.logger,
	}
	q.reader.start()
	if err := q.begin(ctx); err != nil {
		q.close()
		return nil, err
	}
	return q, nil
}

// begin reads what the stream has, and ends the leases that an earlier process with the
// name of this node has left.
func (q *queue) begin(ctx context.Context) error {
	err := catchUp(ctx, q.stream, q.name+".>", func(ctx context.Context, seq uint64) error {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.reads(ctx, seq)
	})
	if err != nil {
		return &StreamError{Stream: q.name, Detail: "it cannot be read", Err: err}
	}
	return q.endOwn(ctx)
}

// fail ends the queue because its stream is another one.
func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
		q.change()
	}
}

// close ends the queue. It waits for what the queue does in the background.
func (q *queue) close() error {
	q.fail(nodebus.ErrClosed)
	q.end()
	q.reader.close()
	q.ended.Wait()
	return nil
}

// failed returns the error of a queue that has ended.
func (q *queue) failed() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

// Move stores a new place for the prompt.
func (q *queue) Move(ctx context.Context, id string, priority float64) error {
	ctx, stop := bounded(ctx)
	defer stop()
	for {
		x, err := q.waits(ctx, id)
		if err != nil {
			return err
		}
		next := x.meta
		next.Priority, next.Order, next.Lasts, next.Taken, next.By = priority, 0, 0, 0, ""
		if _, err = q.replace(ctx, x, next); !isLapsed(err) {
			return err
		}
	}
}

// waits returns a prompt if it waits, and an error otherwise.
func (q *queue) waits(ctx context.Context, id string) (*item, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.current(ctx); err != nil {
		return nil, err
	}
	if x := q.byToken[token(id)]; x != nil && x.Lease == "" {
		return x, nil
	}
	return nil, notWaiting(id)
}

func notWaiting(id string) error {
	return fmt.Errorf("%w: no prompt with this id waits: prompt %q", flow.ErrNotFound, id)
}

// Delete reads each prompt before it removes it, because it returns the prompts.
func (q *queue) Delete(ctx context.Context, ids ...string) (deleted []*nodebus.Prompt, err error) {
	ctx, stop := bounded(ctx)
	defer stop()
	if err := q.failed(); err != nil {
		return nil, err
	}
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
		switch _, err = q.replace(ctx, x, meta{Gone: true}); {
		case err == nil:
			_ = q.clean(x) // sweep does it otherwise
			return b.prompt, nil
		case !isLapsed(err): // otherwise it has changed meanwhile
			return nil, err
		}
	}
}

// Len counts what this process knows. Changes of other processes come a moment later.
func (q *queue) Len(ctx context.Context) (waiting, leased int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	err = q.current(ctx)
	return len(q.waiting), len(q.leased), err
}
