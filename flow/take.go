package flow

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
)

// take waits until a prompt may run, and leases it.
func (e *Engine) take(ctx context.Context) (*job, error) {
	for {
		asking, cancel := context.WithCancel(ctx)
		e.setPoke(cancel)
		var lease Lease
		var taken nodebus.Job
		err := nodebus.Protect(func() (err error) {
			if lease, err = e.opts.Queue.Take(asking, e.skips); err == nil {
				taken = lease.Job()
			}
			return err
		})
		poked := asking.Err() != nil
		cancel()
		switch {
		case err == nil && e.holdsBack(taken):
			if err := e.giveBack(ctx, lease, taken); err != nil {
				return nil, err
			}
		case err == nil:
			return e.begin(lease, taken), nil
		case ctx.Err() != nil || !poked:
			return nil, err
		}
	}
}

// holdsBack reports whether the taken prompt is not ready. This happens if another
// prompt was the client's first when the queue called skips. The client is then
// skipped until the taken prompt is ready.
func (e *Engine) holdsBack(taken nodebus.Job) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.jobs[taken.Prompt.ID]
	if j == nil || j.isReady() || j.ctx.Err() != nil {
		return false
	}
	e.client(j).heldBack = j
	return true
}

// giveBack returns a prompt to its place in the queue.
func (e *Engine) giveBack(ctx context.Context, lease Lease, taken nodebus.Job) error {
	err := nodebus.Protect(func() error { return lease.Release(ctx) })
	if err != nil {
		return fmt.Errorf("giving prompt %s back: %w", taken.Prompt.ID, err)
	}
	return nil
}

func (e *Engine) setPoke(poke context.CancelFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.poke, e.taking = poke, nil
}

// lookAgain cancels the current Take, so that the queue calls skips again.
func (e *Engine) lookAgain() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.poke != nil {
		e.poke()
	}
}

// skips reports whether the prompts of a client must wait: PerClient of them run
// already, or the first waiting prompt is not ready.
func (e *Engine) skips(clientID string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.clients[clientID]
	switch {
	case c == nil:
		return false
	case c.running >= e.opts.PerClient:
		return true
	case c.isUnready():
		c.skipped = true
		return true
	case len(c.waiting) == 0:
		return false
	}
	c.skipped = false
	// From now on the prompt counts as running. It leaves the queue before the engine
	// receives it, and it must always be in one of the two lists.
	e.taking = c.waiting[0].p
	return false
}
