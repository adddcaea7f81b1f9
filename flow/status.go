package flow

import (
	"context"
	"errors"
	"iter"

	"github.com/nodebus/nodebus"
)

// status is what an engine needs to tell the number of prompts. Engine.mu guards it.
type status struct {
	last int // the number that the queue gave last
	told int // the number of the last status event of this engine

	// Prompts that have ended are not counted, although the queue has them until their
	// leases are done.
	owed    int    // prompts that have ended and whose leases are not done
	closing int    // leases that are being done: the queue may still count them, or not
	version uint64 // incremented at each change of the two

	due  int  // number of status events still to send
	busy bool // a goroutine is sending status events
}

// Remaining returns the number of prompts that wait or run, whoever has submitted them and
// wherever they run. If the queue fails, it is the last number that the queue gave, and
// the Logger receives the error.
func (e *Engine) Remaining() int {
	n := 0
	for range 3 {
		e.mu.Lock()
		before := e.status
		e.mu.Unlock()
		waiting, leased, err := e.queueLen()
		e.mu.Lock()
		now := &e.status
		if err != nil {
			n = now.last
			e.mu.Unlock()
			e.opts.Logger.Error("the queue does not tell how many prompts it has", "error", err)
			return n
		}
		n = max(waiting+leased-before.owed, 0)
		now.last = n
		same := now.version == before.version
		e.mu.Unlock()
		if same {
			break
		}
	}
	return n
}

func (e *Engine) queueLen() (waiting, leased int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	err = apart(func() (err error) {
		waiting, leased, err = e.opts.Queue.Len(ctx)
		return err
	})
	return waiting, leased, err
}

// owes changes the number of prompts that have ended and that the queue still has, and the
// number of leases that are being done.
func (e *Engine) owes(prompts, closing int) {
	e.mu.Lock()
	s := &e.status
	s.owed += prompts
	s.closing += closing
	s.version++
	done := closing < 0 && s.closing == 0
	e.mu.Unlock()
	if done {
		e.correctStatus()
	}
}

// correctStatus tells the number of prompts if clients were told another number. While a
// prompt has ended and the queue still has it, other engines count it, and this engine
// may count one too few while the lease is being done.
func (e *Engine) correctStatus() {
	n := e.Remaining()
	heard, ok := e.hub.LastStatus()
	e.mu.Lock()
	wrong := n != e.status.told || ok && n != heard.QueueRemaining
	e.mu.Unlock()
	if wrong {
		e.tellStatus()
	}
}

// Queued yields the prompts that run and the prompts that wait, whoever has submitted them
// and wherever they run: first the prompts that run, in the order in which they were
// taken, then the waiting prompts, in their order. A prompt of this engine that waits for
// its next attempt (see [nodebus.Policy]) is the first of the waiting prompts. If there are
// ids, Queued yields only the prompts with these ids. A prompt that has ended is not
// yielded. An error of the queue ends the list.
func (e *Engine) Queued(ctx context.Context, promptIDs ...string) iter.Seq2[Queued, error] {
	return func(yield func(Queued, error) bool) {
		stopped := false
		var again []Queued // they come behind the prompts that run
		give := func(q Queued) bool {
			stopped = !yield(q, nil)
			return !stopped
		}
		err := nodebus.Protect(func() error {
			for q, err := range e.opts.Queue.List(ctx, promptIDs...) {
				if err != nil {
					return err
				}
				ended, rests, pauses := e.knows(q)
				ended = ended || e.toldElsewhere(ctx, q)
				q.Rests, q.Pauses = rests && q.Leased, pauses
				switch {
				case ended:
					continue
				case pauses && q.Leased:
					q.Leased = false
					again = append(again, q)
					continue
				}
				if !q.Leased {
					for ; len(again) > 0 && give(again[0]); again = again[1:] {
					}
				}
				if stopped || !give(q) {
					return nil
				}
			}
			for ; len(again) > 0 && give(again[0]); again = again[1:] {
			}
			return nil
		})
		if err != nil && !stopped {
			yield(Queued{}, err)
		}
	}
}

// knows reports whether a prompt of the queue has ended here, whether its attempt runs here
// without a place, and whether it waits for its next attempt: the engine holds the lease of
// the last attempt until then.
func (e *Engine) knows(q Queued) (ended, rests, pauses bool) {
	p := q.Prompt
	e.mu.Lock()
	defer e.mu.Unlock()
	if en := e.ending[p.ID]; en != nil && en.isOf(p) {
		return true, false, false
	}
	en := e.entries[p.ID]
	if en == nil || !en.isOf(p) {
		return false, false, false
	}
	// If the lease has lapsed, a later attempt may run elsewhere.
	rests = en.run != nil && en.run.attempt == q.Attempt && !en.run.silent && !en.run.placed
	return false, rests, en.again != nil && q.Attempt <= en.attempts
}

// toldElsewhere reports whether another engine has told the end of a prompt that runs, and
// has not taken it out of the queue yet. If the store has no record, an earlier prompt with the id
// has ended: Submit takes an id again when its record is deleted.
func (e *Engine) toldElsewhere(ctx context.Context, q Queued) bool {
	e.mu.Lock()
	en := e.entries[q.Prompt.ID]
	here := en != nil && en.isOf(q.Prompt) && en.run != nil
	e.mu.Unlock()
	if here || !q.Leased {
		return false
	}
	if _, closed, err := e.hub.Ended(q.Prompt.ID); err != nil || !closed {
		return false
	}
	_, err := e.record(ctx, q.Prompt.ID)
	return !errors.Is(err, ErrNotFound)
}

// find looks for a prompt in the queue.
func (e *Engine) find(ctx context.Context, id string) (found Queued, ok bool, err error) {
	err = apart(func() error {
		for q, err := range e.Queued(ctx, id) {
			if err != nil {
				return err
			}
			found, ok = q, true
		}
		return nil
	})
	if err != nil {
		return Queued{}, false, err
	}
	return found, ok, nil
}

// tellStatus sends the number of prompts to every client. Each call causes an event, and
// one more if the number has changed meanwhile: another engine may have told the new number
// before this engine told the old one. Only one goroutine sends at a time, so the numbers
// go out in order: if another goroutine is sending already, it also sends the event of this
// call.
//
// The last event of all engines is true. Who sends it looks at the queue again afterwards.
// If the number changes later, then by a step after which an engine tells the number, or
// by the end of a lease, after which the engine looks at the newest event of all engines.
func (e *Engine) tellStatus() {
	paused, due := e.nextStatus(1)
	if !due {
		return
	}
	done := false
	defer func() {
		if !done { // foreign code has ended the goroutine: the next call goes on
			e.mu.Lock()
			defer e.mu.Unlock()
			e.status.busy = false
		}
	}()
	for ; due; paused, due = e.nextStatus(0) {
		n := e.Remaining()
		e.mu.Lock()
		e.status.told = n
		e.mu.Unlock()
		_ = e.tell(nodebus.Event{Broadcast: true, Payload: nodebus.Status{QueueRemaining: n, Paused: paused}})
		e.retell(n)
	}
	done = true
}

// retell lets the number be told once more if it is not n any more.
func (e *Engine) retell(n int) {
	now := e.Remaining()
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := &e.status; now != n && s.due == 0 {
		s.due = 1
	}
}

// nextStatus adds to the status events that are due. due is false if there is none, or if
// another goroutine sends them.
func (e *Engine) nextStatus(more int) (paused, due bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := &e.status
	s.due += more
	if more > 0 && s.busy {
		return false, false
	}
	if s.busy = s.due > 0; !s.busy {
		return false, false
	}
	s.due--
	return e.paused, true
}

// tell publishes an event that the engine itself makes.
func (e *Engine) tell(ev nodebus.Event) error {
	ev.Frozen = true
	err := e.publish(ev)
	if err != nil {
		e.opts.Logger.Warn("event not sent", "prompt", ev.PromptID, "type", ev.Payload.EventType(), "error", err)
	}
	return err
}

func (e *Engine) publish(ev nodebus.Event) error {
	return nodebus.Protect(func() error { return e.pub.Publish(ev) })
}
