package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// host offers the services of an engine to the executor of one attempt of a prompt. It
// receives the signals of the prompt.
type host struct {
	e    *Engine
	j    *job
	err  error // why signals cannot be received; does not change
	stop func()

	mu    sync.Mutex // not held while foreign code runs; it guards what follows
	lines map[lineKey]*line
}

// lineKey identifies the questions of one node that have the same name.
type lineKey struct{ node, name string }

// line holds the questions of one key, and the answers that came before their questions.
// Only the first question is open: clients show at most one question of a key.
type line struct {
	questions []*asked
	early     []Signal
}

// asked is a call of Await. The mutex of the host guards all fields but the channels and
// check.
type asked struct {
	check   func(json.RawMessage) error // nil: every answer fits
	first   chan struct{}               // closed when the question is the first of its line
	settled chan struct{}               // closed when the question is answered or given up
	ready   bool                        // takes answers
	over    bool                        // settled is closed
	answer  *Signal                     // nil if the question was given up
}

// hostOf returns the host of an attempt. Before hostOf returns, the signals of earlier
// attempts have arrived; an interrupt among them cancels the job.
func (e *Engine) hostOf(j *job) *host {
	h := &host{e: e, j: j, lines: map[lineKey]*line{}}
	h.err = nodebus.Protect(func() (err error) {
		h.stop, err = e.opts.Signals.Receive(j.p.ID, h.receive)
		return err
	})
	if h.err != nil {
		h.err = fmt.Errorf("nodebus: receiving the signals of prompt %s: %w", j.p.ID, h.err)
		e.opts.Logger.Error("signals not received: answers and interrupts of other processes are lost", "prompt", j.p.ID, "error", h.err)
	}
	return h
}

// close ends the host: signals that come later are kept for the next attempt.
func (h *host) close() {
	if h.stop == nil {
		return
	}
	if err := nodebus.Protect(func() error { h.stop(); return nil }); err != nil {
		h.e.opts.Logger.Error("signals not stopped", "prompt", h.j.p.ID, "error", err)
	}
}

// Rest gives back the prompt's place; see [nodebus.Host].
func (h *host) Rest() { h.e.rest(h.j) }

// Resume waits for a place for the prompt; see [nodebus.Host].
func (h *host) Resume(ctx context.Context) error { return h.e.resume(ctx, h.j) }

// Await publishes a question and waits for its answer; see [nodebus.Host].
func (h *host) Await(ctx context.Context, q nodebus.Waiting, check func(json.RawMessage) error) (json.RawMessage, error) {
	if h.err != nil {
		return nil, h.err
	}
	if q.PromptID == "" {
		q.PromptID = h.j.p.ID
	}
	var expired <-chan time.Time
	if q.Deadline != 0 {
		timer := time.NewTimer(time.Until(time.UnixMilli(q.Deadline)))
		defer timer.Stop()
		expired = timer.C
	}
	key := lineKey{q.UniqueID, q.Name}
	a := h.enter(key, check)
	defer h.leave(key, a)
	select {
	case <-a.first:
	case <-expired:
		return nil, nodebus.ErrExpired
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for _, ctx := range []context.Context{h.j.ctx, ctx} { // the end may be why the question is the first
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	h.takeEarly(key, a)
	if err := h.j.gate.Publish(nodebus.Event{Payload: q}); err != nil {
		return nil, fmt.Errorf("nodebus: asking %q: %w", q.Name, err)
	}
	var err error
	select {
	case <-a.settled:
	case <-expired:
		err = nodebus.ErrExpired
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return h.settle(q, a, err)
}

// settle ends an open question and publishes how it has ended. err is the reason to give
// the question up, unless it is answered.
func (h *host) settle(q nodebus.Waiting, a *asked, err error) (json.RawMessage, error) {
	result, s := "expired", h.giveUp(a)
	switch {
	case s == nil && h.j.ctx.Err() != nil: // the end of the prompt settles the question
		return nil, err
	case s == nil:
	case s.Refused:
		result, err = "refused", &nodebus.RefusedError{Reason: s.Reason}
	default:
		result, err = "answered", nil
	}
	told := h.j.gate.Publish(nodebus.Event{Payload: nodebus.Answered{Place: q.Place, PromptID: q.PromptID, Name: q.Name, Result: result}})
	if told != nil && !errors.Is(told, nodebus.ErrClosed) {
		h.e.opts.Logger.Warn("event not sent", "prompt", q.PromptID, "type", nodebus.Answered{}.EventType(), "error", told)
	}
	if err != nil {
		return nil, err
	}
	return s.Answer, nil
}

// giveUp settles a question without an answer. If it has an answer already, giveUp
// returns the answer.
func (h *host) giveUp(a *asked) *Signal {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !a.over {
		a.over = true
		close(a.settled)
	}
	return a.answer
}

// enter adds a question to its line.
func (h *host) enter(key lineKey, check func(json.RawMessage) error) *asked {
	a := &asked{check: check, first: make(chan struct{}), settled: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.lines[key]
	if l == nil {
		l = &line{}
		h.lines[key] = l
	}
	if l.questions = append(l.questions, a); len(l.questions) == 1 {
		close(a.first)
	}
	return a
}

// leave removes a question from its line, and the next question becomes the first.
func (h *host) leave(key lineKey, a *asked) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !a.over {
		a.over = true
		close(a.settled)
	}
	l := h.lines[key]
	wasFirst := l.questions[0] == a
	for i, other := range l.questions {
		if other == a {
			l.questions = append(l.questions[:i:i], l.questions[i+1:]...)
			break
		}
	}
	switch {
	case len(l.questions) > 0 && wasFirst:
		close(l.questions[0].first)
	case len(l.questions) == 0 && len(l.early) == 0:
		delete(h.lines, key)
	}
}

// takeEarly settles the first question of a line with the first fitting answer that came
// before it. Nobody waits for the errors of such answers, so the Logger receives them. If
// there is no answer, the question takes answers from now on.
func (h *host) takeEarly(key lineKey, a *asked) {
	for {
		s := h.nextEarly(key, a)
		if s == nil || h.accept(a, s) {
			return
		}
	}
}

func (h *host) nextEarly(key lineKey, a *asked) *Signal {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.lines[key]
	if len(l.early) == 0 {
		a.ready = true
		return nil
	}
	s := l.early[0]
	l.early = l.early[1:]
	return &s
}

// accept settles a question with s, if s fits.
func (h *host) accept(a *asked, s *Signal) bool {
	if err := a.fits(s); err != nil {
		h.e.opts.Logger.Warn("answer ignored: it came before its question, and does not fit", "prompt", s.PromptID, "node", s.Node, "name", s.Name, "error", err)
		return false
	}
	return h.answer(a, s)
}

// answer settles a question with s. It returns false if the question is settled already.
func (h *host) answer(a *asked, s *Signal) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a.over {
		return false
	}
	a.over, a.answer = true, s
	close(a.settled)
	return true
}

// fits returns an error if s does not answer the question.
func (a *asked) fits(s *Signal) error {
	if s.Refused || a.check == nil {
		return nil
	}
	if err := nodebus.Protect(func() error { return a.check(s.Answer) }); err != nil {
		return &answerError{err}
	}
	return nil
}

// receive receives a signal. Its error goes to whoever has sent the signal.
func (h *host) receive(s Signal) error {
	if s.Interrupt {
		h.e.interruptKnown(h.j.p.ID)
		return nil
	}
	for {
		a := h.asks(&s)
		if a == nil {
			return nil
		}
		if err := a.fits(&s); err != nil {
			return err
		}
		if h.answer(a, &s) {
			return nil
		}
	}
}

// asks returns the question that s answers. If there is none, it keeps s for a later
// question.
func (h *host) asks(s *Signal) *asked {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := lineKey{s.Node, s.Name}
	l := h.lines[key]
	if l == nil {
		l = &line{}
		h.lines[key] = l
	}
	if len(l.questions) > 0 {
		if a := l.questions[0]; a.ready && !a.over {
			return a
		}
	}
	l.early = append(l.early, *s)
	return nil
}

// answerError means that an answer does not fit its question.
type answerError struct{ err error }

func (e *answerError) Error() string        { return errorText(e.err) }
func (e *answerError) Unwrap() error        { return e.err }
func (e *answerError) Is(target error) bool { return target == ErrAnswer }

// signal sends an interrupt to the engine that runs a prompt of the queue, or that takes it
// next.
func (e *Engine) signal(ctx context.Context, id string) error {
	err := nodebus.Protect(func() error {
		return e.opts.Signals.Send(ctx, Signal{PromptID: id, Interrupt: true})
	})
	if _, queued, failed := e.find(ctx, id); !queued && failed == nil {
		e.dropSignals(id) // it has ended meanwhile: nobody else drops the signal
	}
	if err != nil {
		err = fmt.Errorf("nodebus: sending the interrupt of prompt %s: %w", id, err)
	}
	return err
}

// dropSignals forgets the signals of a prompt that has ended.
func (e *Engine) dropSignals(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	if err := nodebus.Protect(func() error { return e.opts.Signals.Drop(ctx, id) }); err != nil {
		e.opts.Logger.Warn("signals not dropped", "prompt", id, "error", err)
	}
}
