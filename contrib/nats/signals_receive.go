package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// maxVoids is how many ids a process remembers that are not kept, of all prompts together.
var maxVoids = 10_000

const (
	maxOrders   = 100                    // messages of a process and a prompt which say that signals are not kept
	rememberLen = 1000                   // results that a receiver remembers, and ids of a box that are not kept
	replaceTime = 500 * time.Millisecond // how long Receive waits for an older receiver that does not answer
)

// receiver is a call of Receive.
type receiver struct {
	s    *signals
	key  string
	f    func(flow.Signal) error
	turn chan struct{} // capacity 1: who puts a value in may call f
	wake chan struct{} // capacity 1: there is work for the worker

	// signals.mu guards these.
	sub     *nats.Subscription // nil until there is one
	passed  int                // number of kept signals for which f was called
	results map[string]error   // of the newest calls of f, because the same question may come again
	order   []string           // of results, the oldest first
	asks    []ask
	over    bool // stopped, or replaced
	drained bool // no further question comes
}

// ask is a question of another process.
type ask struct {
	m     *nats.Msg
	q     question
	until time.Time // the other process does not wait longer
}

// nudge wakes the worker.
func (r *receiver) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Receive implements [flow.Signals]. It waits at most 15 seconds for NATS.
func (s *signals) Receive(promptID string, f func(flow.Signal) error) (stop func(), err error) {
	ctx, cancel, err := s.begin(context.Background())
	if err != nil {
		return nil, err
	}
	defer cancel()
	r := s.newReceiver(promptID, f)
	r.turn <- struct{}{} // new signals wait until the kept signals are passed on
	defer func() { <-r.turn }()
	if err := s.subscribe(ctx, r); err != nil {
		return nil, fmt.Errorf("nats: receiving signals of prompt %q: %w", promptID, err)
	}
	err = s.barrier(ctx)
	if err == nil {
		err = s.forgetGoneOf(ctx, r.key)
	}
	if err != nil {
		s.endReceiver(r)
		return nil, fmt.Errorf("nats: receiving signals of prompt %q: %w", promptID, err)
	}
	s.passKept(r)
	return func() { s.endReceiver(r) }, nil
}

func (s *signals) newReceiver(promptID string, f func(flow.Signal) error) *receiver {
	return &receiver{
		s: s, key: token(promptID), f: f, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), results: map[string]error{},
	}
}

// subscribe ends the earlier receiver of the prompt, in whatever process it is, and then
// makes r the receiver. Between the two there is none: what is sent then is kept. r is in its
// box before it can hear that another process replaces it.
func (s *signals) subscribe(ctx context.Context, r *receiver) error {
	if err := s.replace(ctx, r.key); err != nil {
		return err
	}
	if err := s.join(r); err != nil {
		return err
	}
	return s.listen(r)
}

// join makes r the receiver of this process.
func (s *signals) join(r *receiver) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nodebus.ErrClosed
	}
	b := s.box(r.key)
	old := b.receiver
	b.receiver = r
	s.workers.Go(r.work)
	s.mu.Unlock()
	if old != nil {
		s.endReceiver(old)
	}
	return nil
}

// listen lets r hear other processes.
func (s *signals) listen(r *receiver) error {
	sub, err := s.b.nc.Subscribe(s.name+".ask."+r.key, r.hear)
	if err != nil {
		s.endReceiver(r)
		r.drain(nil)
		return err
	}
	sub.SetClosedHandler(func(string) { r.isDrained() })
	s.mu.Lock()
	r.sub = sub
	over := r.over
	s.mu.Unlock()
	if over { // replaced, or closed, before there was a subscription to end
		r.drain(sub)
	}
	return nil
}

// drain ends the subscription. Questions that have come are still answered.
func (r *receiver) drain(sub *nats.Subscription) {
	if sub == nil || sub.Drain() != nil { // the connection is closed
		r.isDrained()
	}
}

// unsubscribe ends the subscription at once.
func (r *receiver) unsubscribe() {
	r.s.mu.Lock()
	sub := r.sub
	r.s.mu.Unlock()
	if sub != nil {
		_ = sub.Unsubscribe()
	}
}

// isDrained says that no further question comes.
func (r *receiver) isDrained() {
	r.s.mu.Lock()
	r.drained = true
	r.s.mu.Unlock()
	r.nudge()
}

// replace tells an earlier receiver that it is replaced. If it is cut off, replace does
// not wait for it: its process ends it when the connection is back, or has died.
func (s *signals) replace(ctx context.Context, key string) error {
	data, err := json.Marshal(question{Replace: true})
	if err != nil {
		return err
	}
	for {
		once, stop := context.WithTimeout(ctx, replaceTime)
		_, err = s.b.nc.RequestWithContext(once, s.name+".ask."+key, data)
		stop()
		switch {
		case err == nil, errors.Is(err, nats.ErrNoResponders):
			return nil
		case s.b.nc.IsConnected() && errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			return nil
		case s.life.Err() != nil: // the request says only that it was cancelled
			return context.Cause(s.life)
		case !again(err):
			return err
		case pause(ctx) != nil:
			return causes(unanswered(ctx), err)
		}
	}
}

// endReceiver ends a receiver. Questions that have come are still answered.
func (s *signals) endReceiver(r *receiver) {
	s.mu.Lock()
	ended, sub := r.over, r.sub
	r.over = true
	if b := s.boxes[r.key]; b != nil && b.receiver == r {
		b.receiver = nil
		s.tidy(r.key, b)
	}
	s.mu.Unlock()
	if !ended && sub != nil { // otherwise subscribe drains it
		r.drain(sub)
	}
	r.nudge()
}

// hear takes a question of another process. NATS calls it, once at a time.
func (r *receiver) hear(m *nats.Msg) {
	a := ask{m: m}
	if json.Unmarshal(m.Data, &a.q) != nil || !a.q.Replace && (a.q.Signal == nil || a.q.ID == "") {
		r.s.skip(m.Subject, 0)
		return
	}
	if a.q.Replace {
		r.s.endReceiver(r)
		_ = m.Respond([]byte("{}"))
		return
	}
	a.until = time.Now().Add(time.Duration(a.q.WaitMS) * time.Millisecond)
	r.s.mu.Lock()
	r.wait(a)
	r.s.mu.Unlock()
	r.nudge()
}

// wait lets a question wait for the worker. The sender asks again each second: the newest
// question of a signal replaces those before. What finds no room is asked again. signals.mu is
// held.
func (r *receiver) wait(a ask) {
	at := slices.IndexFunc(r.asks, func(old ask) bool { return old.q.ID == a.q.ID })
	switch {
	case at >= 0:
		r.asks[at] = a
	case len(r.asks) < r.s.limits.PromptLen:
		r.asks = append(r.asks, a)
	}
}

// work answers questions, and passes on what others keep. It ends after the receiver.
func (r *receiver) work() {
	for {
		select {
		case <-r.wake:
		case <-r.s.life.Done():
			return
		}
		for a := r.nextAsk(); a != nil; a = r.nextAsk() {
			r.answer(a)
		}
		if leave, err := turn(r.s.life, r); err == nil {
			r.s.passKept(r)
			leave()
		}
		r.s.mu.Lock()
		over := r.over && r.drained && len(r.asks) == 0
		r.s.mu.Unlock()
		if over {
			return
		}
	}
}

func (r *receiver) nextAsk() *ask {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if len(r.asks) == 0 {
		return nil
	}
	a := r.asks[0]
	r.asks = r.asks[1:]
	return &a
}

// answer answers a question, unless nobody waits for the answer any more.
func (r *receiver) answer(a *ask) {
	ctx, stop, err := r.s.begin(r.s.life)
	if err != nil {
		return
	}
	defer stop()
	ctx, cancel := context.WithDeadline(ctx, a.until)
	defer cancel()
	if ctx.Err() != nil {
		return
	}
	leave, err := r.s.makeRoom(ctx, r.key, &a.q.letter)
	if err == nil {
		err = r.s.pass(ctx, r, &a.q.letter)
		leave()
	}
	data, err := json.Marshal(answerOf(err))
	if err == nil {
		_ = a.m.Respond(data) // without an answer, the question is asked again
	}
}
