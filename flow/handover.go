package flow

import (
	"context"
	"errors"
)

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
func (e *Engine) handOver(j *job, keep *leaseKeeper) bool {
	late := j.isLate()
	e.mu.Lock()
	if late || j.lapsed || j.en.ends || j.en.interrupted {
		e.mu.Unlock()
		return false
	}
	j.lapsed = true
	e.mu.Unlock()
	keep.stop()
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
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
