package flow

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/nodebus/nodebus"
)

// job is a prompt on its way from Submit, or from the queue, to its end.
type job struct {
	p        *nodebus.Prompt
	seq      uint64          // the order of arrival
	ready    <-chan struct{} // see SubmitOptions; nil: it is ready
	pushed   bool            // it is in the queue for certain; guarded by Engine.mu
	prepared any             // see nodebus.Preparer
	ctx      context.Context
	cancel   context.CancelCauseFunc
	lease    Lease // nil while the prompt waits
	attempt  int
	secrets  map[string]string
	running  bool // guarded by Engine.mu

	done    chan struct{} // closed at the end
	outcome nodebus.Outcome
	err     error // why there is no outcome

	mu  sync.Mutex
	now nodebus.Executing // the last that was sent
}

func newJob(p *nodebus.Prompt) *job {
	j := &job{p: p, attempt: 1, done: make(chan struct{})}
	j.ctx, j.cancel = context.WithCancelCause(context.Background())
	return j
}

func (j *job) wait(ctx context.Context) (nodebus.Outcome, error) {
	select {
	case <-j.done:
		return j.outcome, j.err
	case <-ctx.Done():
		return nodebus.Outcome{}, context.Cause(ctx)
	}
}

// isReady reports whether the prompt may leave the queue.
func (j *job) isReady() bool {
	if j.ready == nil {
		return true
	}
	select {
	case <-j.ready:
		return true
	default:
		return false
	}
}

// client is what an engine knows of the jobs of one client.
type client struct {
	waiting  []*job // by priority, then in order of arrival
	running  int
	skipped  bool // because a prompt is not ready
	heldBack *job // was taken before it was ready; the client is skipped until it is
}

// precedes orders jobs as a queue does.
func precedes(a, b *job) int {
	return cmp.Or(cmp.Compare(a.p.Priority, b.p.Priority), cmp.Compare(a.seq, b.seq))
}

// admit makes a job known under its id, unless the id is in use.
func (e *Engine) admit(j *job) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, taken := e.jobs[j.p.ID]; taken {
		return false
	}
	e.seq++
	j.seq = e.seq
	e.jobs[j.p.ID] = j
	c := e.client(j)
	at, _ := slices.BinarySearchFunc(c.waiting, j, precedes)
	c.waiting = slices.Insert(c.waiting, at, j)
	c.heldBack = nil
	e.awaitReady(j)
	return true
}

// client returns the client of a job. e.mu is held.
func (e *Engine) client(j *job) *client {
	c := e.clients[j.p.ClientID]
	if c == nil {
		c = &client{}
		e.clients[j.p.ClientID] = c
	}
	return c
}

// leaves takes a job from those that wait. e.mu is held.
func (e *Engine) leaves(j *job) {
	c := e.client(j)
	if at := slices.Index(c.waiting, j); at >= 0 {
		c.waiting = slices.Delete(c.waiting, at, at+1)
		c.heldBack = nil
	}
	if len(c.waiting) == 0 && c.running == 0 {
		delete(e.clients, j.p.ClientID)
	}
}

// isUnready reports whether the first of the prompts that wait is not ready. A prompt
// that is being pushed may be in the queue already or not: then the first is either
// this prompt or the next.
func (c *client) isUnready() bool {
	for _, j := range c.waiting {
		if !j.isReady() {
			return true
		}
		if j.pushed {
			break
		}
	}
	return c.heldBack != nil && !c.heldBack.isReady()
}

// pushed notes that a job is in the queue, unless it was taken already.
func (e *Engine) pushed(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j.pushed = true
	if c := e.clients[j.p.ClientID]; c != nil && c.skipped && e.poke != nil {
		e.poke() // the answer about this client may be another now
	}
}

// awaitReady has the queue looked at again once a job is ready, if the engine runs.
// e.mu is held.
func (e *Engine) awaitReady(j *job) {
	if e.running == nil || j.isReady() {
		return
	}
	stop := e.stop
	e.running.Go(func() {
		select {
		case <-j.ready:
		case <-j.ctx.Done():
		case <-stop.Done():
		}
		e.lookAgain()
	})
}

// forget drops a job that will not run.
func (e *Engine) forget(id string) {
	e.mu.Lock()
	j := e.jobs[id]
	if j != nil {
		delete(e.jobs, id)
		e.leaves(j)
	}
	e.mu.Unlock()
	if j != nil {
		j.cancel(nodebus.ErrClosed)
		j.err = fmt.Errorf("nodebus: prompt %s was deleted before it ran: %w", id, ErrNotFound)
		close(j.done)
	}
}

// begin notes that a prompt was taken from the queue and runs now.
func (e *Engine) begin(lease Lease, taken nodebus.Job) *job {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.jobs[taken.Prompt.ID]
	if j == nil { // queued by an earlier process, or by another one
		j = newJob(taken.Prompt)
		e.jobs[taken.Prompt.ID] = j
	}
	e.leaves(j)
	j.lease, j.attempt, j.secrets = lease, max(taken.Attempt, 1), taken.Secrets
	j.running, e.taking = true, nil
	e.client(j).running++
	return j
}

// end is the step in which a prompt stops to count as one that runs.
func (e *Engine) end(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j.cancel(nodebus.ErrClosed)
	delete(e.jobs, j.p.ID)
	if !j.running {
		e.leaves(j)
	}
}

// release lets the next prompt of the client begin, after the last event of j.
func (e *Engine) release(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !j.running {
		return
	}
	e.client(j).running--
	e.leaves(j)
	if e.poke != nil {
		e.poke()
	}
}
