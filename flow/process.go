package flow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// process runs one prompt, from the first event to the last.
func (e *Engine) process(ctx context.Context, j *job) {
	stop := context.AfterFunc(ctx, func() { j.cancel(context.Cause(ctx)) })
	defer stop()
	keep := e.keepLease(j)
	defer keep.stop()
	g := newGate(e, j)
	report, err := nodebus.Report{}, errForeignGoexit // unless execute returns
	defer func() { e.conclude(j, g, err, keep) }()
	defer func() { g.shut(report) }()
	h := e.hostOf(j, g)
	defer h.close()
	e.tellStatus()
	if context.Cause(j.ctx) == nil {
		g.start()
	}
	report, err = e.execute(j, g, h)
}

// execute calls the executor. A panic of the executor becomes an error.
func (e *Engine) execute(j *job, g *gate, h *host) (report nodebus.Report, err error) {
	if err := context.Cause(j.ctx); err != nil { // interrupted before it began
		return report, err
	}
	if j.refused != nil {
		return report, j.refused
	}
	job := nodebus.Job{Prompt: j.p, Attempt: j.attempt, Prepared: j.prepared, Secrets: j.secrets, Host: h}
	err = nodebus.Protect(func() (err error) {
		report, err = e.opts.Executor.Execute(j.ctx, job, g)
		return err
	})
	return report, err
}

// conclude stores the record of a prompt and then sends its last events. The order
// matters: a client that receives the last events must be able to read the record.
// The lease is completed after both: if the process dies earlier, the queue still
// has the prompt. keep is nil if the prompt did not run.
func (e *Engine) conclude(j *job, g *gate, err error, keep *leaseKeeper) {
	terminal := g.end(err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(j.ctx), storeTime)
	defer cancel()
	if err := apart(func() error { return e.opts.Store.Put(ctx, g.record) }); err != nil {
		e.opts.Logger.Error("record not stored", "prompt", j.p.ID, "error", err)
		terminal = g.end(fmt.Errorf("nodebus: the record could not be stored: %w", err))
	}
	e.end(j)
	// The steps are deferred, the last step first: a publisher that calls runtime.Goexit
	// ends one step, and not the rest.
	defer func() {
		e.release(j)
		j.outcome = g.record.Outcome()
		close(j.done)
	}()
	defer func() {
		if keep != nil {
			keep.stop()
			e.completeLease(ctx, j)
		}
		e.dropSignals(context.WithoutCancel(ctx), j.p.ID)
	}()
	defer e.tell(j.event(nodebus.Executing{PromptID: j.p.ID}))
	defer e.tellStatus()
	e.tell(j.event(terminal))
}

// completeLease takes a prompt that has ended out of the queue, also if its lease has
// lapsed and the prompt waits again.
func (e *Engine) completeLease(ctx context.Context, j *job) {
	// A time limit of its own: the store may have used up the other.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	err := apart(func() error { return e.leaseOf(j).Done(ctx) })
	if errors.Is(err, ErrLapsed) {
		_, err = e.remove(ctx, j.p.ID)
	}
	if err != nil {
		e.opts.Logger.Error("prompt not taken out of the queue: it may run again", "prompt", j.p.ID, "error", err)
	}
}

// leaseKeeper extends the lease of a prompt while the prompt runs.
type leaseKeeper struct {
	e *Engine
	j *job

	mu      sync.Mutex // not held while the queue is called; it guards what follows
	timer   *time.Timer
	stopped bool
	idle    chan struct{} // set when extend begins; closed when extend returns
}

func (e *Engine) keepLease(j *job) *leaseKeeper {
	k := &leaseKeeper{e: e, j: j}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timer = time.AfterFunc(leaseTime/3, k.extend)
	return k
}

func (k *leaseKeeper) extend() {
	idle := make(chan struct{})
	defer close(idle)
	k.mu.Lock()
	k.idle = idle
	stopped := k.stopped
	k.mu.Unlock()
	if stopped {
		return
	}
	// An interrupted prompt keeps its lease until it has ended. The limits leave time for
	// more attempts before the lease lapses.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(k.j.ctx), leaseTime/6)
	defer cancel()
	next := leaseTime / 3
	if err := apart(func() error { return k.e.leaseOf(k.j).Extend(ctx, leaseTime) }); err != nil {
		next = leaseTime / 30
		k.e.opts.Logger.Warn("lease not extended", "prompt", k.j.p.ID, "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.stopped {
		k.timer.Reset(next)
	}
}

// stop stops the extensions and waits for an extension that is in progress.
func (k *leaseKeeper) stop() {
	k.mu.Lock()
	k.stopped = true
	running := !k.timer.Stop()
	idle := k.idle
	k.mu.Unlock()
	if running && idle != nil {
		<-idle
	}
}
