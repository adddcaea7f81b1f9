package flow

import (
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/nodebus/nodebus"
)

// puts remembers roughly when results were put into the cache of a Local. A node whose
// result was not cached asks the cache again just before it runs, because an equal node
// may have computed the result meanwhile. That is seldom so, and puts knows when it
// cannot be so. Keys share the slots, so puts may also say yes without reason.
type puts struct {
	now   atomic.Uint64
	slots [4096]atomic.Uint64
}

// slot returns the slot of a key, which is a hash.
func (p *puts) slot(key string) *atomic.Uint64 {
	return &p.slots[(int(key[0])<<8|int(key[1]))%len(p.slots)]
}

// time returns the current time, which is above 0.
func (p *puts) time() uint64 { return p.now.Load() + 1 }

// note notes that the result of key was put.
func (p *puts) note(key string) {
	slot, now := p.slot(key), p.now.Add(1)
	for old := slot.Load(); old < now && !slot.CompareAndSwap(old, now); {
		old = slot.Load()
	}
}

// since reports whether the result of key may have been put since a time.
func (p *puts) since(key string, asked uint64) bool { return p.slot(key).Load() >= asked }

// askedAt returns the time for runNode.asked: 1 at the begin of the run, or 0, as if nobody
// had asked, if the run takes very long.
func (r *run) askedAt() uint32 {
	now := r.local.puts.time() - r.asked + 1
	if now > math.MaxUint32 {
		return 0
	}
	return uint32(now)
}

// cached asks the cache for the result of a node.
func (r *run) cached(n *planNode, key string) (res Result, ok bool) {
	l := r.local
	if l.classic != nil {
		res, ok = l.classic.get(key, n.made)
	} else {
		res, ok = l.cache.Get(key)
	}
	switch {
	case !ok || len(res.Outputs) != len(n.class.outputs): // a persistent cache may be older than the program
		return Result{}, false
	case l.own:
		return res, true
	}
	return n.class.restore(res)
}

// keep puts the result of a node into the cache. The lists of a run hold the outputs of
// all its nodes, and the text of its keys all keys. A foreign cache gets copies, so that one
// result does not keep the memory of the others; the caches of this package make their own.
func (r *run) keep(n *planNode, key string, res Result) {
	l := r.local
	switch {
	case l.classic != nil:
		l.classic.put(key, res, n.made)
	case l.own:
		l.cache.Put(key, res)
	default:
		l.cache.Put(strings.Clone(key), Result{Outputs: slices.Clone(res.Outputs), UI: res.UI})
	}
	l.puts.note(key)
}

// lookUp finds the nodes of the prompt that have cached results. It needs no lock:
// nothing else uses the nodes until begin schedules the first node.
func (r *run) lookUp() (cached []string) {
	cached = []string{}
	if r.local.cache == nil {
		return cached
	}
	var generation uint64
	if r.local.classic != nil {
		generation = r.local.classic.nextPrompt()
	}
	r.keys.signPrompt()
	if r.ctx.Err() != nil {
		r.stop() // a Fingerprint may have waited for just that: no node begins
		return cached
	}
	for i := range r.graph.base {
		n := &r.graph.base[i]
		key := r.keys.of(int32(i))
		if key == "" {
			continue
		}
		n.asked = r.askedAt()
		if res, ok := r.cached(n.plan, key); ok {
			n.state, n.outs, n.ui = nodeCached, res.Outputs, res.UI
			if len(cached) == 0 {
				cached = make([]string, 0, len(r.graph.base)-i)
			}
			cached = append(cached, n.plan.id)
		}
	}
	if r.local.classic != nil {
		r.sweepAtStart(generation)
	}
	return cached
}

// find finds cached results of nodes that become needed at run time: want, and what they
// need in turn. Nodes with a cached result need no visit. The caller must not hold
// run.mu, because the cache is foreign code.
func (r *run) find(want ...int32) {
	if r.local.cache == nil {
		return
	}
	met := map[int32]bool{}
	stack := slices.Clone(want)
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if met[i] {
			continue
		}
		met[i] = true
		if n := r.unscheduled(i); n != nil && !r.findOne(i, n) {
			stack = n.plan.appendSources(stack)
		}
	}
}

// unscheduled returns node i if it is neither done nor scheduled; else nil.
func (r *run) unscheduled(i int32) *runNode {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.graph.at(i); n.state == nodeFresh && !r.sched.Added(i) {
		return n
	}
	return nil
}

// findOne finds the cached result of node i.
func (r *run) findOne(i int32, n *runNode) bool {
	key := r.keys.of(i)
	if key == "" {
		return false
	}
	asked := r.askedAt()
	res, ok := r.cached(n.plan, key)
	stale := ok && !r.acceptsCached(n, res)
	ok = ok && !stale
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case n.state != nodeFresh || r.sched.Added(i): // another worker needs the node, too
	case ok:
		n.state, n.outs, n.ui = nodeCached, res.Outputs, res.UI
	default:
		n.asked, n.stale = asked, stale
	}
	return ok
}

// findOutputs returns outputs of nodes that another node asks for, if all of them are
// cached results; else nil. See findOutput.
func (r *run) findOutputs(outs []madeOutput) ([]any, error) {
	if r.local.cache == nil {
		return nil, nil
	}
	values, found := make([]any, len(outs)), 0
	for i, o := range outs {
		val, ok, err := r.findOutput(o.src, o.slot)
		if err != nil {
			return nil, err
		}
		if ok {
			values[i] = val
			found++
		}
	}
	if found < len(outs) {
		return nil, nil
	}
	return values, nil
}

// findOutput returns an output of a node that another node asks for, if the result of the
// node is cached. Otherwise it finds what is cached of the nodes that this node needs.
func (r *run) findOutput(src, slot int32) (val any, ok bool, err error) {
	r.mu.Lock()
	n := r.graph.at(src)
	fresh, added := n.state == nodeFresh, r.sched.Added(src)
	r.mu.Unlock()
	if !fresh {
		return nil, false, nil
	}
	err = nodebus.Protect(func() error { // the node may wait in a goroutine of its own
		if !added {
			r.find(src)
			return nil
		}
		if key := r.keys.of(src); key != "" {
			var res Result
			if res, ok = r.cached(n.plan, key); ok {
				val = res.Outputs[slot]
			}
		}
		return nil
	})
	return val, ok, err
}

// claim makes w the worker that computes the node's result, unless the result is
// cached. If an equal node is computing the result, later is true: this node waits
// for it. claim returns an error if the run ended in the meantime.
func (w *worker) claim() (later bool, err error) {
	r := w.r
	if r.local.cache == nil {
		return false, nil
	}
	key := r.keys.of(w.i)
	if key == "" {
		return false, nil
	}
	if claimed, err := w.claimKey(key); !claimed {
		return err == nil, err
	}
	if n := w.n.asked; n > 0 && !r.local.puts.since(key, r.asked+uint64(n-1)) {
		return false, nil
	}
	if res, ok := r.cached(w.n.plan, key); ok {
		w.cached, w.outs, w.ui = true, res.Outputs, res.UI
	}
	return false, nil
}

func (w *worker) claimKey(key string) (claimed bool, err error) {
	r := w.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sched.over {
		return false, r.sched.err
	}
	w.key = key
	if w.claimed = r.local.claims.claim(key, r, w.i); !w.claimed {
		r.sched.Again(w.i)
		r.sched.deferred++
	}
	return w.claimed, nil
}

// reopen makes node i ready again. It is called when the claim that the node waits
// for is released.
func (r *run) reopen(i int32) {
	var then after
	r.mu.Lock()
	defer r.unlock(&then)
	r.sched.deferred--
	r.sched.Open(i)
	r.startWorkers()
	r.settle(&then)
}
