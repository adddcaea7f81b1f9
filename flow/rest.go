package flow

import (
	"context"
	"slices"
)

// resting is a prompt that waits for a place among the running prompts.
type resting struct {
	j       *job
	resumed chan struct{}
}

// rest gives back the place of a running prompt.
func (e *Engine) rest(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if j.rests || !j.running {
		return
	}
	j.rests = true
	e.used--
	e.client(j).running--
	e.grant()
}

// resume waits until the prompt has a place again. A prompt that resumes comes before
// prompts from the queue.
func (e *Engine) resume(ctx context.Context, j *job) error {
	r := resting{j, make(chan struct{})}
	e.mu.Lock()
	if !j.rests {
		e.mu.Unlock()
		return nil
	}
	e.resuming = append(e.resuming, r)
	e.grant()
	e.mu.Unlock()
	select {
	case <-r.resumed:
		return nil
	case <-ctx.Done():
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.resuming = slices.DeleteFunc(e.resuming, func(x resting) bool { return x == r })
	e.lookAgain()
	return context.Cause(ctx)
}

// grant gives free places to prompts that resume, and then lets the queue be searched.
// e.mu is held.
func (e *Engine) grant() {
	e.resuming = slices.DeleteFunc(e.resuming, func(r resting) bool {
		c := e.client(r.j)
		if e.used >= e.opts.Parallel || c.running >= e.opts.PerClient {
			return false
		}
		e.used++
		c.running++
		r.j.rests = false
		close(r.resumed)
		return true
	})
	e.lookAgain()
}

// isFull reports whether no prompt of the client may begin. e.mu is held.
func (e *Engine) isFull(clientID string) bool {
	c := e.clients[clientID]
	if e.used >= e.opts.Parallel || c != nil && c.running >= e.opts.PerClient {
		return true
	}
	return slices.ContainsFunc(e.resuming, func(r resting) bool { return r.j.p.ClientID == clientID })
}
