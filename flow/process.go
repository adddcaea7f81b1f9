package flow

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// process runs one prompt, from its first event to its last.
func (e *Engine) process(ctx context.Context, j *job) {
	stop := context.AfterFunc(ctx, func() { j.cancel(context.Cause(ctx)) })
	defer stop()
	e.tellStatus()
	keep := e.keepLease(j)
	defer keep.stop()
	g := newGate(e, j)
	if context.Cause(j.ctx) == nil {
		g.start()
	}
	report, err := e.execute(j, g)
	g.shut(report)
	e.conclude(j, g, err)
}

// execute calls the executor. A panic of the executor becomes its error.
func (e *Engine) execute(j *job, g *gate) (report nodebus.Report, err error) {
	if err := context.Cause(j.ctx); err != nil { // interrupted before it began
		return report, err
	}
	job := nodebus.Job{Prompt: j.p, Attempt: j.attempt, Prepared: j.prepared, Secrets: j.secrets}
	if j.prepared == nil {
		if job.Prepared, _, err = e.prepare(j.p); err != nil {
			return report, err
		}
	}
	err = nodebus.Protect(func() (err error) {
		report, err = e.opts.Executor.Execute(j.ctx, job, g)
		return err
	})
	return report, err
}

// conclude stores what became of a prompt and sends its last events. The record comes
// first: what the last events promise must be there to be read. The lease is done
// last: if the process dies before that, the prompt is still known.
func (e *Engine) conclude(j *job, g *gate, err error) {
	terminal := g.end(err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(j.ctx), storeTime)
	defer cancel()
	if err := nodebus.Protect(func() error { return e.opts.Store.Put(ctx, g.record) }); err != nil {
		e.opts.Logger.Error("record not stored", "prompt", j.p.ID, "error", err)
		terminal = g.end(fmt.Errorf("nodebus: the record could not be stored: %w", err))
	}
	e.end(j)
	e.tell(j.event(terminal))
	e.tellStatus()
	e.tell(j.event(nodebus.Executing{PromptID: j.p.ID}))
	if j.lease != nil {
		if err := nodebus.Protect(func() error { return j.lease.Done(ctx) }); err != nil {
			e.opts.Logger.Error("lease not done: the prompt may be taken again", "prompt", j.p.ID, "error", err)
		}
	}
	e.release(j)
	j.outcome = g.record.Outcome()
	close(j.done)
}

// leaseKeeper extends the lease of a prompt while the prompt runs.
type leaseKeeper struct {
	e     *Engine
	j     *job
	timer *time.Timer

	mu      sync.Mutex // not held while the queue is called
	stopped bool
	idle    chan struct{} // not nil while the queue is being called; closed then
}

func (e *Engine) keepLease(j *job) *leaseKeeper {
	k := &leaseKeeper{e: e, j: j}
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
	ctx, cancel := context.WithTimeout(k.j.ctx, leaseTime/3)
	defer cancel()
	if err := nodebus.Protect(func() error { return k.j.lease.Extend(ctx, leaseTime) }); err != nil {
		k.e.opts.Logger.Warn("lease not extended", "prompt", k.j.p.ID, "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.stopped {
		k.timer.Reset(leaseTime / 3)
	}
}

// stop ends the extensions and waits for one that is under way.
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
