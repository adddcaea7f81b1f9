package nats

import (
	"context"
	"errors"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// pass calls a receiver of this process, and keeps the signal if the receiver accepts it.
// It returns errGone if the receiver has ended.
func (s *signals) pass(ctx context.Context, r *receiver, l *letter) error {
	leave, err := turn(ctx, r)
	if err != nil {
		return fmt.Errorf("nats: waiting for the receiver of prompt %q: %w", l.Signal.PromptID, err)
	}
	defer leave()
	s.passKept(r) // the kept signals come first
	result, known := s.result(r, l)
	if !known {
		result = s.call(r, l.Signal)
		s.remember(r, l.ID, result)
	}
	if result != nil || s.isKept(r.key, l) {
		return result
	}
	data, err := toJSON(l)
	if err != nil {
		return err
	}
	return s.keep(ctx, r.key, l, data)
}

// result returns what the receiver has said to a signal before.
func (s *signals) result(r *receiver, l *letter) (err error, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.over {
		return errGone, true
	}
	if err, known = r.results[l.ID]; known {
		return err, true
	}
	b := s.boxes[r.key]
	return nil, b != nil && b.ids[l.ID] // it was passed on with the kept signals
}

// remember remembers the result of a call, because the same question may come again.
func (s *signals) remember(r *receiver, id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.results[id] = err
	r.order = append(r.order, id)
	if len(r.order) > refusedLen+s.limits.PromptLen {
		delete(r.results, r.order[0])
		r.order = r.order[1:]
	}
}

// passKept calls a receiver for the kept signals that it has not seen. The caller has the
// turn.
func (s *signals) passKept(r *receiver) {
	for x := s.nextKept(r); x != nil; x = s.nextKept(r) {
		_ = s.call(r, x) // whoever sent it does not wait any more
	}
}

// nextKept returns the next signal for passKept.
func (s *signals) nextKept(r *receiver) *flow.Signal {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[r.key]
	if b == nil || r.over {
		return nil
	}
	for r.passed < len(b.kept) {
		l := &b.kept[r.passed]
		r.passed++
		if _, called := r.results[l.ID]; !called {
			x := *l.Signal
			return &x
		}
	}
	return nil
}

var errGoexit = errors.New("nats: the receiver ended its goroutine with runtime.Goexit")

// call calls the function of a receiver, in a goroutine of its own, so that runtime.Goexit
// does not end the caller. It does not wait for the function when the signals are closed.
func (s *signals) call(r *receiver, x *flow.Signal) error {
	ended := make(chan error, 1)
	go func() {
		err := errGoexit // unless f returns
		defer func() { ended <- err }()
		err = nodebus.Protect(func() error { return r.f(*x) })
	}()
	select {
	case err := <-ended:
		return err
	case <-s.life.Done():
		return context.Cause(s.life)
	}
}
