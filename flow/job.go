package flow

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/nodebus/nodebus"
)

// job is a prompt that the engine handles, from Submit, or from the queue, to its
// end.
type job struct {
	p        *nodebus.Prompt
	seq      uint64          // order of arrival
	ready    <-chan struct{} // see SubmitOptions; nil: the prompt is ready
	pushed   bool            // Queue.Push has returned; guarded by Engine.mu
	prepared any             // see nodebus.Preparer
	ctx      context.Context
	cancel   context.CancelCauseFunc
	lease    Lease // nil while the prompt waits
	attempt  int
	secrets  map[string]string
	running  bool // guarded by Engine.mu

	done    chan struct{} // closed when the job has ended
	outcome nodebus.Outcome
	err     error // set if there is no outcome

	mu  sync.Mutex
	now nodebus.Executing // the last executing event
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

// client holds the jobs of one client.
type client struct {
	waiting  []*job // by priority, then by order of arrival
	running  int
	skipped  bool // Take skipped the client because a prompt is not ready
	heldBack *job // was taken before it was ready; the client is skipped until this job is ready
}

// precedes compares jobs by the order of the queue.
func precedes(a, b *job) int {
	return cmp.Or(cmp.Compare(a.p.Priority, b.p.Priority), cmp.Compare(a.seq, b.seq))
}

// admit registers a job under its id. It returns false if the id is in use.
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

// client returns the entry of the job's client, and creates it if needed. e.mu is
// held.
func (e *Engine) client(j *job) *client {
	c := e.clients[j.p.ClientID]
	if c == nil {
		c = &client{}
		e.clients[j.p.ClientID] = c
	}
	return c
}

// leaves removes a job from the waiting jobs of its client, and the client if it has
// no jobs left. e.mu is held.
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

// isUnready reports whether the client's first prompt in the queue is not ready. A
// prompt that is being pushed may or may not be in the queue yet: the first prompt
// in the queue is then this prompt or the next, so isUnready checks both.
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

// pushed marks a job as being in the queue. The job may have been taken already.
func (e *Engine) pushed(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j.pushed = true
	if c := e.clients[j.p.ClientID]; c != nil && c.skipped && e.poke != nil {
		e.poke() // skips may now give another answer for this client
	}
}

// awaitReady starts a goroutine that makes the queue search again when the job is
// ready. It does nothing if Run is not active. e.mu is held.
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

// forget drops a job that will not run. Callers of Wait receive ErrNotFound.
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

// begin marks a prompt that was taken from the queue as running.
func (e *Engine) begin(lease Lease, taken nodebus.Job) *job {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.jobs[taken.Prompt.ID]
	if j == nil { // queued by an earlier process, or by another process
		j = newJob(taken.Prompt)
		e.jobs[taken.Prompt.ID] = j
	}
	e.leaves(j)
	j.lease, j.attempt, j.secrets = lease, max(taken.Attempt, 1), taken.Secrets
	j.running, e.taking = true, nil
	e.client(j).running++
	return j
}

// end removes a job from the engine: from now on the prompt does not count as
// running.
func (e *Engine) end(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j.cancel(nodebus.ErrClosed)
	delete(e.jobs, j.p.ID)
	if !j.running {
		e.leaves(j)
	}
}

// release lets the next prompt of the client begin. It is called after the last
// event of j.
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
