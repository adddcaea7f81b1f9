package nats

import (
	"context"
	"fmt"
	"sync"

	"github.com/nodebus/nodebus"
)

// reached is how far a part has read its stream, and whether the part can still be used.
type reached struct {
	mu      sync.Mutex
	seq     uint64
	stored  uint64 // sequence of the newest message that this process has stored
	changed chan struct{}
	failed  error // the part is closed, or its stream is another one

	life context.Context // ends with the part; its cause is failed
	end  context.CancelCauseFunc
}

func newReached() *reached {
	r := &reached{changed: make(chan struct{})}
	r.life, r.end = context.WithCancelCause(context.Background())
	return r
}

// to says that a message was read.
func (r *reached) to(seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq = seq
	r.tell()
}

// knows says that this process has stored a message.
func (r *reached) knows(seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stored = max(r.stored, seq)
}

// hasStored returns the newest message that this process has stored.
func (r *reached) hasStored() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stored
}

// expired says that the stream has nothing newer than seq: what was stored has gone before
// this process could read it.
func (r *reached) expired(stored, seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stored == stored {
		r.stored = min(stored, seq)
	}
}

// newestKnown returns the newest message of the stream that this process knows.
func (r *reached) newestKnown() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(r.seq, r.stored)
}

// wake makes everybody who waits look again.
func (r *reached) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell()
}

// tell wakes who waits. r.mu is held.
func (r *reached) tell() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// fail ends the part with an error. Only the first error counts.
func (r *reached) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = err
		r.end(err)
		r.tell()
	}
}

// check returns the error with which the part has ended.
func (r *reached) check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// now returns how far the part has read, and a channel that is closed at the next change.
func (r *reached) now() (seq uint64, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seq, r.changed
}

// wait waits until a message was read.
func (r *reached) wait(ctx context.Context, seq uint64) error {
	for {
		has, changed := r.now()
		if has >= seq {
			return r.check()
		}
		if err := r.waitChange(ctx, changed); err != nil {
			return err
		}
	}
}

// waitChange waits until changed is closed.
func (r *reached) waitChange(ctx context.Context, changed <-chan struct{}) error {
	if err := r.check(); err != nil {
		return err
	}
	select {
	case <-changed:
		return r.check()
	case <-ctx.Done():
		return r.overdue(ctx)
	}
}

// overdue returns the error of a call whose context has ended.
func (r *reached) overdue(ctx context.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	return fmt.Errorf("nats: %w", unanswered(ctx))
}

// begin returns the context of a call: it ends with ctx, with the part, and after some
// time. It returns an error if the part has ended.
func (r *reached) begin(ctx context.Context) (context.Context, func(), error) {
	if err := r.check(); err != nil {
		return nil, nil, err
	}
	ctx, stop := bounded(ctx)
	ctx, cancel := context.WithCancelCause(ctx)
	detach := context.AfterFunc(r.life, func() { cancel(context.Cause(r.life)) })
	return ctx, func() { detach(); cancel(nodebus.ErrClosed); stop() }, nil
}
