package flow

import (
	"context"
	"iter"

	"github.com/nodebus/nodebus"
)

// status is what an engine needs to tell the number of prompts. Engine.mu guards it.
type status struct {
	last   int  // the number that the queue gave last
	told   int  // the number of the last status event
	others bool // at that time, other engines ran prompts: some may have ended

	// Prompts that have ended are not counted, although the queue has them until their
	// leases are done.
	held    int    // leases that the engine has
	owed    int    // prompts that have ended and whose leases are not done
	closing int    // leases that are being done: the queue may still count them, or not
	version uint64 // incremented at each change of the two
	doubt   bool   // a number was told while a lease was being done

	due  int  // number of status events still to send
	busy bool // a goroutine is sending status events
}

// Remaining returns the number of prompts that wait or run, whoever has submitted them and
// wherever they run. If the queue fails, it is the last number that the queue gave, and
// the Logger receives the error.
func (e *Engine) Remaining() int {
	n, _, _ := e.remaining()
	return n
}

// remaining also reports whether the number may be too low by the prompts whose leases are
// being done at this moment, and whether other engines run prompts.
func (e *Engine) remaining() (n int, doubtful, others bool) {
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
			return n, false, false
		}
		n = max(waiting+leased-before.owed, 0)
		now.last = n
		doubtful = before.closing > 0 || now.closing > 0
		others = leased > now.held-max(before.closing, now.closing) // perhaps
		same := now.version == before.version
		e.mu.Unlock()
		if same {
			return n, doubtful, others
		}
	}
	return n, true, others
}

func (e *Engine) queueLen() (waiting, leased int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	err = nodebus.Protect(func() (err error) {
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
	s.held += min(closing, 0)
	s.version++
	again := s.doubt && s.closing == 0
	if again {
		s.doubt = false
	}
	told, others := s.told, s.others && closing < 0
	e.mu.Unlock()
	if others && !again {
		// Another engine may have ended a prompt at the same time. Neither engine knew that
		// the prompt of the other does not count any more.
		n, _, _ := e.remaining()
		again = n < told
	}
	if again {
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
				ended, rests, pauses := e.knows(q.Prompt)
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
func (e *Engine) knows(p *nodebus.Prompt) (ended, rests, pauses bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if en := e.ending[p.ID]; en != nil && en.isOf(p) {
		return true, false, false
	}
	en := e.entries[p.ID]
	if en == nil || !en.isOf(p) {
		return false, false, false
	}
	return false, en.again == nil && en.run != nil && !en.run.placed, en.again != nil
}

// find looks for a prompt in the queue.
func (e *Engine) find(ctx context.Context, id string) (found Queued, ok bool, err error) {
	for q, err := range e.Queued(ctx, id) {
		if err != nil {
			return Queued{}, false, err
		}
		found, ok = q, true
	}
	return found, ok, nil
}

// tellStatus sends the number of prompts to every client. Each call causes one
// event. Only one goroutine sends at a time, so the numbers go out in order: if
// another goroutine is sending already, it also sends the event of this call. If engines
// that share a queue end prompts at the same moment, the number of one of them may count a
// prompt that has ended, until the next event.
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
		n, doubtful, others := e.remaining()
		e.tells(n, doubtful, others)
		e.tell(nodebus.Event{Broadcast: true, Payload: nodebus.Status{QueueRemaining: n, Paused: paused}})
		if others { // another engine may have told a smaller number before this one
			e.retell(n)
		}
	}
	done = true
}

// retell lets the number be told once more if it is smaller than n by now.
func (e *Engine) retell(n int) {
	now, _, _ := e.remaining()
	e.mu.Lock()
	defer e.mu.Unlock()
	if now < n {
		e.status.due++
	}
}

// tells remembers the number of a status event. The engine sends it again when the leases
// that are being done are done, if it is doubtful.
func (e *Engine) tells(n int, doubtful, others bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := &e.status
	s.told, s.others = n, others
	switch {
	case doubtful && s.closing > 0:
		s.doubt = true
	case doubtful:
		s.due++ // they are done already
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
func (e *Engine) tell(ev nodebus.Event) {
	ev.Frozen = true
	if err := e.publish(ev); err != nil {
		e.opts.Logger.Warn("event not sent", "prompt", ev.PromptID, "type", ev.Payload.EventType(), "error", err)
	}
}

func (e *Engine) publish(ev nodebus.Event) error {
	return nodebus.Protect(func() error { return e.pub.Publish(ev) })
}
