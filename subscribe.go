package nodebus

import (
	"context"
	"iter"
	"slices"
	"sync"
)

// Subscribe returns a sequence of all events of the hub, for a loop in the same
// process. It contains the events from this call on, until ctx ends, the hub closes or
// the loop breaks. If the loop falls behind by more than HubOptions.KeepLen or
// KeepBytes, the sequence ends and its last value is [ErrSlow]. These limits are large
// so that the loop does not fail because of a burst of events in its own program.
//
// Use the sequence in one loop only, in one goroutine. If no loop reads it, it ends
// with ctx; until then it collects events. All readers share the data that an event's
// payload points to: do not modify it.
func (h *Hub) Subscribe(ctx context.Context) iter.Seq2[Event, error] {
	s := &subscription{maxLen: h.opts.KeepLen, maxBytes: h.opts.KeepBytes, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	if h.closed {
		s.over = true
	} else {
		h.subs = append(h.subs, s)
	}
	h.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		h.unsubscribe(s)
		s.drop()
	})
	return func(yield func(Event, error) bool) {
		defer stop()
		defer s.drop()
		defer h.unsubscribe(s)
		for batch := s.take(nil); batch != nil; batch = s.take(batch) {
			for _, ev := range batch {
				if ctx.Err() != nil || !yield(ev, nil) {
					return
				}
			}
		}
		if err := s.reason(); err != nil && ctx.Err() == nil {
			yield(Event{}, err)
		}
	}
}

func (h *Hub) unsubscribe(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs = slices.DeleteFunc(h.subs, func(o *subscription) bool { return o == s })
}

// subscription is the queue of one Subscribe loop. The reader takes all waiting
// messages at once.
type subscription struct {
	maxLen, maxBytes int
	wake             chan struct{} // capacity 1

	mu     sync.Mutex
	buf    []Event
	bytes  int
	asleep bool
	over   bool
	err    error
}

// push adds an event. size is the estimated size of its frame, in bytes.
func (s *subscription) push(ev *Event, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch n := len(s.buf); {
	case s.over:
		return
	case n >= s.maxLen || n > 0 && s.bytes+size > s.maxBytes:
		s.over, s.err = true, ErrSlow
	default:
		s.buf = append(s.buf, *ev)
		s.bytes += size
	}
	s.rouse()
}

func (s *subscription) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *subscription) rouse() {
	if s.asleep {
		s.asleep = false
		s.wake <- struct{}{}
	}
}

// end ends the subscription after the reader has received the messages that wait. The
// first err counts.
func (s *subscription) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over, s.err = true, err
	}
	s.rouse()
}

// drop ends the subscription at once and discards the messages that wait.
func (s *subscription) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over, s.err, s.buf = true, nil, nil
	s.rouse()
}

// take waits for messages and returns all of them, or nil at the end. used is the
// previous batch; take reuses its memory.
func (s *subscription) take(used []Event) []Event {
	clear(used)
	s.mu.Lock()
	for len(s.buf) == 0 {
		if s.over {
			s.mu.Unlock()
			return nil
		}
		s.asleep = true
		s.mu.Unlock()
		<-s.wake
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	batch := s.buf
	s.buf, s.bytes = used[:0], 0
	if cap(used) > 1<<14 { // free the memory after a burst
		s.buf = nil
	}
	return batch
}
