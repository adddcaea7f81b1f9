package nats

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nodebus/nodebus/flow"
)

// settleTime is how long a Send that fails waits to learn whether its signal is kept.
const settleTime = 2 * time.Second

var (
	errGone   = errors.New("nats: the receiver has ended")
	errNobody = errors.New("nats: there is no receiver")
)

// unsure is an error of a step after which the signal may be kept, or may be kept later.
type unsure struct{ error }

func (u unsure) Unwrap() error { return u.error }

// question is a request to the process of a receiver.
type question struct {
	letter
	WaitMS  int64 `json:"wait_ms,omitempty"` // how many milliseconds the sender waits for the answer
	Replace bool  `json:"replace,omitempty"` // another process has a receiver: this one ends
}

// Send implements [flow.Signals]. It waits at most 15 seconds for a receiver that is cut
// off.
func (s *signals) Send(ctx context.Context, x flow.Signal) error {
	ctx, stop, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if err := checkID("prompt", x.PromptID); err != nil {
		return err
	}
	for _, text := range []struct{ of, is string }{{"node", x.Node}, {"name", x.Name}, {"reason", x.Reason}} {
		if !utf8.ValidString(text.is) {
			return fmt.Errorf("nats: the %s of a signal of prompt %q is not UTF-8, so other processes would receive another text: %q", text.of, x.PromptID, text.is)
		}
	}
	l, key := &letter{ID: rand.Text(), Signal: &x}, token(x.PromptID)
	data, err := toJSON(l)
	if err != nil {
		return fmt.Errorf("nats: the signal of prompt %q has no JSON: %w", x.PromptID, err)
	}
	leave, err := s.makeRoom(ctx, key, l)
	if err != nil {
		return err
	}
	defer leave()
	if err := s.fits(data, &x); err != nil {
		return err
	}
	for {
		err := s.offer(ctx, key, l, data)
		var u unsure
		switch {
		case errors.Is(err, errGone) && pause(ctx) == nil: // perhaps there is another one
		case errors.As(err, &u):
			return s.settle(ctx, key, l, u.error)
		case errors.Is(err, errGone):
			return context.Cause(ctx)
		default:
			return withoutForeign(err)
		}
	}
}

// makeRoom is reserve; but before it says that there is no room, it reads what other
// processes have dropped. Processes that send at the same time may exceed the limits a
// little, because each counts what it has read.
func (s *signals) makeRoom(ctx context.Context, key string, l *letter) (leave func(), err error) {
	if leave, err = s.reserve(key, l); err == nil || s.barrier(ctx) != nil {
		return leave, err
	}
	return s.reserve(key, l)
}

// offer passes a signal to its receiver, or keeps it if there is none.
func (s *signals) offer(ctx context.Context, key string, l *letter, data []byte) error {
	if r := s.receiverOf(key); r != nil {
		return s.pass(ctx, r, l)
	}
	err := s.ask(ctx, key, l)
	if !errors.Is(err, errNobody) {
		return err
	}
	if s.isKept(key, l) {
		return nil
	}
	return s.keep(ctx, key, l, data)
}

// keep stores a signal, and waits until this process has read it.
func (s *signals) keep(ctx context.Context, key string, l *letter, data []byte) error {
	seq, err := s.b.way.publish(ctx, &nats.Msg{Subject: s.kept(key), Data: data})
	if err == nil {
		s.knows(seq)
		err = s.wait(ctx, seq)
	}
	if err != nil {
		return unsure{fmt.Errorf("nats: keeping a signal of prompt %q: %w", l.Signal.PromptID, err)}
	}
	s.mu.Lock()
	b := s.boxes[key]
	void := false
	if b != nil {
		kept, known := b.ids[l.ID]
		void = known && !kept
	}
	s.mu.Unlock()
	if void {
		s.erase(ctx, key, l.ID, seq)
	}
	return nil
}

// ask asks the process of the receiver. A question that gets no answer is asked again: it,
// or its answer, may be lost.
func (s *signals) ask(ctx context.Context, key string, l *letter) error {
	asked := false
	for {
		var wait time.Duration
		if until, ok := ctx.Deadline(); ok {
			wait = time.Until(until)
		}
		data, err := json.Marshal(question{letter: *l, WaitMS: wait.Milliseconds()})
		if err != nil {
			return err
		}
		var m *nats.Msg
		if err = connected(s.b.nc); err == nil {
			once, stop := context.WithTimeout(ctx, tryTime)
			m, err = s.b.nc.RequestWithContext(once, s.name+".ask."+key, data)
			stop()
		}
		switch {
		case err == nil:
			return readAnswer(m.Data)
		case errors.Is(err, nats.ErrNoResponders):
			return errNobody
		}
		away := errors.Is(err, nats.ErrReconnectBufExceeded)
		asked = asked || !away
		if again(err) && pause(ctx) == nil {
			continue
		}
		if err = causes(context.Cause(ctx), err); away || !s.b.nc.IsConnected() {
			err = fmt.Errorf("%w: %w", ErrAway, err)
		}
		err = fmt.Errorf("nats: the process that runs prompt %q does not answer; send the signal again: %w", l.Signal.PromptID, err)
		if asked {
			return unsure{err}
		}
		return err
	}
}

// settle decides whether the signal of a Send that fails is kept: the receiver may have
// accepted it, and only the answer is lost. The stream says which came first, the signal or
// the message that makes it void. So a signal whose Send fails does not come later.
func (s *signals) settle(ctx context.Context, key string, l *letter, failed error) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer stop()
	err := s.annul(ctx, key, &letter{ID: l.ID, Void: true})
	switch {
	case err != nil:
		return fmt.Errorf("%w; and the signal may be kept or not, because NATS does not tell: %w", failed, err)
	case s.isKept(key, l):
		return nil
	}
	return failed
}
