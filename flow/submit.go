package flow

import (
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
	// Secrets holds secrets by name. A node receives a secret if it asks for the name, which
	// may be its own, in a `hidden` tag. Secrets never appear in a listing, log or record. If the queue
	// cannot keep secrets, Submit returns [ErrSecrets]. Default: no secrets.
	Secrets map[string]string
}

// Submit checks a prompt and adds it to the queue. After Submit, the prompt belongs
// to the engine: do not modify it. Submit sets p.Created, and p.ID if it is empty. In
// p.Extra, and in inputs that no node uses, NaN and infinities become null.
// Errors:
//
//   - a [*nodebus.ValidationError] if no output of the prompt can run (if some
//     outputs can run, see Submission.Rejected), or if a node has an unknown class, even
//     a node that no output needs: the whole prompt is refused then; its type is
//     prompt_too_large if the prompt takes more than the queue ever has room for;
//   - [ErrDuplicate] if a prompt with the same id waits or runs, here or elsewhere, or has
//     a record;
//   - [ErrFull] if the queue has no room;
//   - [ErrSecrets] if the queue cannot keep secrets and opts has some;
//   - the cause of ctx if it ends while a node checks its inputs, or while Submit waits for what
//     becomes of another prompt with the same id;
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
	p.Rejected = nil
	anew := p.ID == ""
	if anew {
		p.ID = newID() // Validate may read it
	}
	prepared, rejected, err := e.prepare(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := makeFinite(p); err != nil {
		return nil, err
	}
	p.Created = time.Now()
	en := newEntry(p)
	en.prepared, en.isPrepared, en.ready, en.told = prepared, true, opts.Ready, make(chan struct{})
	en.anew = anew
	if en.ready != nil {
		en.freed = make(chan struct{})
	}
	if err := e.enter(ctx, en); err != nil {
		return nil, err
	}
	if err := e.push(ctx, en, opts.Secrets); err != nil {
		return nil, err
	}
	return &Submission{ID: p.ID, Prompt: p, Rejected: rejected, en: en}, nil
}

// enter registers an entry under its id. An earlier prompt with this id must have ended, or its
// Submit must have failed.
func (e *Engine) enter(ctx context.Context, en *entry) error {
	for {
		admitted, earlier, reopens := e.admit(en)
		if admitted {
			return nil
		}
		if earlier == nil {
			if err := e.awaitPush(ctx, en.p.ID); err != nil {
				return err
			}
			free := e.leftOver(ctx, en.p.ID)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if free {
				continue
			}
			return fmt.Errorf("%w: the prompt waits or runs; choose another id: prompt %q", ErrDuplicate, en.p.ID)
		}
		select { // how it ends does not matter
		case <-earlier.done:
		case <-reopens:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// awaitPush waits, for at most storeTime, until another Submit of an id has an answer of the
// queue. Before that, Submit must not say that the id is in use: clients take that for success. The
// limit is for a queue that calls Submit within Push.
func (e *Engine) awaitPush(ctx context.Context, id string) error {
	e.mu.Lock()
	en := e.entries[id]
	pushing := en != nil && en.isPushing()
	e.mu.Unlock()
	if !pushing {
		return nil
	}
	timer := time.NewTimer(storeTime)
	defer timer.Stop()
	select {
	case <-en.told:
	case <-timer.C:
		return fmt.Errorf("nodebus: the queue does not say whether it takes an earlier submission of this id; submit again later: prompt %q", id)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// push adds a prompt to the queue and tells everybody. The prompt does not begin before
// clients were sent the new number of prompts, unless another goroutine is sending numbers
// at this moment. If push returns an error, or does not return, the prompt does not run.
func (e *Engine) push(ctx context.Context, en *entry, secrets map[string]string) error {
	p := en.p
	told, expected := false, false
	defer func() { // deferred, because a publisher, the queue or the store may call runtime.Goexit
		defer close(en.told)
		if told || en.pushed && !e.takeBack(en) {
			return
		}
		if expected { // before the id is free again: the next prompt that has it is expected
			e.hub.Unexpect(p.ClientID, p.ID)
		}
		e.forget(en)
		if en.pushed {
			e.tellStatus()
		}
	}()
	e.sweep(ctx)
	e.watch(en) // before it asks for a record: an earlier prompt with the id may end meanwhile
	if err := e.unrecorded(ctx, en); err != nil {
		return err
	}
	e.hub.Expect(p.ClientID, p.ID)
	expected = true
	err := nodebus.Protect(func() error { return e.opts.Queue.Push(ctx, p, secrets) })
	if err != nil && !e.hasTaken(en) {
		expected = !errors.Is(err, ErrDuplicate) // another prompt has the id: it is expected
		return err
	}
	e.pushed(en)
	e.tellStatus()
	told = true
	e.setDeadline(en)
	return nil
}

// hasTaken reports whether the queue has given out a prompt here. Then it has the prompt, although
// Push may say that it does not know.
func (e *Engine) hasTaken(en *entry) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return en.attempts > 0
}

// unrecorded returns an error if the store has a record with the id of an entry, or does not
// tell. The entry is registered before: if a prompt with the same id ends meanwhile, its
// record is in the store by then. No prompt has had an id that Submit has chosen.
func (e *Engine) unrecorded(ctx context.Context, en *entry) error {
	if en.anew {
		return nil
	}
	_, err := e.record(ctx, en.p.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err == nil:
		return fmt.Errorf("%w: the prompt has ended, and the store has its record; choose another id, or delete the record: prompt %q", ErrDuplicate, en.p.ID)
	}
	return err
}

// takeBack deletes a prompt whose Submit does not return. It returns false if the prompt
// was taken already.
func (e *Engine) takeBack(en *entry) bool {
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	gone, err := e.takeOut(ctx, en.p, false)
	if err != nil {
		e.opts.Logger.Error("prompt not taken back: it runs", "prompt", en.p.ID, "error", err)
	}
	return gone && err == nil
}

// prepare calls Prepare of the executor, or of the registry if the executor is not a
// Preparer. If only a part of the prompt is invalid, rejected is set and err is nil.
func (e *Engine) prepare(ctx context.Context, p *nodebus.Prompt) (prepared any, rejected *nodebus.ValidationError, err error) {
	var preparer nodebus.Preparer = e.registry
	if x, ok := e.opts.Executor.(nodebus.Preparer); ok {
		preparer = x
	}
	err = nodebus.Protect(func() (err error) {
		prepared, err = preparer.Prepare(ctx, p)
		return err
	})
	if prepared != nil && errors.As(err, &rejected) {
		err, p.Rejected = nil, joinRejected(p.Rejected, rejected)
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
