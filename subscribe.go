package nodebus

import (
	"context"
	"iter"
	"slices"
	"sync"
)

// Subscribe receives all events in this process, from this call until ctx ends,
// the hub closes or the loop breaks. A reader that falls behind by more than the
// hub keeps (HubOptions.KeepLen and KeepBytes: a program must not lose itself to
// a burst that its own machine makes) gets [ErrSlow] as the last value. The
// sequence is for one loop, in one goroutine; one that is never read ends with
// ctx.
//
// What an event's payload refers to is shared: read it only.
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
			for _, m := range batch {
				if ctx.Err() != nil || !yield(m.event(), nil) {
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

// subscription is a queue that its reader takes over whole.
type subscription struct {
	maxLen, maxBytes int
	wake             chan struct{} // of capacity 1

	mu     sync.Mutex
	buf    []*message
	bytes  int
	asleep bool
	over   bool
	err    error
}

func (s *subscription) push(m *message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch n := len(s.buf); {
	case s.over:
		return
	case n >= s.maxLen || n > 0 && s.bytes+m.Size() > s.maxBytes:
		s.over, s.err = true, ErrSlow
	default:
		s.buf = append(s.buf, m)
		s.bytes += m.Size()
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

// end lets the reader have what waits, and then no more.
func (s *subscription) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over, s.err = true, err
	}
	s.rouse()
}

// drop ends at once.
func (s *subscription) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over, s.err, s.buf = true, nil, nil
	s.rouse()
}

// take waits for events and returns all there are; nil at the end. used is the
// batch taken before, to be filled again.
func (s *subscription) take(used []*message) []*message {
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
	if cap(used) > 1<<14 { // what a burst needed is given back
		s.buf = nil
	}
	return batch
}
