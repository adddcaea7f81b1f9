package flow

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// runner is the Run of an engine that takes prompts. Engine.mu guards draining, ended,
// watchers and unwatched.
type runner struct {
	idle      chan struct{} // closed when Run takes no further prompt
	stopped   chan struct{} // closed to stop the watchers, or when the runner drains
	wake      chan struct{} // has a value if the runner must look again whether it may take
	draining  bool          // takes nothing more
	ended     bool          // stopped is closed
	watchers  int           // goroutines that wait until a prompt is ready
	unwatched chan struct{} // closed when there are no watchers any more; nil until ends waits for that
}

var errRunning = errors.New("nodebus: Engine.Run is active already; call it once at a time")

// Run executes queued prompts until ctx ends. Then it interrupts the running prompts, at
// once or after the time in [EngineOptions].Drain, and waits until they have ended; waiting
// prompts stay in the queue. With [EngineOptions].HandOver, it gives running prompts back to
// the queue instead. It returns the cause of ctx; nil if [Engine.Drain] has ended it; or an error of the queue, if the
// queue fails for longer than TakeRetry, which also ends the running prompts. Only one
// Run may take prompts at a time: a second call returns an error at once, also while [Do]
// runs the engine. After Run has returned, it may be called again.
func (e *Engine) Run(ctx context.Context) error {
	if e.opts.Drain <= 0 && !e.opts.HandOver {
		return e.runUntil(ctx, ctx, nil)
	}
	running, interrupt := context.WithCancelCause(context.WithoutCancel(ctx))
	defer interrupt(nodebus.ErrClosed)
	late := time.AfterFunc(forever, func() {
		if e.opts.HandOver {
			interrupt(errHandOver)
		}
		interrupt(context.Cause(ctx))
	})
	defer late.Stop()
	defer e.handOverRests(false)
	defer context.AfterFunc(ctx, func() {
		if e.opts.HandOver {
			e.handOverRests(true)
		}
		late.Reset(max(e.opts.Drain, 0))
	})()
	return e.runUntil(ctx, running, nil)
}

const forever = math.MaxInt64

// runUntil takes prompts from the queue until taking ends, waits for the prompts that run,
// and interrupts them when ctx ends. of is set if calls of Do share the Run.
func (e *Engine) runUntil(taking, ctx context.Context, of *shared) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nodebus.ErrClosed)
	r := &runner{idle: make(chan struct{}), stopped: make(chan struct{}), wake: make(chan struct{}, 1)}
	if !e.begins(r, of) {
		return errRunning
	}
	var all sync.WaitGroup
	defer all.Wait()
	defer e.ends(r)
	looking, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	all.Go(func() { e.watchDeadlines(looking, r) })
	for {
		j, err := e.take(taking, r)
		if j == nil {
			if err != nil && taking.Err() == nil {
				cancel(err)
			}
			return err
		}
		all.Go(func() { e.process(ctx, j) })
	}
}

// begins marks a runner as active and starts to watch the prompts that are not ready. It
// returns false if another runner is active.
func (e *Engine) begins(r *runner, of *shared) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.runner != nil {
		return false
	}
	e.runner, r.draining = r, e.drains > 0 || of != nil && of.drained
	for _, en := range e.entries {
		e.awaitReady(en)
	}
	return true
}

// stop stops the watchers of a runner. e.mu is held.
func (r *runner) stop() {
	if !r.ended { // no further watcher begins
		r.ended = true
		close(r.stopped)
	}
}

// ends marks a runner as not active, when it takes no further prompt. Its prompts may still
// run, and another Run may begin beside them: a node that runs may call Do.
func (e *Engine) ends(r *runner) {
	e.mu.Lock()
	r.stop()
	if r.watchers > 0 {
		r.unwatched = make(chan struct{})
	}
	unwatched := r.unwatched
	e.mu.Unlock()
	if unwatched != nil {
		<-unwatched
	}
	e.mu.Lock()
	e.runner = nil
	e.mu.Unlock()
	close(r.idle)
}

// awaitReady starts a goroutine that looks at the queue again when a prompt is ready. It
// does nothing if Run is not active or the prompt is ready. e.mu is held.
func (e *Engine) awaitReady(en *entry) {
	r := e.runner
	if r == nil || r.ended || !en.holdsUp() {
		return
	}
	r.watchers++
	go func() { // ends waits for it
		select {
		case <-en.ready:
		case <-en.freed:
		case <-r.stopped:
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.lookAgain()
		if r.watchers--; r.watchers == 0 && r.unwatched != nil {
			close(r.unwatched)
		}
	}()
}

// over is the end of an attempt: nothing of it runs any more.
func (e *Engine) over(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if j.en.run == j {
		j.en.run = nil
	}
	j.cancel(nodebus.ErrClosed)
	e.unplace(j)
	close(j.over)
	if e.active--; e.active == 0 && e.quiet != nil {
		close(e.quiet)
		e.quiet = nil
	}
}

// errHandOver ends the context of an attempt that is handed over.
var errHandOver = errors.New("nodebus: this process ends, and another attempt of the prompt follows")

// handOverRests hands over the attempts that wait for answers only, and those that begin to,
// until it is called with false.
func (e *Engine) handOverRests(begin bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.handing = begin
	if !begin {
		return
	}
	for _, en := range e.entries {
		if en.run != nil && !en.run.placed {
			en.run.cancel(errHandOver)
		}
	}
}

// handOver gives the prompt of an attempt that has returned back to the queue. It returns
// false if the attempt has not the lease any more, or if the prompt is interrupted.
func (e *Engine) handOver(j *job, lk *leaseKeeper) bool {
	if !e.givesBack(j) {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	if j.gate.record.Start != nil {
		e.flush(ctx, j)
	}
	late := j.isLate()
	e.mu.Lock()
	if late || j.keeps() {
		e.mu.Unlock()
		return false
	}
	j.silent = true
	e.mu.Unlock()
	lk.stop()
	err := apart(func() error {
		if j.gate.record.Start == nil {
			return j.lease.Release(ctx)
		}
		return j.lease.Extend(ctx, 0) // the attempt counts
	})
	if err != nil && !errors.Is(err, ErrLapsed) { // the lease lapses by itself
		e.opts.Logger.Warn("prompt handed over later", "prompt", j.p.ID, "error", err)
	}
	return true
}

// givesBack reports whether an attempt may give its prompt back to the queue.
func (e *Engine) givesBack(j *job) bool {
	late := j.isLate()
	e.mu.Lock()
	defer e.mu.Unlock()
	return !late && !j.keeps()
}

// keeps reports whether the prompt of an attempt must not go back to the queue: the attempt has
// lost it, or the prompt ends here. Engine.mu is held.
func (j *job) keeps() bool { return j.silent || j.en.ends || j.en.interrupted }

// flushTime is how long an attempt that gives its prompt back waits for the log. The attempt has a
// place for as long.
const flushTime = 10 * time.Second

// flush waits, for at most flushTime, until the log has the events of an attempt that gives its
// prompt back: another process may begin the next attempt at once, and its events come later. An
// interrupt ends the wait.
func (e *Engine) flush(ctx context.Context, j *job) {
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	defer context.AfterFunc(j.ctx, func() {
		if isAny(context.Cause(j.ctx), nodebus.ErrInterrupted) {
			cancel()
		}
	})()
	err := apart(func() error { return e.hub.Flush(ctx) })
	if err != nil && e.givesBack(j) {
		e.opts.Logger.Warn("the events of the attempt are not stored: if the next attempt begins before they are, they are left out", "prompt", j.p.ID, "attempt", j.attempt, "error", err)
	}
}
