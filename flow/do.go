package flow

import (
	"context"
	"errors"
	"time"

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
// Do interrupts the prompt and returns an error. A prompt that has begun ends by itself: if
// it still needs another attempt after Drain has returned, Do runs the engine again when
// the attempt is due. Do is safe for concurrent use.
//
// A node may call Do, but not with the ClientID of its own prompt, or with none if its
// prompt has none: [EngineOptions].PerClient prompts of one client run at a time, so the
// node would wait for a prompt that waits for the node. Likewise Parallel must have a place
// for the second prompt.
func Do(ctx context.Context, e *Engine, p *nodebus.Prompt) (nodebus.Outcome, error) {
	s, err := e.Submit(ctx, p, nil)
	if err != nil {
		return nodebus.Outcome{}, err
	}
	for again := true; again; {
		again, err = e.attend(ctx, s)
	}
	if err != nil {
		return nodebus.Outcome{}, err
	}
	outcome, err := s.en.record.outcomeOr(s.en.err)
	var failed *takeError
	if outcome.State == nodebus.Interrupted && errors.As(s.en.cause, &failed) {
		return outcome, failed // the queue has ended the run
	}
	return outcome, err
}

// attend runs the engine until a prompt of Do has ended. If an error ends the waiting, the
// prompt is interrupted. again is true if the prompt has not ended and the engine has to run
// once more.
func (e *Engine) attend(ctx context.Context, s *Submission) (again bool, err error) {
	run := e.share()
	defer e.unshare(ctx, run)
	select {
	case <-s.en.done:
	case <-run.ended:
		if err = run.err; err == nil {
			if e.awaitTurn(ctx, s.en) {
				return true, nil
			}
			err = errDrained
		}
	case <-ctx.Done():
	}
	if s.en.isDone() { // perhaps at the same time as something else
		return false, nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	_, _ = e.Interrupt(context.WithoutCancel(ctx), s.ID) // err is the more useful error
	return false, err
}

// awaitTurn waits until a prompt needs the engine to run again, after a Drain. It returns
// false if the prompt has ended, if it has never begun, or if ctx ends.
func (e *Engine) awaitTurn(ctx context.Context, en *entry) bool {
	for {
		next, wait, begun := e.turn(en)
		if !begun {
			return false
		}
		if next == nil && wait <= 0 {
			return true
		}
		timer := time.NewTimer(wait)
		if next != nil {
			timer.Stop()
		}
		select {
		case <-next:
		case <-timer.C:
		case <-en.done:
		case <-ctx.Done():
		}
		timer.Stop()
		if en.isDone() || ctx.Err() != nil {
			return false
		}
	}
}

// turn returns what a prompt of Do waits for after a Drain, besides its end: the end of its
// attempt, the end of Drain, or the time of its next attempt. If it is neither, the engine
// has to run.
func (e *Engine) turn(en *entry) (next <-chan struct{}, wait time.Duration, begun bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case en.attempts == 0:
		return nil, 0, false
	case en.ends:
		return en.reopens(), 0, true
	case en.run != nil:
		return en.run.over, 0, true
	case e.drains > 0:
		return e.calm, 0, true
	case en.again != nil:
		return nil, time.Until(en.dueAgain), true
	}
	return nil, 0, true
}

// shared is the Run that calls of Do share. Engine.mu guards users and drained.
type shared struct {
	users   int
	drained bool               // begins nothing more, also if it waits for another Run
	stop    context.CancelFunc // takes no further prompt
	cancel  context.CancelFunc // interrupts the prompts that run
	ended   chan struct{}
	err     error // set before ended is closed
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
			s.err = e.runUnlessRunning(taking, ctx, s)
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
func (e *Engine) runUnlessRunning(taking, ctx context.Context, s *shared) error {
	for {
		err := e.runUntil(taking, ctx, s)
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
