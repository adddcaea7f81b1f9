package flow

import "sync"

// flights are the results being computed right now, by key. Two nodes with the
// same key, of one prompt or of two, are computed once: the second waits and
// then finds the result in the cache.
//
// Only a node that waits for nothing itself leads others: one that begins to
// wait, for a lazy input or for nodes it made, gives up its lead, and those that
// waited for it compute for themselves. So waiting for a twin closes no ring,
// within a prompt or through several.
type flights struct {
	mu sync.Mutex
	m  map[string][]waiting // for whom
}

// waiting is a node that waits for another with the same key.
type waiting struct {
	r *run
	i int32
}

// begin reports whether node i of r is the first; if not, it has landed, in
// another goroutine, once the first has finished.
func (f *flights) begin(key string, r *run, i int32) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	waiters, busy := f.m[key]
	if !busy {
		if f.m == nil {
			f.m = map[string][]waiting{}
		}
		f.m[key] = nil
		return true
	}
	f.m[key] = append(waiters, waiting{r, i})
	return false
}

// end wakes those who wait for key. The caller holds no run's lock.
func (f *flights) end(key string) {
	f.mu.Lock()
	waiters := f.m[key]
	delete(f.m, key)
	f.mu.Unlock()
	for _, w := range waiters {
		w.r.landed(w.i)
	}
}
