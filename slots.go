package nodebus

import (
	"sync"
	"sync/atomic"
)

// slots are the worker slots of a Local: at most so many nodes compute at once,
// over all prompts it runs. A run that finds none free waits in line and is
// given one by the run that lets go of it.
type slots struct {
	mu    sync.Mutex
	free  int
	line  []*run
	short atomic.Bool // somebody is in line
}

// take takes a slot for r, or reports false and, if wait is true, puts r in line.
func (s *slots) take(r *run, wait bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 {
		s.free--
		return true
	}
	if wait {
		s.line = append(s.line, r)
		s.short.Store(true)
	}
	return false
}

// give lets go of a slot: the next run in line has it, or nobody. The caller
// holds no run's lock.
func (s *slots) give() {
	s.mu.Lock()
	var next *run
	if len(s.line) > 0 {
		next = s.line[0]
		s.line = s.line[1:]
	} else {
		s.free++
	}
	s.short.Store(len(s.line) > 0)
	s.mu.Unlock()
	if next != nil {
		next.granted()
	}
}
