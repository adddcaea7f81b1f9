package nodebus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"
)

// EngineOptions says what an [Engine] is made of. Nil, and each zero field, is
// the default.
type EngineOptions struct {
	Executor Executor // default: NewLocal with its defaults
	Queue    Queue    // default: NewQueue(0)
	Store    Store    // default: NewStore(0)
	// Parallel is how many prompts run at once. Default GOMAXPROCS.
	Parallel int
	// PerClient is how many of those may be of one client; prompts without a
	// client count as one. Default 1: what a client submits runs in order.
	PerClient int
	// Logger is told of what nobody else is. Nil is silent.
	Logger *slog.Logger
}

// Engine takes prompts from a queue, has them executed, tells of it and keeps
// the record. Whatever happens to a prompt, it ends with exactly one of
// execution_success, execution_error and execution_interrupted, and then an
// executing event without a node; the record is stored before the first of
// these is sent. They are the engine's to send: nodes and executors are refused
// if they try. A panic of an executor, queue, store or publisher is an error.
// Its methods are safe for concurrent use.
type Engine struct {
	reg  *Registry
	pub  Publisher
	opts EngineOptions

	mu     sync.Mutex
	jobs   map[string]*job    // those submitted or taken, and not ended
	busy   map[string]int     // running prompts by client
	full   map[string]bool    // clients that could run no more when the queue was last asked
	passed map[string]*Prompt // those that were held when it was asked of them, by id
	taking *Prompt            // what the queue was last told is ready, until it is known to run
	wake   context.CancelFunc
	status sync.Mutex // makes counting and telling the count one step
}

// job is a prompt on its way from Submit to its end.
type job struct {
	p       *Prompt
	ctx     context.Context
	cancel  context.CancelCauseFunc
	running bool

	mu  sync.Mutex
	now Executing // the last that was sent
}

// NewEngine returns an engine for the classes of r that tells pub, a [Hub] or
// what is wrapped around one. Prompts may be submitted at once; they run while
// [Engine.Run] does.
func NewEngine(r *Registry, pub Publisher, opts *EngineOptions) *Engine {
	e := &Engine{reg: r, pub: pub, jobs: map[string]*job{}, busy: map[string]int{}}
	if opts != nil {
		e.opts = *opts
	}
	if e.opts.Executor == nil {
		e.opts.Executor = NewLocal(r, &LocalOptions{Logger: e.opts.Logger})
	}
	if e.opts.Queue == nil {
		e.opts.Queue = NewQueue(0)
	}
	if e.opts.Store == nil {
		e.opts.Store = NewStore(0)
	}
	if e.opts.Parallel <= 0 {
		e.opts.Parallel = runtime.GOMAXPROCS(0)
	}
	if e.opts.PerClient <= 0 {
		e.opts.PerClient = 1
	}
	if e.opts.Logger == nil {
		e.opts.Logger = slog.New(slog.DiscardHandler)
	}
	return e
}

// Submit checks a prompt and queues it; from then on it belongs to the engine.
// It returns the prompt's id, which it chooses if p has none; a
// [*ValidationError] if nothing of it can run (if some of it can, see
// [Prompt].Rejected); [ErrDuplicate] if the id is that of a prompt that waits,
// runs or has a record; [ErrFull] if the queue is.
func (e *Engine) Submit(ctx context.Context, p *Prompt) (id string, err error) {
	pl, invalid := e.reg.plan(p)
	if invalid != nil {
		return "", invalid
	}
	p.plan = pl
	if p.ID == "" {
		p.ID = newID()
	}
	p.Created = time.Now()
	// Admitted first: a prompt that ends meanwhile has its record by then.
	if !e.admit(p) {
		return "", ErrDuplicate
	}
	if err := e.isNew(ctx, p.ID); err != nil {
		e.forget(p.ID)
		return "", err
	}
	e.tellStatus() // before it can be taken, so that the count comes first
	if err := guarded("adding to the queue", func() error { return e.opts.Queue.Push(ctx, p) }); err != nil {
		e.forget(p.ID)
		e.tellStatus()
		return "", err
	}
	return p.ID, nil
}

// isNew returns [ErrDuplicate] if there is a record of a prompt.
func (e *Engine) isNew(ctx context.Context, id string) error {
	return guarded("looking for a record", func() error {
		switch _, err := e.opts.Store.Get(ctx, id); {
		case err == nil:
			return ErrDuplicate
		case !errors.Is(err, ErrNotFound):
			return fmt.Errorf("nodebus: looking for a record of prompt %s: %w", id, err)
		}
		return nil
	})
}

// guarded calls what is not ours: a panic is an error.
func guarded(what string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("nodebus: %s: %w", what, &PanicError{Value: v})
		}
	}()
	return f()
}

// admit makes p known under its id, unless that is taken.
func (e *Engine) admit(p *Prompt) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, taken := e.jobs[p.ID]; taken {
		return false
	}
	j := &job{p: p}
	j.ctx, j.cancel = context.WithCancelCause(context.Background())
	e.jobs[p.ID] = j
	if p.Hold != nil {
		go e.await(j)
	}
	return true
}

func (e *Engine) forget(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if j := e.jobs[id]; j != nil {
		j.cancel(ErrClosed)
		delete(e.jobs, id)
	}
}

// newID returns a random UUID, version 4.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Run executes what is queued until ctx ends. Prompts that run then are ended as
// interrupted, and waited for; those that wait stay in the queue. It returns
// ctx's cause, or an error of the queue.
func (e *Engine) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
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

func (e *Engine) begin(p *Prompt) *job {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.jobs[p.ID]
	if j == nil { // queued by an earlier process, or by another one
		j = &job{p: p}
		j.ctx, j.cancel = context.WithCancelCause(context.Background())
		e.jobs[p.ID] = j
	}
	j.running, e.taking = true, nil
	e.busy[p.ClientID]++
	return j
}

// end is the step in which a prompt stops to be running.
func (e *Engine) end(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j.cancel(ErrClosed)
	delete(e.jobs, j.p.ID)
}

// release lets the next prompt of the client begin, now that j's last word has
// been said.
func (e *Engine) release(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !j.running {
		return
	}
	if e.busy[j.p.ClientID]--; e.busy[j.p.ClientID] == 0 {
		delete(e.busy, j.p.ClientID)
	}
	if e.wake != nil {
		e.wake()
	}
}

// Interrupt ends a prompt, and no other, as interrupted, whether it runs or
// still waits. It reports whether there was one to end.
func (e *Engine) Interrupt(promptID string) bool {
	e.mu.Lock()
	j := e.jobs[promptID]
	e.mu.Unlock()
	if j == nil {
		return false
	}
	j.cancel(ErrInterrupted)
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	if gone, err := e.remove(ctx, promptID); err == nil && len(gone) > 0 {
		e.conclude(j, newRecorder(e, j), ErrInterrupted)
	}
	return true
}

// remove takes prompts that wait out of the queue.
func (e *Engine) remove(ctx context.Context, ids ...string) (gone []string, err error) {
	err = guarded("deleting from the queue", func() (err error) {
		gone, err = e.opts.Queue.Delete(ctx, ids...)
		return err
	})
	return gone, err
}

// Delete takes prompts that wait out of the queue. They leave no record, and
// nobody is told but of the number of those that remain. It returns the ids of
// those that were waiting.
func (e *Engine) Delete(ctx context.Context, promptIDs ...string) ([]string, error) {
	gone, err := e.remove(ctx, promptIDs...)
	for _, id := range gone {
		e.forget(id)
	}
	e.tellStatus()
	return gone, err
}

// Running lists the prompts that are being executed, the oldest first.
func (e *Engine) Running() []*Prompt {
	e.mu.Lock()
	defer e.mu.Unlock()
	var ps []*Prompt
	for _, j := range e.jobs {
		if j.running {
			ps = append(ps, j.p)
		}
	}
	if p := e.taking; p != nil {
		if j := e.jobs[p.ID]; j == nil || !j.running {
			ps = append(ps, p)
		}
	}
	slices.SortFunc(ps, func(a, b *Prompt) int { return a.Created.Compare(b.Created) })
	return ps
}

// Executing is the event that said last which node of a prompt runs. ok is false
// if the prompt does not run, or none of its nodes has begun.
func (e *Engine) Executing(promptID string) (now Executing, ok bool) {
	e.mu.Lock()
	j := e.jobs[promptID]
	e.mu.Unlock()
	if j == nil {
		return Executing{}, false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.now, j.now.Node != ""
}

// Free has the executor forget what it keeps from one prompt to the next, if it
// has a method Free for that, as [Local] has.
func (e *Engine) Free() {
	if f, ok := e.opts.Executor.(interface{ Free() }); ok {
		f.Free()
	}
}

// Queue is the queue of prompts that wait.
func (e *Engine) Queue() Queue { return e.opts.Queue }

// Store is the store of records.
func (e *Engine) Store() Store { return e.opts.Store }

// Remaining is the number of prompts that wait or run.
func (e *Engine) Remaining() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.jobs)
}

// tellStatus tells everyone how many prompts there are.
func (e *Engine) tellStatus() {
	e.status.Lock()
	defer e.status.Unlock()
	e.tell(Event{Payload: Status{QueueRemaining: e.Remaining()}})
}

func (e *Engine) tell(ev Event) {
	ev.owned = ev.Payload
	if err := e.publish(ev); err != nil {
		e.opts.Logger.Warn("event not sent", "prompt", ev.PromptID, "type", ev.Payload.EventType(), "error", err)
	}
}

func (e *Engine) publish(ev Event) error {
	return guarded("publishing", func() error { return e.pub.Publish(ev) })
}
