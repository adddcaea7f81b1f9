package flow

import (
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// EngineOptions holds the parts and limits of an [Engine]. A nil pointer, and a zero
// value in any field, select the defaults.
type EngineOptions struct {
	Executor nodebus.Executor // runs the prompts; default NewLocal(registry, nil)
	Queue    Queue            // keeps prompts until they have ended; default NewQueue(nil)
	// Store keeps records of ended prompts. While it fails when a prompt ends, because a disk is
	// full or a server is away, the prompt keeps its lease and its place, clients do not hear
	// of the end, and the engine tries again at least every 5 seconds. If the lease lapses
	// meanwhile, or Run ends and the store fails for 30 seconds more, the queue keeps the
	// prompt: the engine that has run it only stores the record when it takes the prompt again;
	// another engine runs the prompt again. Danger: a store that never takes records keeps
	// all places in the end, and Run begins nothing more; the Logger says so. The engine also
	// asks the store before each attempt whether the prompt has ended already. While the store
	// does not tell, the attempt keeps its lease and its place and does not begin; if Run ends
	// meanwhile, the prompt waits again. Default NewStore(nil).
	Store Store
	// Signals carries answers and interrupts to the engine that runs a prompt. Engines that
	// share a queue need shared Signals. Default NewSignals(nil): only this engine.
	Signals Signals
	// Parallel is the maximum number of prompts that the engine runs at the same time.
	// Default GOMAXPROCS.
	Parallel int
	// PerClient is the maximum number of prompts of one client that the engine runs at the
	// same time. All prompts without a client id count as one client. Default 1: the
	// prompts of a client run in order. Engines that share a queue count on their own.
	PerClient int
	// Attempts is how often a prompt may begin because its leases lapse, for example
	// because it ends the process in which it runs. After that the prompt fails. The
	// Retries of a prompt come on top: no prompt begins more often than the sum. Default 5.
	Attempts int
	// TakeRetry is how long Run tries again while the queue fails. After that, Run returns
	// the error. Default 1 minute.
	TakeRetry time.Duration
	// Wrap returns a publisher that wraps the hub, for example for tracing or metrics.
	// Every event of the engine, the executor and the nodes passes through this
	// publisher. Publish is called by several goroutines at the same time, also for one
	// prompt. It must not wait for the prompt, because the prompt waits for Publish.
	// Default, and if Wrap returns nil: the engine publishes to the hub directly.
	Wrap func(nodebus.Publisher) nodebus.Publisher
	// Drain is how long Run lets running prompts end when its context ends. After that time
	// it interrupts the prompts that still run, also those that wait for an answer. Default
	// 0: Run interrupts at once.
	Drain time.Duration
	// HandOver gives prompts back to the queue where Run would interrupt them because its
	// context ends, for a queue that another process goes on with: a rolling deployment, or
	// a restart. Their next attempt begins there, or in the next Run here. A prompt that only
	// waits for answers is given back at once; the others after Drain. A prompt that has begun
	// counts the attempt, see Attempts. Danger: with a queue in memory, the prompts are lost
	// when the process ends, and clients do not learn that. Default false: Run interrupts.
	HandOver bool
	// Logger receives problems that no caller and no client learns about. What nodes log goes
	// to the logger of the executor, which is this Logger only for the default executor.
	// Default: no logging.
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
	if opts.Signals == nil {
		opts.Signals = NewSignals(nil)
	}
	opts.Parallel = limit(opts.Parallel, runtime.GOMAXPROCS(0))
	opts.PerClient = limit(opts.PerClient, 1)
	opts.Attempts = limit(opts.Attempts, 5)
	opts.TakeRetry = limit(opts.TakeRetry, time.Minute)
	return opts
}

// Engine takes prompts from a queue, runs them with an executor, publishes their
// start and end events, and stores their records.
//
// Every prompt that runs ends with exactly one of the events execution_success,
// execution_error and execution_interrupted, followed by an executing event without
// a node. The engine stores the record before it sends the first of these two
// events, and takes the prompt out of the queue after the second. Only the engine may
// send them: if a node or an executor tries, Publish returns an error. A panic of an
// executor, queue, store or publisher becomes an error.
//
// What waits and what runs is what the queue says. Several engines may share a queue and
// a store; the hubs of engines in different processes need a shared log. If the lease of
// a prompt lapses, the prompt is attempted again, here or elsewhere: the context of the
// earlier attempt ends with [ErrLapsed], and its events are refused.
//
// An Engine is safe for concurrent use.
type Engine struct {
	registry *Registry
	hub      *nodebus.Hub
	pub      nodebus.Publisher // the hub, or the publisher that Wrap returned
	opts     EngineOptions
	base     time.Time // see now

	// mu is held only for a few steps, and never while foreign code runs. While mu is
	// held, no other lock of this package is taken. The locks of a gate, a lease and the
	// in-memory queue are also never held together.
	mu      sync.Mutex
	entries map[string]*entry  // by prompt id: submitted or taken here, and not ended
	ending  map[string]*entry  // by prompt id: ended here, and the last event is not sent yet
	clients map[string]*client // by client id: the clients that have an entry or a place
	// deletions has the prompts without an entry that somebody waits for, by prompt id.
	deletions map[string]*deletion
	seq       uint64 // sequence number of the last entry that waits
	sweepAt   int    // the number of entries at which sweep looks for entries without a prompt

	places  places
	active  int           // attempts that have begun and not returned, resting ones too
	quiet   chan struct{} // closed when active becomes 0; nil if nobody waits
	paused  bool
	handing bool          // a Run whose context has ended hands over what rests
	drains  int           // calls of Drain that wait
	calm    chan struct{} // closed when drains becomes 0
	average time.Duration // moving average of how long prompts run; 0: unknown

	poke   func()  // cancels the current Take, so that the queue is searched again
	runner *runner // the Run that takes prompts; nil if none does
	shared *shared // the Run of those who call Do; nil if nobody does

	status status
}

// NewEngine returns an engine that runs the classes of registry and publishes to
// hub. A program may submit prompts at once; they run when [Engine.Run] is called.
// If opts is nil, the engine uses the defaults.
func NewEngine(registry *Registry, hub *nodebus.Hub, opts *EngineOptions) *Engine {
	e := &Engine{
		registry: registry, hub: hub, pub: hub, opts: opts.withDefaults(registry), base: time.Now(),
		entries: map[string]*entry{}, ending: map[string]*entry{}, clients: map[string]*client{}, sweepAt: sweepMin,
		deletions: map[string]*deletion{},
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

// Queue returns the queue that holds the prompts. For a list, see [Engine.Queued].
func (e *Engine) Queue() Queue { return e.opts.Queue }

// Store returns the store that holds the records of ended prompts.
func (e *Engine) Store() Store { return e.opts.Store }

// Free calls the method Free of the executor, if it has one. The method Free of
// [Local] drops the cached results, also in a folder that other processes share. A panic
// goes to the Logger.
func (e *Engine) Free() {
	if f, ok := e.opts.Executor.(interface{ Free() }); ok {
		if err := nodebus.Protect(func() error { f.Free(); return nil }); err != nil {
			e.opts.Logger.Error("freeing failed", "error", err)
		}
	}
}

// now returns the time since the engine was made. It is cheaper than the time of day, and
// no clock change affects it.
func (e *Engine) now() int64 { return int64(time.Since(e.base)) }

// storeTime is the time limit for calls to the queue and the store that must happen
// even if no caller waits for them.
const storeTime = 30 * time.Second
