package nodebus

import "sync"

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
