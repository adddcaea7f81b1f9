package flow

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// job is a prompt that the engine handles, from Submit, or from the queue, to its
// end.
type job struct {
	p        *nodebus.Prompt
	seq      uint64          // order of arrival
	ready    <-chan struct{} // see SubmitOptions; nil: the prompt is ready
	pushed   bool            // Queue.Push has returned; Engine.mu guards it
	prepared any             // see nodebus.Preparer
	refused  error           // why Prepare refused a prompt that was in the queue already
	ctx      context.Context
	cancel   context.CancelCauseFunc
	attempt  int
	secrets  map[string]string

	// Engine.mu guards these.
	lease   Lease // the newest; nil while the prompt waits
	running bool
	began   time.Time // when running was set
	ends    bool      // conclude was called, or is about to be

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

// holdsUp reports whether the prompt makes its client wait: it is not ready. A prompt
// that was interrupted need not be.
func (j *job) holdsUp() bool { return !j.isReady() && j.ctx.Err() == nil }

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

// admit registers a job under its id. It returns false if the id is in use. If an earlier
// prompt with this id is about to end, admit returns that prompt: the caller waits until
// it has ended, and tries again.
func (e *Engine) admit(j *job) (admitted bool, earlier *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.jobs[j.p.ID] != nil || e.ending[j.p.ID] != nil {
		return false, e.ending[j.p.ID]
	}
	e.seq++
	j.seq = e.seq
	e.jobs[j.p.ID] = j
	c := e.client(j)
	at, _ := slices.BinarySearchFunc(c.waiting, j, precedes)
	c.waiting = slices.Insert(c.waiting, at, j)
	c.heldBack = nil
	e.awaitReady(j)
	return true, nil
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
		if j.holdsUp() {
			return true
		}
		if j.pushed {
			break
		}
	}
	return c.heldBack != nil && c.heldBack.holdsUp()
}

// pushed marks a job as being in the queue. The job may have been taken already.
func (e *Engine) pushed(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j.pushed = true
	if c := e.clients[j.p.ClientID]; c != nil && c.skipped {
		e.lookAgain() // skips may now give another answer for this client
	}
}

// forget drops a job that will not run. Callers of Wait receive ErrNotFound.
func (e *Engine) forget(id string) {
	e.mu.Lock()
	j := e.jobs[id]
	if j == nil || j.running || j.ends {
		e.mu.Unlock()
		return
	}
	j.ends = true
	delete(e.jobs, id)
	e.leaves(j)
	e.mu.Unlock()
	e.hub.Unexpect(j.p.ClientID, id)
	j.cancel(nodebus.ErrClosed)
	j.err = fmt.Errorf("nodebus: prompt %s was deleted before it ran: %w", id, ErrNotFound)
	close(j.done)
}

// claimEnd reports whether the caller is the one that ends a prompt which was deleted
// from the queue. It is false if the prompt runs: a lease that lapses puts a prompt back
// into the queue although it runs.
func (e *Engine) claimEnd(j *job) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if j.running || j.ends {
		return false
	}
	j.ends = true
	return true
}

// begin marks a prompt that was taken from the queue as running. j is what fromQueue
// returned for it. begins is false if the prompt runs already, or ends: its old lease
// has lapsed, and only the lease is exchanged.
func (e *Engine) begin(lease Lease, taken nodebus.Job, j *job) (_ *job, begins bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.taking = nil
	id := taken.Prompt.ID
	for _, known := range []*job{e.jobs[id], e.ending[id]} {
		if known != nil {
			j = known
		}
	}
	if j.lease != nil || j.ends {
		j.lease = lease
		return j, false
	}
	e.jobs[id] = j
	e.leaves(j)
	j.lease, j.attempt, j.secrets, j.running = lease, max(taken.Attempt, 1), taken.Secrets, true
	j.began = time.Now()
	e.client(j).running++
	return j, true
}

// leaseOf returns the newest lease of a job; nil if it has none.
func (e *Engine) leaseOf(j *job) Lease {
	e.mu.Lock()
	defer e.mu.Unlock()
	return j.lease
}

// end is the step in which a prompt stops to count as one that runs.
func (e *Engine) end(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j.cancel(nodebus.ErrClosed)
	delete(e.jobs, j.p.ID)
	e.ending[j.p.ID] = j
	if !j.running {
		e.leaves(j)
	}
}

// release lets the next prompt of the client begin. It is called after the last event
// of j.
func (e *Engine) release(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.ending, j.p.ID)
	if !j.running {
		return
	}
	e.client(j).running--
	e.leaves(j)
	e.lookAgain()
}
