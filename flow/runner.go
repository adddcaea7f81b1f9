package flow

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nodebus/nodebus"
)

// runner is the Run of an engine that is active. Engine.mu guards it.
type runner struct {
	idle      chan struct{} // closed when Run takes no further prompt
	stop      chan struct{} // closed to stop the watchers
	stopped   bool          // stop is closed
	watchers  int           // goroutines that wait until a prompt is ready
	unwatched chan struct{} // closed when there are no watchers any more; nil until ends waits for that
}

var errRunning = errors.New("nodebus: Engine.Run is active already; call it once at a time")

// takeError is the error of a Run whose queue has failed.
type takeError struct{ err error }

func (e *takeError) Error() string {
	return fmt.Sprintf("nodebus: taking a prompt from the queue: %v", e.err)
}
func (e *takeError) Unwrap() error { return e.err }

// Run executes queued prompts until ctx ends. Then it interrupts the running prompts
// and waits until they have ended; waiting prompts stay in the queue. It returns the
// cause of ctx, or an error of the queue, which also ends the running prompts. Only one
// Run may take prompts at a time: a second call returns an error at once, also while [Do]
// runs the engine. After Run has returned, it may be called again.
func (e *Engine) Run(ctx context.Context) error { return e.run(ctx, ctx) }

// run takes prompts from the queue until taking ends, waits for the prompts that run,
// and interrupts them when ctx ends.
func (e *Engine) run(taking, ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nodebus.ErrClosed)
	r := &runner{idle: make(chan struct{}), stop: make(chan struct{})}
	if !e.begins(r) {
		return errRunning
	}
	var all sync.WaitGroup
	defer all.Wait()
	defer e.ends(r)
	for {
		j, err := e.take(taking)
		if err != nil {
			if taking.Err() != nil {
				return context.Cause(taking)
			}
			err = &takeError{err}
			cancel(err)
			return err
		}
		all.Go(func() {
			e.process(ctx, j)
		})
	}
}

// begins marks a runner as active and starts to watch the prompts that are not ready. It
// returns false if another runner is active.
func (e *Engine) begins(r *runner) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.runner != nil {
		return false
	}
	e.runner = r
	for _, j := range e.jobs {
		e.awaitReady(j)
	}
	return true
}

// ends marks a runner as not active, when it takes no further prompt. Its prompts may still
// run, and another Run may begin beside them: a node that runs may call Do.
func (e *Engine) ends(r *runner) {
	e.mu.Lock()
	r.stopped = true // no further watcher begins
	close(r.stop)
	if r.watchers > 0 {
		r.unwatched = make(chan struct{})
	}
	unwatched := r.unwatched
	e.mu.Unlock()
	if unwatched != nil {
		<-unwatched
	}
	e.mu.Lock()
	e.runner = nil
	e.mu.Unlock()
	close(r.idle)
}

// awaitReady starts a goroutine that looks at the queue again when the job is ready. It
// does nothing if Run is not active or the job is ready. e.mu is held.
func (e *Engine) awaitReady(j *job) {
	r := e.runner
	if r == nil || r.stopped || j.isReady() {
		return
	}
	r.watchers++
	go func() { // ends waits for it
		select {
		case <-j.ready:
		case <-j.ctx.Done():
		case <-r.stop:
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.lookAgain()
		if r.watchers--; r.watchers == 0 && r.unwatched != nil {
			close(r.unwatched)
		}
	}()
}

// shared is the Run that calls of Do share. Engine.mu guards users.
type shared struct {
	users  int
	stop   context.CancelFunc // takes no further prompt
	cancel context.CancelFunc // interrupts the prompts that run
	ended  chan struct{}
	err    error // set before ended is closed
}

// share returns the Run that the calls of Do share, and starts it if need be.
func (e *Engine) share() *shared {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shared == nil {
		s := &shared{ended: make(chan struct{})}
		taking, stop := context.WithCancel(context.Background())
		ctx, cancel := context.WithCancel(context.Background())
		s.stop, s.cancel, e.shared = stop, cancel, s
		go func() {
			s.err = e.runUnlessRunning(taking, ctx)
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.shared == s {
				e.shared = nil
			}
			close(s.ended)
		}()
	}
	e.shared.users++
	return e.shared
}

// unshare ends the use of a shared Run. The last user stops it: the Run takes no further
// prompt, and ends when no prompt runs, or when ctx ends.
func (e *Engine) unshare(ctx context.Context, s *shared) {
	e.mu.Lock()
	s.users--
	last := s.users == 0
	if last && e.shared == s {
		e.shared = nil
	}
	e.mu.Unlock()
	if !last {
		return
	}
	defer s.cancel()
	s.stop()
	select {
	case <-s.ended:
	case <-ctx.Done():
		s.cancel()
		<-s.ended
	}
}

// runUnlessRunning is run, after the Run that is active, if one is.
func (e *Engine) runUnlessRunning(taking, ctx context.Context) error {
	for {
		err := e.run(taking, ctx)
		if !errors.Is(err, errRunning) {
			return err
		}
		e.mu.Lock()
		r := e.runner
		e.mu.Unlock()
		if r == nil {
			continue
		}
		select {
		case <-r.idle:
		case <-taking.Done():
			return context.Cause(taking)
		}
	}
}

// take waits until a prompt may run, and leases it.
func (e *Engine) take(ctx context.Context) (*job, error) {
	for {
		asking, cancel := context.WithCancel(ctx)
		e.setPoke(cancel)
		var lease Lease
		var taken nodebus.Job
		err := apart(func() (err error) {
			if lease, err = e.opts.Queue.Take(asking, e.skips); err != nil {
				return err
			}
			if taken = lease.Job(); taken.Prompt == nil {
				return errNoPrompt
			}
			return nil
		})
		poked := asking.Err() != nil
		cancel()
		switch {
		case err == nil && (ctx.Err() != nil || e.holdsBack(taken)):
			if err := e.giveBack(ctx, lease, taken); err != nil {
				return nil, err
			}
		case err == nil:
			if j, begins := e.begin(lease, taken, e.fromQueue(taken)); begins {
				return j, nil
			}
		case ctx.Err() != nil || !poked:
			return nil, err
		}
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
	}
}

var errNoPrompt = errors.New("nodebus: the queue gave a lease whose Job has no prompt")

// fromQueue returns the job that is known for a prompt, or a new one for a prompt that
// another process, or an earlier one, has queued. A new job has a copy of the prompt,
// which Prepare may change: others may read the prompt in the queue.
func (e *Engine) fromQueue(taken nodebus.Job) *job {
	e.mu.Lock()
	j := e.jobs[taken.Prompt.ID]
	e.mu.Unlock()
	if j == nil {
		p := *taken.Prompt
		j = newJob(&p)
		j.prepared, _, j.refused = e.prepare(&p)
	}
	return j
}

// holdsBack reports whether the taken prompt is not ready. This happens if another
// prompt was the client's first when the queue called skips. The client is then
// skipped until the taken prompt is ready.
func (e *Engine) holdsBack(taken nodebus.Job) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.jobs[taken.Prompt.ID]
	if e.isFull(taken.Prompt.ClientID) {
		return true // a prompt that rested has taken the place
	}
	if j == nil || !j.holdsUp() {
		return false
	}
	e.client(j).heldBack = j
	return true
}

// giveBack returns a prompt to its place in the queue.
func (e *Engine) giveBack(ctx context.Context, lease Lease, taken nodebus.Job) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	err := apart(func() error { return lease.Release(ctx) })
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

// lookAgain cancels the current Take, so that the queue calls skips again. e.mu is held.
func (e *Engine) lookAgain() {
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
	case e.isFull(clientID):
		return true
	case c == nil:
		return false
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
