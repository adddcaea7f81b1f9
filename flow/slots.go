package flow

import (
	"sync"
	"sync/atomic"
)

// slots are the worker slots of a Local: at most so many nodes compute at once,
// over all prompts it runs. A run that finds none free waits in line and is
// given one by the run that lets go of it.
type slots struct {
	mu       sync.Mutex
	free     int
	line     []asker
	starving atomic.Int32 // how many in line have no slot at all
}

type asker struct {
	r        *run
	starving bool
}

// take takes a slot for r, or puts r in line and reports false. A run that
// starves, because it has none, makes others let go of theirs after each node.
func (s *slots) take(r *run, starving bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 {
		s.free--
		return true
	}
	s.line = append(s.line, asker{r, starving})
	if starving {
		s.starving.Add(1)
	}
	return false
}

// give lets go of a slot of r: the next run in line has it, or nobody. last
// means that r has none left, so that it starves if it is in line itself. The
// caller holds no run's lock.
func (s *slots) give(r *run, last bool) {
	s.mu.Lock()
	if last {
		s.starve(r)
	}
	var next asker
	if len(s.line) > 0 {
		next = s.line[0]
		s.line[0] = asker{}
		s.line = s.line[1:]
	} else {
		s.free++
	}
	if next.starving {
		s.starving.Add(-1)
	}
	s.mu.Unlock()
	if next.r != nil {
		next.r.granted()
	}
}

func (s *slots) starve(r *run) {
	for i := range s.line {
		if s.line[i].r == r && !s.line[i].starving {
			s.line[i].starving = true
			s.starving.Add(1)
		}
	}
}
