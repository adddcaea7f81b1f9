package flow

import (
	"context"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// leaseTime is how long the queue keeps a prompt for this process without hearing
// from it. The engine extends a lease three times as often.
const leaseTime = 30 * time.Second

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
