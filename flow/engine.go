package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// EngineOptions says what an [Engine] is made of. Nil, and each zero field, is the
// default.
type EngineOptions struct {
	Executor nodebus.Executor // runs prompts; default NewLocal(registry, nil)
	Queue    Queue            // keeps prompts that wait; default NewQueue(nil)
	Store    Store            // keeps records of prompts that ended; default NewStore(nil)
	// Parallel is how many prompts run at once. Default GOMAXPROCS.
	Parallel int
	// PerClient is how many prompts of one client run at once; prompts without a
	// client count as one client. Default 1: the prompts of a client run in order.
	PerClient int
	// Wrap returns a publisher around the hub, for tracing and metrics. Every event
	// of the engine, its executor and its nodes passes through it. The events of one
	// prompt come one at a time, in order, so that Publish must not wait for the
	// prompt. Default: none.
	Wrap func(nodebus.Publisher) nodebus.Publisher
	// Logger receives problems that no caller and no client learns about. Nil is
	// silent.
	Logger *slog.Logger
}

func (o *EngineOptions) withDefaults(r *Registry) EngineOptions {
	var opts EngineOptions
	if o != nil {
		opts = *o
	}
	opts.Logger = cmp.Or(opts.Logger, slog.New(slog.DiscardHandler))
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

// Engine takes prompts from a queue, has an executor run them, publishes how they
// begin and end, and keeps the records. Whatever happens to a prompt, it ends with
// exactly one of execution_success, execution_error and execution_interrupted, and
// then an executing event without a node. The record is stored before the first of
// these is sent. Only the engine sends them: a node or executor that tries gets an
// error. A panic of an executor, queue, store or publisher becomes an error.
//
// Its methods are safe for concurrent use.
type Engine struct {
	registry *Registry
	hub      *nodebus.Hub
	pub      nodebus.Publisher // the hub, or what Wrap has made of it
	opts     EngineOptions

	// mu is held for a few steps, never while code of others runs. No other lock of
	// this package is taken while it is held; the locks of a job, a gate, a lease and
	// the queue in memory are never held together either.
	mu      sync.Mutex
	jobs    map[string]*job    // submitted or taken, and not ended, by prompt id
	clients map[string]*client // clients with a job
	seq     uint64             // of the job admitted last
	taking  *nodebus.Prompt    // may have left the queue, and is not yet known to run
	poke    context.CancelFunc // has the queue looked at again
	running *sync.WaitGroup    // of what Run has started; nil while no Run runs
	stop    context.Context    // ends with that Run
	idle    chan struct{}      // closed when that Run has ended

	statusDue  int  // status events still to be sent
	statusBusy bool // a goroutine is sending them
}

// NewEngine returns an engine for the classes of registry that publishes to hub.
// Prompts may be submitted at once; they run while [Engine.Run] does.
func NewEngine(registry *Registry, hub *nodebus.Hub, opts *EngineOptions) *Engine {
	e := &Engine{
		registry: registry, hub: hub, pub: hub, opts: opts.withDefaults(registry),
		jobs: map[string]*job{}, clients: map[string]*client{},
	}
	if e.opts.Wrap != nil {
		e.pub = e.opts.Wrap(hub)
	}
	return e
}

// Registry returns the classes that the engine checks prompts against.
func (e *Engine) Registry() *Registry { return e.registry }

// Hub returns the hub that the engine publishes to.
func (e *Engine) Hub() *nodebus.Hub { return e.hub }

// Queue returns the queue of prompts that wait.
func (e *Engine) Queue() Queue { return e.opts.Queue }

// Store returns the store of records.
func (e *Engine) Store() Store { return e.opts.Store }

var errRunning = errors.New("flow: Engine.Run is running already; call it once at a time")

// Run executes queued prompts until ctx ends. It then ends the prompts that run as
// interrupted and waits for them; prompts that wait stay in the queue. It returns
// ctx's cause, or an error of the queue. Only one Run may run at a time: a second
// call returns an error at once.
func (e *Engine) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var all sync.WaitGroup
	if !e.began(ctx, &all) {
		cancel(nil)
		return errRunning
	}
	defer e.ended(&all)
	defer cancel(nodebus.ErrClosed)
	free := make(chan struct{}, e.opts.Parallel)
	for {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		j, err := e.take(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("nodebus: taking a prompt from the queue: %w", err)
		}
		all.Go(func() {
			e.process(ctx, j)
			<-free
		})
	}
}

// began notes that Run runs, and lets prompts that are not ready wait for that.
func (e *Engine) began(ctx context.Context, all *sync.WaitGroup) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running != nil {
		return false
	}
	e.running, e.stop, e.idle = all, ctx, make(chan struct{})
	for _, j := range e.jobs {
		e.awaitReady(j)
	}
	return true
}

// ended waits for all that Run has started.
func (e *Engine) ended(all *sync.WaitGroup) {
	all.Wait()
	e.mu.Lock()
	e.running, e.stop = nil, nil
	close(e.idle)
	e.mu.Unlock()
	all.Wait() // for a prompt that was submitted in between
}

// Interrupt ends a prompt, and no other, as interrupted, whether it runs or still
// waits. It reports whether there was one to end. The error is that of the queue,
// which may still hold the prompt; it is then interrupted when it is taken.
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
	if len(gone) > 0 {
		e.conclude(j, newGate(e, j), nodebus.ErrInterrupted)
	}
	return true, err
}

// remove takes prompts that wait out of the queue.
func (e *Engine) remove(ctx context.Context, ids ...string) (gone []string, err error) {
	err = nodebus.Protect(func() (err error) {
		gone, err = e.opts.Queue.Delete(ctx, ids...)
		return err
	})
	if err != nil {
		err = fmt.Errorf("nodebus: deleting from the queue: %w", err)
	}
	return gone, err
}

// Delete takes prompts that wait out of the queue. They leave no record; clients
// only receive the new number of prompts. It returns the ids of the prompts that
// were waiting.
func (e *Engine) Delete(ctx context.Context, promptIDs ...string) ([]string, error) {
	gone, err := e.remove(ctx, promptIDs...)
	for _, id := range gone {
		e.forget(id)
	}
	e.tellStatus()
	return gone, err
}

// Running lists the prompts that are being executed, the oldest first.
func (e *Engine) Running() []*nodebus.Prompt {
	e.mu.Lock()
	defer e.mu.Unlock()
	var ps []*nodebus.Prompt
	for _, j := range e.jobs {
		if j.running {
			ps = append(ps, j.p)
		}
	}
	if p := e.taking; p != nil {
		if j := e.jobs[p.ID]; j != nil && !j.running {
			ps = append(ps, p)
		}
	}
	slices.SortFunc(ps, func(a, b *nodebus.Prompt) int { return a.Created.Compare(b.Created) })
	return ps
}

// Current returns the event that named the node of a prompt that began last. ok is
// false if the prompt does not run, or none of its nodes has begun.
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

// Free makes the executor drop what it keeps from one prompt to the next, if it
// has a method Free, as [Local] has.
func (e *Engine) Free() {
	if f, ok := e.opts.Executor.(interface{ Free() }); ok {
		if err := nodebus.Protect(func() error { f.Free(); return nil }); err != nil {
			e.opts.Logger.Error("freeing failed", "error", err)
		}
	}
}

// Remaining is the number of prompts that wait or run.
func (e *Engine) Remaining() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.jobs)
}

// tellStatus sends everyone the number of prompts. Each call sends one event. The
// numbers are sent in the order in which they were true, by one goroutine at a time:
// a call that finds another one sending leaves its event to that.
func (e *Engine) tellStatus() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.statusDue++
	if e.statusBusy {
		return
	}
	e.statusBusy = true
	for ; e.statusDue > 0; e.statusDue-- {
		n := len(e.jobs)
		e.mu.Unlock()
		e.tell(nodebus.Event{Broadcast: true, Payload: nodebus.Status{QueueRemaining: n}})
		e.mu.Lock()
	}
	e.statusBusy = false
}

// tell publishes an event of the engine's own.
func (e *Engine) tell(ev nodebus.Event) {
	ev.Frozen = true
	if err := e.publish(ev); err != nil {
		e.opts.Logger.Warn("event not sent", "prompt", ev.PromptID, "type", ev.Payload.EventType(), "error", err)
	}
}

func (e *Engine) publish(ev nodebus.Event) error {
	return nodebus.Protect(func() error { return e.pub.Publish(ev) })
}

// storeTime is how long the queue and the store may take for what must be done even
// if no caller waits for it.
const storeTime = 30 * time.Second
