package flow

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// EngineOptions holds the parts and limits of an [Engine]. A nil pointer, and a zero
// value in any field, select the defaults.
type EngineOptions struct {
	Executor nodebus.Executor // runs the prompts; default NewLocal(registry, nil)
	Queue    Queue            // keeps waiting prompts; default NewQueue(nil)
	Store    Store            // keeps records of ended prompts; default NewStore(nil)
	// Parallel is the maximum number of prompts that run at the same time. Default
	// GOMAXPROCS.
	Parallel int
	// PerClient is the maximum number of prompts of one client that run at the same
	// time. All prompts without a client id count as one client. Default 1: the prompts
	// of a client run in order.
	PerClient int
	// Wrap returns a publisher that wraps the hub, for example for tracing or metrics.
	// Every event of the engine, the executor and the nodes passes through this
	// publisher. Publish is called by several goroutines at the same time, also for one
	// prompt. It must not wait for the prompt, because the prompt waits for Publish.
	// Default, and if Wrap returns nil: the engine publishes to the hub directly.
	Wrap func(nodebus.Publisher) nodebus.Publisher
	// Logger receives problems that no caller and no client learns about. Default: no
	// logging.
	Logger *slog.Logger
}

func (o *EngineOptions) withDefaults(r *Registry) EngineOptions {
	var opts EngineOptions
	if o != nil {
		opts = *o
	}
	opts.Logger = protectedLogger(opts.Logger)
	if opts.Executor == nil {
		opts.Executor = NewLocal(r, &LocalOptions{Logger: opts.Logger})
	}
	if opts.Queue == nil {
		opts.Queue = NewQueue(nil)
	}
	if opts.Store == nil {
		opts.Store = NewStore(nil)
	}
	if opts.Parallel <= 0 {
		opts.Parallel = runtime.GOMAXPROCS(0)
	}
	if opts.PerClient <= 0 {
		opts.PerClient = 1
	}
	return opts
}

// Engine takes prompts from a queue, runs them with an executor, publishes their
// start and end events, and stores their records.
//
// Every prompt that runs ends with exactly one of the events execution_success,
// execution_error and execution_interrupted, followed by an executing event without
// a node. The engine stores the record before it sends the first of these two
// events. Only the engine may send them: if a node or an executor tries, Publish
// returns an error. A panic of an executor, queue, store or publisher becomes an
// error.
//
// An Engine is safe for concurrent use.
type Engine struct {
	registry *Registry
	hub      *nodebus.Hub
	pub      nodebus.Publisher // the hub, or the publisher that Wrap returned
	opts     EngineOptions

	// mu is held only for a few steps, and never while foreign code runs. While mu is
	// held, no other lock of this package is taken. The locks of a job, a gate, a lease
	// and the in-memory queue are also never held together.
	mu      sync.Mutex
	jobs    map[string]*job    // by prompt id: submitted or taken from the queue, and not ended
	ending  map[string]*job    // by prompt id: ended, and the last event is not sent yet
	clients map[string]*client // by client id: the clients that have a job
	seq     uint64             // sequence number of the last admitted job
	taking  *nodebus.Prompt    // may have left the queue, but is not marked as running yet
	poke    context.CancelFunc // cancels the current Take, so that the queue is searched again
	runner  *runner            // the Run that is active; nil if none is
	shared  *shared            // the Run of those who call Do; nil if nobody does

	statusDue  int  // number of status events still to send
	statusBusy bool // a goroutine is sending status events
}

// NewEngine returns an engine that runs the classes of registry and publishes to
// hub. A program may submit prompts at once; they run when [Engine.Run] is called.
// If opts is nil, the engine uses the defaults.
func NewEngine(registry *Registry, hub *nodebus.Hub, opts *EngineOptions) *Engine {
	e := &Engine{
		registry: registry, hub: hub, pub: hub, opts: opts.withDefaults(registry),
		jobs: map[string]*job{}, ending: map[string]*job{}, clients: map[string]*client{},
	}
	if e.opts.Wrap != nil {
		e.pub = e.opts.Wrap(hub)
	}
	if e.pub == nil { // Wrap had nothing to wrap around it
		e.pub = hub
	}
	return e
}

// Registry returns the classes that the engine checks prompts against.
func (e *Engine) Registry() *Registry { return e.registry }

// Hub returns the hub that the engine publishes to.
func (e *Engine) Hub() *nodebus.Hub { return e.hub }

// Queue returns the queue that holds the waiting prompts.
func (e *Engine) Queue() Queue { return e.opts.Queue }

// Store returns the store that holds the records of ended prompts.
func (e *Engine) Store() Store { return e.opts.Store }

// Interrupt ends one prompt as interrupted, whether the prompt runs or waits. found
// is true if the engine knows the prompt. err is an error of the queue: a waiting
// prompt may then still be in the queue, and the engine interrupts it when it takes
// it. Other prompts do not change.
func (e *Engine) Interrupt(ctx context.Context, promptID string) (found bool, err error) {
	e.mu.Lock()
	j := e.jobs[promptID]
	e.mu.Unlock()
	if j == nil {
		return false, nil
	}
	j.cancel(nodebus.ErrInterrupted)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	gone, err := e.remove(ctx, promptID)
	if len(gone) == 0 {
		return true, err
	}
	e.mu.Lock()
	if now := e.jobs[promptID]; now != nil { // a newer prompt has the id, if j was deleted meanwhile
		j = now
	}
	e.mu.Unlock()
	j.cancel(nodebus.ErrInterrupted)
	if e.claimEnd(j) {
		e.conclude(j, newGate(e, j), nodebus.ErrInterrupted, nil)
	}
	return true, err
}

// remove deletes waiting prompts from the queue and returns their ids.
func (e *Engine) remove(ctx context.Context, ids ...string) (gone []string, err error) {
	err = nodebus.Protect(func() error {
		deleted, err := e.opts.Queue.Delete(ctx, ids...)
		for _, p := range deleted {
			gone = append(gone, p.ID)
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("nodebus: deleting from the queue: %w", err)
	}
	return gone, err
}

// Delete removes waiting prompts from the queue and returns the ids of the removed
// prompts. The removed prompts leave no record; clients only receive the new number
// of prompts. The error is an error of the queue.
func (e *Engine) Delete(ctx context.Context, promptIDs ...string) ([]string, error) {
	gone, err := e.remove(ctx, promptIDs...)
	for _, id := range gone {
		e.forget(id)
	}
	e.tellStatus()
	return gone, err
}

// Running lists the prompts that are being executed, in the order in which they began.
func (e *Engine) Running() []*nodebus.Prompt {
	e.mu.Lock()
	defer e.mu.Unlock()
	var js []*job
	for _, j := range e.jobs {
		if j.running {
			js = append(js, j)
		}
	}
	slices.SortFunc(js, func(a, b *job) int { return cmp.Or(a.began.Compare(b.began), a.p.Created.Compare(b.p.Created)) })
	ps := make([]*nodebus.Prompt, len(js))
	for i, j := range js {
		ps[i] = j.p
	}
	if p := e.taking; p != nil {
		if j := e.jobs[p.ID]; j != nil && !j.running {
			ps = append(ps, p)
		}
	}
	return ps
}

// Current returns the last executing event of a prompt that named a node. ok is
// false if the prompt does not run, or if none of its nodes has begun.
func (e *Engine) Current(promptID string) (now nodebus.Executing, ok bool) {
	e.mu.Lock()
	j := e.jobs[promptID]
	e.mu.Unlock()
	if j == nil {
		return nodebus.Executing{}, false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.now, j.now.UniqueID != ""
}

// Free calls the method Free of the executor, if it has one. The method Free of
// [Local] drops the cached results. A panic goes to the Logger.
func (e *Engine) Free() {
	if f, ok := e.opts.Executor.(interface{ Free() }); ok {
		if err := nodebus.Protect(func() error { f.Free(); return nil }); err != nil {
			e.opts.Logger.Error("freeing failed", "error", err)
		}
	}
}

// Remaining returns the number of prompts that wait or run.
func (e *Engine) Remaining() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.jobs)
}

// tellStatus sends the number of prompts to every client. Each call causes one
// event. Only one goroutine sends at a time, so the numbers go out in order: if
// another goroutine is sending already, it also sends the event of this call.
func (e *Engine) tellStatus() {
	n, due := e.nextStatus(1)
	if !due {
		return
	}
	done := false
	defer func() {
		if !done { // foreign code has ended the goroutine: the next call goes on
			e.mu.Lock()
			defer e.mu.Unlock()
			e.statusBusy = false
		}
	}()
	for ; due; n, due = e.nextStatus(0) {
		e.tell(nodebus.Event{Broadcast: true, Payload: nodebus.Status{QueueRemaining: n}})
	}
	done = true
}

// nextStatus adds to the status events that are due, and returns the number of prompts
// for the next one. due is false if there is none, or if another goroutine sends them.
func (e *Engine) nextStatus(more int) (n int, due bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.statusDue += more
	if more > 0 && e.statusBusy {
		return 0, false
	}
	if e.statusBusy = e.statusDue > 0; !e.statusBusy {
		return 0, false
	}
	e.statusDue--
	return len(e.jobs), true
}

// tell publishes an event that the engine itself makes.
func (e *Engine) tell(ev nodebus.Event) {
	ev.Frozen = true
	if err := e.publish(ev); err != nil {
		e.opts.Logger.Warn("event not sent", "prompt", ev.PromptID, "type", ev.Payload.EventType(), "error", err)
	}
}

func (e *Engine) publish(ev nodebus.Event) error {
	return nodebus.Protect(func() error { return e.pub.Publish(ev) })
}

// storeTime is the time limit for calls to the queue and the store that must happen
// even if no caller waits for them.
const storeTime = 30 * time.Second
