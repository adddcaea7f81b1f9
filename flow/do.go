package flow

import (
	"context"
	"errors"

	"github.com/nodebus/nodebus"
)

var errDrained = errors.New("nodebus: the engine drains and begins no further prompt; call Do again later")

// Do submits a prompt, waits until it has ended, and returns the outcome. The error is nil
// for a prompt that has failed or was interrupted: look at [nodebus.Outcome.Err]. If ctx
// ends first, Do interrupts the prompt and returns the cause of ctx. Do also runs
// the engine while it waits, unless [Engine.Run] is active already. A program that
// only runs graphs does not need to call Run. Several calls of Do share one Run. The last
// of them also waits for prompts of [Engine.Submit] that this Run has begun, and
// interrupts them if its ctx ends. If [Engine.Drain] is called before the prompt begins,
// Do interrupts the prompt and returns an error. Do is safe for concurrent use.
func Do(ctx context.Context, e *Engine, p *nodebus.Prompt) (nodebus.Outcome, error) {
	s, err := e.Submit(ctx, p, nil)
	if err != nil {
		return nodebus.Outcome{}, err
	}
	run := e.share()
	defer e.unshare(ctx, run)
	select {
	case <-s.en.done:
	case <-run.ended:
		if err = run.err; err == nil {
			err = errDrained
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	select {
	case <-s.en.done: // perhaps at the same time as something else
	default:
		_, _ = e.Interrupt(context.WithoutCancel(ctx), s.ID) // err is the more useful error
		return nodebus.Outcome{}, err
	}
	outcome, err := s.en.record.outcomeOr(s.en.err)
	var failed *takeError
	if outcome.State == nodebus.Interrupted && errors.As(s.en.cause, &failed) {
		return outcome, failed // the queue has ended the run
	}
	return outcome, err
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

// runUnlessRunning is runUntil, after the Run that is active, if one is.
func (e *Engine) runUnlessRunning(taking, ctx context.Context) error {
	for {
		err := e.runUntil(taking, ctx)
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
