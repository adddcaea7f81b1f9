package flow

import (
	"context"

	"github.com/nodebus/nodebus"
)

// take waits for a prompt that may run now.
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
		case err == nil:
			return e.begin(lease, taken), nil
		case ctx.Err() != nil || !poked:
			return nil, err
		}
	}
}

func (e *Engine) setPoke(poke context.CancelFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.poke, e.taking = poke, nil
}

// lookAgain has the queue ask anew whom to skip.
func (e *Engine) lookAgain() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.poke != nil {
		e.poke()
	}
}

// skips reports whether the prompts of a client must wait: as many as PerClient run,
// or the first of those that wait is not ready.
func (e *Engine) skips(clientID string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.clients[clientID]
	switch {
	case c == nil:
		return false
	case c.running >= e.opts.PerClient:
		return true
	case len(c.waiting) == 0:
		return false
	case !c.waiting[0].isReady():
		return true
	}
	// From now on the prompt counts as one that runs: it leaves the queue before this
	// engine learns of it, and must always be in one of the two lists.
	e.taking = c.waiting[0].p
	return false
}
