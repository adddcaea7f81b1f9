package flow

import (
	"context"
	"errors"
	"sync"
	"time"
)

// leaseMargin is how much earlier than the queue an engine takes a lease for lapsed: what
// its last events need to arrive before events of the next attempt.
const leaseMargin = time.Second

// leaseKeeper extends the lease of a prompt while the prompt runs, or ends.
type leaseKeeper struct {
	e *Engine
	j *job

	mu      sync.Mutex // not held while the queue is called; it guards what follows
	timer   *time.Timer
	lapses  *time.Timer // ends the attempt when the lease has lapsed; nil before the first extension
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
	if !k.begins(idle) {
		return
	}
	// An interrupted prompt keeps its lease until it has ended. The limits leave time for
	// more attempts before the lease lapses.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(k.j.ctx), leaseTime/6)
	defer cancel()
	next, began := leaseTime/3, k.e.now()
	err := apart(func() error { return k.j.lease.Extend(ctx, leaseTime) })
	switch {
	case errors.Is(err, ErrLapsed):
		k.e.lapse(k.j)
		return
	case err != nil:
		next = leaseTime / 30
		k.e.opts.Logger.Warn("lease not extended", "prompt", k.j.p.ID, "error", err)
	default: // the lease lasts at least from the moment in which the call began
		k.j.lapses.Store(began + int64(leaseTime-leaseMargin))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.stopped {
		k.timer.Reset(next)
		k.lapses.Reset(k.j.leaseLeft())
	}
}

// begins reports whether the lease is to be extended. It sets the time at which the
// attempt ends if no extension succeeds.
func (k *leaseKeeper) begins(idle chan struct{}) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.idle = idle
	if !k.stopped && k.lapses == nil {
		k.lapses = time.AfterFunc(k.j.leaseLeft(), func() { k.e.lapse(k.j) })
	}
	return !k.stopped
}

// stop stops the extensions and waits for an extension that is in progress.
func (k *leaseKeeper) stop() {
	k.mu.Lock()
	k.stopped = true
	running := !k.timer.Stop()
	if k.lapses != nil {
		k.lapses.Stop()
	}
	idle := k.idle
	k.mu.Unlock()
	if running && idle != nil {
		<-idle
	}
}

// leaseLeft returns how long the lease lasts without an extension.
func (j *job) leaseLeft() time.Duration {
	return time.Duration(j.lapses.Load() - j.gate.e.now())
}

// isLate reports whether the lease of a job has lapsed by the clock: this process may have
// stood still, so that no timer could fire.
func (j *job) isLate() bool { return j.lease != nil && j.leaseLeft() < 0 }

// lapse ends an attempt whose lease has lapsed, or whose prompt somebody else has ended.
// The attempt says nothing more. If the attempt ends the prompt already, it does not try
// again to store the record.
func (e *Engine) lapse(j *job) {
	e.mu.Lock()
	if j.claimed {
		j.lost = true
		stop := j.stopStoring
		e.mu.Unlock()
		if stop != nil {
			stop(ErrLapsed)
		}
		return
	}
	first := j.givenUp == nil
	if j.silent = true; first {
		j.givenUp = make(chan struct{})
	}
	e.mu.Unlock()
	j.gate.refuse()
	j.cancel(ErrLapsed)
	if first {
		time.AfterFunc(olderTime, func() { e.giveUp(j) })
	}
}

// olderTime is how long an attempt whose lease has lapsed keeps its place, and how long
// the next attempt in the same engine waits for it. The executor has been told to stop; an
// executor that does not obey must not keep either for ever.
const olderTime = 30 * time.Second

// giveUp stops waiting for an attempt whose lease has lapsed.
func (e *Engine) giveUp(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unplace(j)
	close(j.givenUp)
}

// awaitOlder waits until an earlier attempt has returned.
func (e *Engine) awaitOlder(j *job) {
	if j.older == nil {
		return
	}
	e.mu.Lock()
	givenUp := j.older.givenUp // nil if the earlier attempt ends the prompt
	e.mu.Unlock()
	select {
	case <-j.older.over:
	case <-givenUp:
	}
}
