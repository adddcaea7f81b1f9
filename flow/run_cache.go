package flow

// lookUp finds which of the prompt's nodes have a result already.
func (r *run) lookUp() (cached []string) {
	cached = []string{}
	if r.l.cache == nil {
		return cached
	}
	var gen uint64
	if r.l.recent != nil {
		gen = r.l.recent.nextPrompt()
	}
	r.keyMu.Lock()
	defer r.keyMu.Unlock()
	r.keys = signer{job: r.job, node: func(i int32) *planNode { return r.node(i).plan }}
	r.keys.grow(len(r.base))
	for i := range r.base {
		r.keys.sign(int32(i))
	}
	r.baseKeys, r.baseKey = string(r.keys.keys), r.keys.state[:len(r.base):len(r.base)]
	for i := range r.base {
		if r.baseKey[i] != keyMade {
			continue
		}
		if res, ok := r.l.cache.Get(r.baseKeys[i*keyLen : (i+1)*keyLen]); ok && fits(res, r.base[i].plan.class) {
			n := &r.base[i]
			n.state, n.outs, n.ui = nodeCached, res.Outputs, res.UI
			cached = append(cached, r.base[i].plan.id)
		}
	}
	if r.l.recent != nil {
		r.l.recent.sweep(gen)
	}
	return cached
}

// fits reports whether a cached result has the shape of the class: a cache may
// be older than the program.
func fits(res Result, c *Class) bool { return len(res.Outputs) == len(c.outputs) }

// claim makes v the one who computes the node's result, unless it is known or
// somebody is at it: then the node waits for that. It fails if the run has ended
// while the key was worked out.
func (w *worker) claim() (later bool, err error) {
	r, i := w.r, w.i
	if r.l.cache == nil {
		return false, nil
	}
	key := r.keyOf(i)
	if key == "" {
		return false, nil
	}
	r.mu.Lock()
	if r.over {
		defer r.mu.Unlock()
		return false, r.err
	}
	w.key = key
	if w.leads = r.l.flights.begin(key, r, i); !w.leads {
		r.sch.Again(i)
		r.away++
		r.mu.Unlock()
		return true, nil
	}
	r.mu.Unlock()
	if res, ok := r.l.cache.Get(w.key); ok && fits(res, w.n.plan.class) {
		w.cached, w.outs, w.ui = true, res.Outputs, res.UI
	}
	return false, nil
}

// landed is called when what node i waits for has been computed, or has failed.
func (r *run) landed(i int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away--
	r.sch.Open(i)
	r.kick()
	r.settle()
}

// keyOf is a node's cache key; "" if it cannot be cached.
func (r *run) keyOf(i int32) string {
	if int(i) < len(r.base) {
		if r.baseKey[i] != keyMade {
			return ""
		}
		return r.baseKeys[int(i)*keyLen:][:keyLen]
	}
	r.keyMu.Lock()
	defer r.keyMu.Unlock()
	r.mu.Lock()
	n := len(r.base) + len(r.made)
	r.mu.Unlock()
	r.keys.grow(n)
	r.keys.sign(i)
	if r.keys.state[i] != keyMade {
		return ""
	}
	return string(r.keys.keys[int(i)*keyLen:][:keyLen])
}

// keep keeps the result for later prompts and tells that the node is done.
func (w *worker) keep() {
	if w.key != "" && !w.r.isShut() {
		w.r.l.cache.Put(w.key, Result{Outputs: w.outs, UI: w.ui})
	}
	w.r.progress.finish(w.n)
}
