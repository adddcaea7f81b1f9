package flow

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/nodebus/nodebus"
)

// SubmitOptions holds the options of [Engine.Submit]. A nil pointer, and a zero
// value in any field, select the defaults.
type SubmitOptions struct {
	// Ready delays the prompt: it stays in the queue until the channel is closed. Later
	// prompts of the same client wait too. The program must close the channel in every
	// case, or the client's prompts wait forever. Default nil: the prompt may run at
	// once.
	Ready <-chan struct{}
	// Secrets holds secrets by name. A node receives a secret if it asks for the name
	// in a `hidden` tag. Secrets never appear in a listing, log or record. If the queue
	// cannot keep secrets, Submit returns [ErrSecrets]. Default: no secrets.
	Secrets map[string]string
}

// Submission is a prompt that the engine has accepted. It is safe for concurrent
// use.
type Submission struct {
	ID string // the id of the prompt
	// Prompt is the prompt that will run: its literals have the declared types, and
	// Outputs lists the output nodes that will run. Do not modify it.
	Prompt *nodebus.Prompt
	// Rejected lists the outputs that are invalid and will not run. It is nil if all
	// outputs will run.
	Rejected *nodebus.ValidationError

	j *job
}

// Wait waits until the prompt has ended and its last event was sent. It returns the
// outcome. If ctx ends first, the error is the cause of ctx. If the prompt was
// deleted from the queue, the error wraps [ErrNotFound].
func (s *Submission) Wait(ctx context.Context) (nodebus.Outcome, error) { return s.j.wait(ctx) }

// Wait waits until the prompt with this id has ended, like [Submission.Wait]. If the
// prompt has ended already, Wait returns the outcome from the prompt's record. If
// the engine knows neither the prompt nor a record of it, the error wraps
// [ErrNotFound].
func (e *Engine) Wait(ctx context.Context, promptID string) (nodebus.Outcome, error) {
	e.mu.Lock()
	j := cmp.Or(e.jobs[promptID], e.ending[promptID])
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

// Do submits a prompt, waits until it has ended, and returns the outcome. If ctx
// ends first, Do interrupts the prompt and returns the cause of ctx. Do also runs
// the engine while it waits, unless [Engine.Run] is active already. A program that
// only runs graphs does not need to call Run. Several calls of Do share one Run. The last
// of them also waits for prompts of [Engine.Submit] that this Run has begun, and
// interrupts them if its ctx ends. Do is safe for concurrent use.
func Do(ctx context.Context, e *Engine, p *nodebus.Prompt) (nodebus.Outcome, error) {
	s, err := e.Submit(ctx, p, nil)
	if err != nil {
		return nodebus.Outcome{}, err
	}
	run := e.share()
	defer e.unshare(ctx, run)
	select {
	case <-s.j.done:
	case <-run.ended:
		err = run.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	select {
	case <-s.j.done: // perhaps at the same time as something else
	default:
		_, _ = e.Interrupt(context.WithoutCancel(ctx), s.ID) // err is the more useful error
		return nodebus.Outcome{}, err
	}
	var failed *takeError
	if s.j.outcome.State == nodebus.Interrupted && errors.As(context.Cause(s.j.ctx), &failed) {
		return s.j.outcome, failed // the queue has ended the run
	}
	return s.j.outcome, s.j.err
}

// Submit checks a prompt and adds it to the queue. After Submit, the prompt belongs
// to the engine: do not modify it. Submit sets p.Created, and p.ID if it is empty. In
// p.Extra, and in inputs that no node uses, NaN and infinities become null.
// Errors:
//
//   - a [*nodebus.ValidationError] if no output of the prompt can run (if some
//     outputs can run, see Submission.Rejected);
//   - [ErrDuplicate] if a prompt with the same id waits, runs or has a record;
//   - [ErrFull] if the queue has no room;
//   - [ErrSecrets] if the queue cannot keep secrets and opts has some;
//   - any other error of the queue or the store.
func (e *Engine) Submit(ctx context.Context, p *nodebus.Prompt, opts *SubmitOptions) (*Submission, error) {
	if opts == nil {
		opts = &SubmitOptions{}
	}
	if p == nil {
		return nil, promptError("no_prompt", "No prompt provided", "the prompt is nil")
	}
	if math.IsNaN(p.Priority) || math.IsInf(p.Priority, 0) {
		return nil, promptError("invalid_number", "The priority is not a finite number", fmt.Sprint(p.Priority))
	}
	prepared, rejected, err := e.prepare(p)
	if err != nil {
		return nil, err
	}
	if err := makeFinite(p); err != nil {
		return nil, err
	}
	if p.ID == "" {
		p.ID = newID()
	}
	p.Created = time.Now()
	j := newJob(p)
	j.prepared, j.ready = prepared, opts.Ready
	// Admit the job before asking the store: if a prompt with the same id ends
	// meanwhile, its record is in the store by then.
	for {
		admitted, earlier := e.admit(j)
		if admitted {
			break
		}
		if earlier == nil {
			return nil, fmt.Errorf("%w: the prompt waits or runs; choose another id: prompt %q", ErrDuplicate, p.ID)
		}
		_, _ = earlier.wait(ctx) // how it ended does not matter
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
	}
	told, accepted := false, false
	defer func() { // deferred, because a publisher, the queue or the store may call runtime.Goexit
		if accepted {
			return
		}
		e.forget(p.ID)
		if told {
			e.tellStatus()
		}
	}()
	if _, err := e.record(ctx, p.ID); !errors.Is(err, ErrNotFound) {
		if err == nil {
			err = fmt.Errorf("%w: the prompt has ended, and the store has its record; choose another id, or delete the record: prompt %q", ErrDuplicate, p.ID)
		}
		return nil, err
	}
	// Before the queue has the prompt, so that clients receive the number before any event
	// of the prompt, unless another goroutine is sending numbers at this moment.
	told = true
	e.tellStatus()
	e.hub.Expect(p.ClientID, p.ID)
	if err := nodebus.Protect(func() error { return e.opts.Queue.Push(ctx, p, opts.Secrets) }); err != nil {
		return nil, err
	}
	accepted = true
	e.pushed(j)
	return &Submission{ID: p.ID, Prompt: p, Rejected: rejected, j: j}, nil
}

// prepare calls Prepare of the executor, or of the registry if the executor is not a
// Preparer. If only a part of the prompt is invalid, rejected is set and err is nil.
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

// record reads the record of a prompt from the store.
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
