package flow

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
)

// SubmitOptions says how a prompt is submitted. Nil, and each zero field, is the
// default.
type SubmitOptions struct {
	// Ready, if not nil, keeps the prompt in the queue until the channel is closed,
	// and with it the prompts of the same client that come after it. The channel
	// must be closed in any case. Default: the prompt may run at once.
	Ready <-chan struct{}
	// Secrets reach the nodes that ask for a secret by name in a `hidden` tag. They
	// are in no listing, log or record. A queue that cannot keep secrets refuses the
	// prompt with [ErrSecrets].
	Secrets map[string]string
}

// Submission is a prompt that the engine has accepted. It is safe for concurrent
// use.
type Submission struct {
	ID string // the prompt's id
	// Prompt is the prompt as it will run: its literals have the declared types, and
	// Outputs lists the output nodes that will run. It is read-only.
	Prompt *nodebus.Prompt
	// Rejected says which outputs are invalid and will not run; nil if all will.
	Rejected *nodebus.ValidationError

	j *job
}

// Wait waits until the prompt has ended and its last event was sent, and returns
// how it ended. It returns ctx's cause if ctx ends first, and an error that is
// [ErrNotFound] if the prompt was deleted from the queue.
func (s *Submission) Wait(ctx context.Context) (nodebus.Outcome, error) { return s.j.wait(ctx) }

// Wait waits until a prompt has ended and returns how, like [Submission.Wait]. It
// also knows the prompts that have a record. It returns [ErrNotFound] for any
// other id.
func (e *Engine) Wait(ctx context.Context, promptID string) (nodebus.Outcome, error) {
	e.mu.Lock()
	j := e.jobs[promptID]
	e.mu.Unlock()
	if j != nil {
		return j.wait(ctx)
	}
	rec, err := e.record(ctx, promptID)
	if err != nil {
		return nodebus.Outcome{}, err
	}
	return rec.Outcome(), nil
}

// Do submits a prompt, waits until it has ended, and returns how. If ctx ends first,
// Do interrupts the prompt and returns ctx's cause. While Do waits it runs the
// engine, unless [Engine.Run] does so already: a program that only runs a graph needs
// nothing else.
func Do(ctx context.Context, e *Engine, p *nodebus.Prompt) (nodebus.Outcome, error) {
	s, err := e.Submit(ctx, p, nil)
	if err != nil {
		return nodebus.Outcome{}, err
	}
	waiting, give := context.WithCancelCause(ctx)
	defer give(nil)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		give(e.runUnlessRunning(running))
	}()
	outcome, err := s.Wait(waiting)
	if err != nil {
		_, _ = e.Interrupt(context.WithoutCancel(ctx), s.ID) // err says more
	}
	stop()
	<-ended
	return outcome, err
}

// runUnlessRunning runs the engine, or waits until the Run that runs has ended and
// then runs the engine.
func (e *Engine) runUnlessRunning(ctx context.Context) error {
	for {
		err := e.Run(ctx)
		if !errors.Is(err, errRunning) {
			return err
		}
		e.mu.Lock()
		idle := e.idle
		e.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Submit checks a prompt and queues it. From then on the prompt belongs to the
// engine. Errors: a [*nodebus.ValidationError] if nothing of the prompt can run (if a
// part can, see [Submission].Rejected); [ErrDuplicate] if the id belongs to a
// prompt that waits, runs or has a record; [ErrFull] if the queue has no room;
// [ErrSecrets]; or an error of the queue or the store.
func (e *Engine) Submit(ctx context.Context, p *nodebus.Prompt, opts *SubmitOptions) (*Submission, error) {
	if opts == nil {
		opts = &SubmitOptions{}
	}
	prepared, rejected, err := e.prepare(p)
	if err != nil {
		return nil, err
	}
	if p.ID == "" {
		p.ID = newID()
	}
	p.Created = time.Now()
	j := newJob(p)
	j.prepared, j.ready = prepared, opts.Ready
	// Admitted before the store is asked: a prompt of the same id that ends meanwhile
	// has its record by then.
	if !e.admit(j) {
		return nil, ErrDuplicate
	}
	if _, err := e.record(ctx, p.ID); !errors.Is(err, ErrNotFound) {
		e.forget(p.ID)
		if err == nil {
			err = ErrDuplicate
		}
		return nil, err
	}
	e.tellStatus() // before the prompt can be taken, so that the number comes first
	if err := nodebus.Protect(func() error { return e.opts.Queue.Push(ctx, p, opts.Secrets) }); err != nil {
		e.forget(p.ID)
		e.tellStatus()
		return nil, err
	}
	e.pushed(j)
	return &Submission{ID: p.ID, Prompt: p, Rejected: rejected, j: j}, nil
}

// prepare has the executor make a prompt ready, or the registry if the executor does
// not.
func (e *Engine) prepare(p *nodebus.Prompt) (prepared any, rejected *nodebus.ValidationError, err error) {
	var preparer nodebus.Preparer = e.registry
	if x, ok := e.opts.Executor.(nodebus.Preparer); ok {
		preparer = x
	}
	err = nodebus.Protect(func() (err error) {
		prepared, err = preparer.Prepare(p)
		return err
	})
	if prepared != nil && errors.As(err, &rejected) {
		err = nil
	}
	return prepared, rejected, err
}

// record looks for the record of a prompt.
func (e *Engine) record(ctx context.Context, id string) (rec Record, err error) {
	err = nodebus.Protect(func() (err error) {
		rec, err = e.opts.Store.Get(ctx, id)
		return err
	})
	if err != nil {
		err = fmt.Errorf("nodebus: looking for the record of prompt %s: %w", id, err)
	}
	return rec, err
}

// newID returns a random UUID, version 4.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
