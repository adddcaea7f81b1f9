package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
)

// pass keeps a signal, calls a receiver of this process for it, and returns the error of
// the receiver. It returns errGone if the receiver has ended.
//
// The signal is stored before the receiver is called: clients must not see the effect of
// an answer that is lost, or that Send has given up. If the receiver refuses the signal, it
// is removed again.
func (s *signals) pass(ctx context.Context, r *receiver, l *letter) error {
	leave, err := turn(ctx, r)
	if err != nil {
		return fmt.Errorf("nats: waiting for the receiver of prompt %q: %w", l.Signal.PromptID, err)
	}
	defer leave()
	if err, known := s.result(r, l); known {
		return err
	}
	if s.isKept(r.key, l) { // a further interrupt
		s.passKept(r)
		s.call(r, l)
	} else {
		data, err := toJSON(l)
		if err != nil {
			return err
		}
		if err := s.keep(ctx, r.key, l, data); err != nil {
			return err
		}
		s.passKept(r)
	}
	err, known := s.result(r, l)
	switch {
	case !known, errors.Is(err, errGone), s.life.Err() != nil:
		return nil // it is kept, for the next receiver; or it is dropped
	case err != nil:
		s.refuse(ctx, r.key, l)
	}
	return err
}

// result returns what the receiver has said to a signal.
func (s *signals) result(r *receiver, l *letter) (err error, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err, known = r.results[l.ID]; known {
		return err, true
	}
	b := s.boxes[r.key]
	switch kept, known := false, false; {
	case r.over:
		return errGone, true
	case b != nil:
		if kept, known = b.ids[l.ID]; known && !kept {
			return errVoid, true
		}
		return nil, kept // it was passed on long ago
	}
	return nil, false
}

var errVoid = errors.New("nats: the sender has given up")

// refuse removes a signal that its receiver has refused. If that fails, later receivers
// get the signal, and refuse it, too.
func (s *signals) refuse(ctx context.Context, key string, l *letter) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer stop()
	_, err := s.order(ctx, key, &letter{ID: l.ID, Refused: true})
	if err != nil && s.check() == nil {
		s.b.logger.Warn("nats: a refused signal stays until its prompt ends", "stream", s.name, "prompt", l.Signal.PromptID, "error", err)
	}
	s.mu.Lock()
	seq := uint64(0)
	if b := s.boxes[key]; b != nil {
		seq = b.refused[l.ID]
		delete(b.refused, l.ID)
	}
	s.mu.Unlock()
	if seq > 0 {
		s.erase(ctx, seq)
	}
}

// order stores a message that is no signal, and waits until this process has read it. The
// message expires.
func (s *signals) order(ctx context.Context, key string, l *letter) (uint64, error) {
	data, err := json.Marshal(l)
	if err != nil {
		return 0, err
	}
	m := &nats.Msg{Subject: s.kept(key), Data: data, Header: nats.Header{jetstream.MsgTTLHeader: {goneTime.String()}}}
	seq, err := publish(ctx, s.b.js, m)
	if err != nil {
		return 0, err
	}
	s.knows(seq)
	return seq, s.wait(ctx, seq)
}

// erase deletes a message that counts no more, to save room. If it stays, Drop deletes it.
func (s *signals) erase(ctx context.Context, seq uint64) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), tryTime)
	defer stop()
	_ = s.stream.DeleteMsg(ctx, seq)
}

// passKept calls a receiver for the kept signals that it has not seen. The caller has the
// turn.
func (s *signals) passKept(r *receiver) {
	for l := s.nextKept(r); l != nil; l = s.nextKept(r) {
		s.call(r, l)
	}
}

// nextKept returns the next signal for passKept.
func (s *signals) nextKept(r *receiver) *letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[r.key]
	if b == nil || r.over || r.passed >= len(b.kept) {
		return nil
	}
	l := b.kept[r.passed]
	r.passed++
	return &l.letter
}

var errGoexit = errors.New("nats: the receiver ended its goroutine with runtime.Goexit")

// call calls the function of a receiver and remembers its result. It calls it in a
// goroutine of its own, so that runtime.Goexit does not end the caller. It does not wait
// for the function when the signals are closed.
func (s *signals) call(r *receiver, l *letter) {
	ended := make(chan error, 1)
	x := *l.Signal
	go func() {
		err := errGoexit // unless f returns
		defer func() { ended <- err }()
		err = nodebus.Protect(func() error { return r.f(x) })
	}()
	var err error
	select {
	case err = <-ended:
	case <-s.life.Done():
		err = context.Cause(s.life)
	}
	if err != nil {
		err = foreign{err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.results[l.ID] = err
	if r.order = append(r.order, l.ID); len(r.order) > rememberLen {
		delete(r.results, r.order[0])
		r.order = r.order[1:]
	}
}
