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
	err := s.annul(ctx, key, &letter{ID: l.ID, Refused: true})
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
		s.erase(ctx, key, l.ID, seq)
	}
}

// annul stores that a signal is void or refused. This concerns who asks again, or stores the
// signal late: that is soon. So of many such messages of a prompt, the oldest are deleted:
// whoever sends answers that are refused does not fill the stream.
func (s *signals) annul(ctx context.Context, key string, l *letter) error {
	seq, err := s.order(ctx, key, l)
	if seq == 0 {
		return err
	}
	var oldest keptLetter
	s.mu.Lock()
	if b := s.boxes[key]; b != nil {
		if b.orders = append(b.orders, keptLetter{*l, seq}); len(b.orders) > maxOrders {
			oldest, b.orders = b.orders[0], b.orders[1:]
		}
	}
	s.mu.Unlock()
	if oldest.seq > 0 {
		s.erase(ctx, key, oldest.ID, oldest.seq)
	}
	return err
}

// order stores a message that is no signal, and waits until this process has read it. The
// message expires, unless it drops all signals. The sequence is 0 if it is not stored.
func (s *signals) order(ctx context.Context, key string, l *letter) (uint64, error) {
	data, err := json.Marshal(l)
	if err != nil {
		return 0, err
	}
	m := nats.NewMsg(s.kept(key))
	if m.Data = data; !l.Drop || l.UpTo > 0 {
		m.Header.Set(jetstream.MsgTTLHeader, goneTime.String())
	}
	seq, err := s.b.way.publish(ctx, m)
	if err != nil {
		return 0, err
	}
	s.knows(seq)
	return seq, s.wait(ctx, seq)
}

// erase deletes a message that counts no more, to save room. If it stays, Drop deletes it. It
// looks at the message before: if the stream was made again, another message has the sequence. A
// purge would delete the earlier signals of the prompt, too.
func (s *signals) erase(ctx context.Context, key, id string, seq uint64) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), tryTime)
	defer stop()
	var l letter
	m, err := s.from.get(ctx, s.kept(key), seq, 0)
	if err == nil && m.Subject == s.kept(key) && json.Unmarshal(m.Data, &l) == nil && l.ID == id {
		_ = s.stream.DeleteMsg(ctx, seq)
	}
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
