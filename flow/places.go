package flow

import (
	"context"
	"slices"

	"github.com/nodebus/nodebus"
)

// places counts the prompts that run in an engine: at most Parallel at the same time, and
// at most PerClient of one client, whichever Run or Do has begun them. Engine.mu guards
// it. The number of a client is in its entry in Engine.clients.
type places struct {
	used    int
	resumes []*resumption // in order; they come before prompts of the queue
}

// resumption is an attempt that has given its place back and waits for one again.
type resumption struct {
	j       *job
	granted chan struct{}
}

// hasPlace reports whether one more prompt of a client may run. e.mu is held.
func (e *Engine) hasPlace(clientID string) bool {
	if e.places.used >= e.opts.Parallel {
		return false
	}
	c := e.clients[clientID]
	return c == nil || c.running < e.opts.PerClient
}

// place gives a place to an attempt. e.mu is held.
func (e *Engine) place(j *job) {
	j.placed = true
	e.places.used++
	e.client(j.p.ClientID).running++
}

// unplace takes the place of an attempt, if it has one, and gives it to the first that can
// use it. e.mu is held.
func (e *Engine) unplace(j *job) {
	if !j.placed {
		return
	}
	j.placed = false
	e.places.used--
	c := e.client(j.p.ClientID)
	c.running--
	e.tidy(j.p.ClientID, c)
	e.places.resumes = slices.DeleteFunc(e.places.resumes, func(x *resumption) bool {
		if x.j == j || x.j.isOver() || !e.hasPlace(x.j.p.ClientID) {
			return false
		}
		e.place(x.j)
		close(x.granted)
		return true
	})
	e.lookAgain()
}

// rest gives back the place of an attempt that waits for the outside. It does nothing if
// the attempt has no place.
func (e *Engine) rest(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unplace(j)
	if e.handing {
		j.cancel(errHandOver)
	}
}

// resume waits until an attempt has a place again. Then it returns nil. If ctx ends
// before, the attempt stays without a place, and the error is the cause of ctx. If the
// attempt is over, the error is ErrClosed: an executor may have left a goroutine behind.
func (e *Engine) resume(ctx context.Context, j *job) error {
	e.mu.Lock()
	if j.isOver() {
		e.mu.Unlock()
		return nodebus.ErrClosed
	}
	if j.placed {
		e.mu.Unlock()
		return nil
	}
	if e.hasPlace(j.p.ClientID) {
		e.place(j)
		e.mu.Unlock()
		return nil
	}
	x := &resumption{j, make(chan struct{})}
	e.places.resumes = append(e.places.resumes, x)
	e.mu.Unlock()
	select {
	case <-x.granted:
		return nil
	case <-j.over:
	case <-ctx.Done():
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	at := slices.Index(e.places.resumes, x)
	switch {
	case at >= 0:
		e.places.resumes = slices.Delete(e.places.resumes, at, at+1)
	case !j.isOver():
		return nil // granted at the same moment
	}
	if j.isOver() {
		return nodebus.ErrClosed
	}
	return context.Cause(ctx)
}

// isOver reports whether nothing of the attempt runs any more.
func (j *job) isOver() bool {
	select {
	case <-j.over:
		return true
	default:
		return false
	}
}
