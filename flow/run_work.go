package flow

import "github.com/nodebus/nodebus"

// worker is a goroutine that runs nodes: one after the other while it holds a
// slot, or a single asynchronous one without. What it works out about the node
// whose turn it is stays in it, to be used again.
type worker struct {
	r    *run
	i    int32
	n    *runNode
	base []any // the inputs of the node
	args []any // those of one call
	room []any // for what one of several calls gives

	key    string     // of the node's result; "" if it is not cached
	leads  bool       // others with the same key wait for it
	cached bool       // the result was known after all
	ran    bool       // the node was evaluated
	outs   []any      // what it gave
	ui     nodebus.UI // what it showed
	index  int        // the call that is being made

	spare []visit // made a few at a time
	slab  int     // how many the last time

	// What follows is guarded by r.mu.
	slot       bool
	v          *visit // nil between nodes
	turns      uint64 // number of the visit, over the whole run
	prev, next *worker
}

// workerList is a list of workers, to which one is added, and from which one is
// taken, in constant time.
type workerList struct{ first *worker }

func (l *workerList) add(w *worker) {
	if w.next = l.first; w.next != nil {
		w.next.prev = w
	}
	l.first = w
}

func (l *workerList) remove(w *worker) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
}

// kick starts workers for what is ready, as far as slots are free; if none is,
// the run waits in line for one. r.mu is held.
func (r *run) kick() {
	for !r.over && !r.asking && r.sch.Ready() > r.starting {
		if !r.l.slots.take(r, r.slots == 0) {
			r.asking = true
			return
		}
		r.hire()
	}
}

// hire starts a worker that has a slot. r.mu is held.
func (r *run) hire() {
	r.slots++
	r.starting++
	r.working++
	go r.work()
}

// granted is called with a slot that r has waited in line for.
func (r *run) granted() {
	r.mu.Lock()
	r.asking = false
	if r.over || r.sch.Ready() <= r.starting {
		r.mu.Unlock()
		r.l.slots.give(r, false)
		return
	}
	r.hire()
	r.kick()
	r.mu.Unlock()
}

// work runs nodes until none is ready or another prompt is in line for a slot.
func (r *run) work() {
	w := &worker{r: r, slot: true}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.workers.add(w)
	defer w.quit() // also if a node takes the goroutine with it
	r.starting--
	for !r.over && w.slot {
		i, ok := r.sch.Next()
		if !ok {
			break
		}
		r.kick()
		n := r.at(i)
		switch {
		case n.stand != nil:
			r.resume(i, n.stand, w)
		case n.plan.class.schema.Async && n.state == nodeFresh && n.exp == nil:
			r.visitAlone(i, n)
		default:
			w.visit(i, n)
		}
		if r.l.slots.starving.Load() > 0 {
			break
		}
	}
}

// quit ends a worker. r.mu is held.
func (w *worker) quit() {
	w.r.leave(w)
	w.r.workers.remove(w)
}

// leave ends a goroutine that ran nodes. r.mu is held, but not while the slot is
// given to another run.
func (r *run) leave(w *worker) {
	r.working--
	if w.slot {
		w.slot = false
		r.slots--
		last := r.slots == 0
		r.mu.Unlock()
		r.l.slots.give(r, last)
		r.mu.Lock()
	}
	r.kick()
	r.settle()
}
