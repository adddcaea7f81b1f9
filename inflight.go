package nodebus

import (
	"sync"
	"sync/atomic"
)

// inFlight counts the calls of Publish, so that Close delivers every event that Publish
// has accepted.
type inFlight struct {
	n     atomic.Int64 // number of calls; plus closedCalls after close
	once  sync.Once
	ended chan struct{} // closed when the last call has ended after close
}

const closedCalls = -1 << 62

// begin counts a call. After close, it returns false.
func (f *inFlight) begin() bool {
	if f.n.Add(1) > 0 {
		return true
	}
	f.end()
	return false
}

func (f *inFlight) end() {
	if f.n.Add(-1) == closedCalls {
		f.once.Do(func() { close(f.ended) })
	}
}

// close refuses later calls. ended is closed when the present calls have ended. first is
// false if close was called before.
func (f *inFlight) close() (ended <-chan struct{}, first bool) {
	for {
		n := f.n.Load()
		if n < 0 {
			return f.ended, false
		}
		if f.n.CompareAndSwap(n, n+closedCalls) {
			break
		}
	}
	if f.n.Load() == closedCalls {
		f.once.Do(func() { close(f.ended) })
	}
	return f.ended, true
}
