package flow

import (
	"context"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/sched"
)

// schedule says what runs and what waits in a run. run.mu guards it.
type schedule struct {
	sched.Sched
	workers  []*worker
	working  int    // goroutines that run nodes, or look for a node to run
	starting int    // workers among these that have not looked yet
	waiting  int    // turns that wait for other nodes
	deferred int    // nodes that wait for an equal node, of this run or another
	slots    int    // slots that the workers hold
	inLine   bool   // the run waits for a slot
	turns    uint64 // number of turns begun
	ran      []int32
	added    []int32 // scratch of need
	stack    []int32 // scratch of need

	looking bool  // lookUp has not returned
	err     error // why the run ends early
	stopped bool  // err is the end of the context, not the fault of a node
	over    bool  // nothing more begins
	ended   bool  // nothing is waited for any more
}

// worker is a goroutine that runs nodes. What it works out about a node stays in it,
// to be used again for the next node.
type worker struct {
	r *run
	i int32
	n *runNode

	inputs []any // the inputs of the node
	args   []any // the inputs of one call
	room   []any // for the outputs of one of several calls
	result
	later bool  // the turn ended without a result; the node has another turn
	err   error // the turn failed

	spare []turn // turns, allocated a few at a time
	slab  int    // how many were allocated the last time

	// What follows is guarded by run.mu.
	index   int  // place in schedule.workers
	slot    bool // the worker holds a slot
	picked  bool // the worker has had a node
	claimed bool // other nodes with the same key wait for this one
	turn    *turn
	number  uint64 // number of the turn in the run
}

// result holds what a turn found out about its node.
type result struct {
	key    string // "" if the result is not cached
	cached bool   // the result was in the cache
	ran    bool   // the node was evaluated
	outs   []any
	ui     nodebus.UI
	call   int // number of the call that is being made
}

func (s *schedule) add(w *worker) {
	w.index = len(s.workers)
	s.workers = append(s.workers, w)
}

func (s *schedule) remove(w *worker) {
	last := len(s.workers) - 1
	s.workers[w.index] = s.workers[last]
	s.workers[w.index].index = w.index
	s.workers[last] = nil
	s.workers = s.workers[:last]
}

// latest returns the worker whose turn began last; nil if no turn runs.
func (s *schedule) latest() (l *worker) {
	for _, w := range s.workers {
		if w.turn != nil && (l == nil || w.number > l.number) {
			l = w
		}
	}
	return l
}

// startWorkers starts workers for the nodes that are ready, as far as slots are free.
// If none is free, the run waits in line for one. mu is held.
func (r *run) startWorkers() {
	s := &r.sched
	for !s.over && !s.inLine && s.Ready() > s.starting {
		if !r.local.slots.take(r, s.slots == 0) {
			s.inLine = true
			return
		}
		r.startWorker()
	}
}

// startWorker starts a worker that has a slot. mu is held.
func (r *run) startWorker() {
	r.sched.slots++
	r.sched.starting++
	r.sched.working++
	r.all.Add(1)
	go r.work()
}

// granted is called with a slot that the run has waited in line for.
func (r *run) granted() {
	var then after
	r.mu.Lock()
	defer r.unlock(&then)
	r.sched.inLine = false
	if r.sched.over || r.sched.Ready() <= r.sched.starting {
		then.grant = r.local.slots.give(r, false)
		return
	}
	r.startWorker()
	r.startWorkers()
}

// work runs nodes until none is ready, or another prompt needs the slot.
func (r *run) work() {
	defer r.all.Done()
	w := &worker{r: r, slot: true}
	r.mu.Lock()
	r.sched.add(w)
	r.sched.starting--
	r.mu.Unlock()
	defer w.leave() // also if a node takes the goroutine with it
	for {
		switch next := w.take(); next {
		case nil:
			return
		case w:
			if w.prepare() {
				w.compute()
			}
		default:
			next.workAlone()
		}
	}
}

// workAlone gives an asynchronous node its turn, in a goroutine of its own. That the
// node runs is published before the goroutine begins, so that with one worker the
// order of events is always the same.
func (w *worker) workAlone() {
	started := false
	defer func() {
		if !started {
			w.leave()
		}
	}()
	if started = w.prepare(); !started {
		return
	}
	w.r.all.Add(1)
	go func() {
		defer w.r.all.Done()
		defer w.leave()
		w.compute()
	}()
}

// take ends the turn of the worker, if it has one, and takes the next node. It returns
// the worker that runs it: w, or a new worker for an asynchronous node; nil if w is to
// end.
func (w *worker) take() *worker {
	var then after
	w.r.mu.Lock()
	if w.endTurn(&then); then.key != "" { // a node that waits for the key may be the next
		w.r.unlock(&then)
		then = after{}
		w.r.mu.Lock()
	}
	defer w.r.mu.Unlock()
	return w.pick()
}

// pick takes a ready node out of the schedule. mu is held.
func (w *worker) pick() *worker {
	r := w.r
	for !r.sched.over && w.slot {
		if w.picked && r.local.slots.starving.Load() > 0 {
			return nil // a prompt without a slot waits for this one
		}
		i, ok := r.sched.Next()
		if !ok {
			return nil
		}
		w.picked = true
		r.startWorkers()
		n := r.graph.at(i)
		if n.stand != nil {
			r.resume(i, n.stand, w)
			continue
		}
		runs := w
		if n.plan.class.schema.Async && n.state == nodeFresh && n.exp == nil {
			runs = &worker{r: r}
			r.sched.add(runs)
			r.sched.working++
		}
		runs.beginTurn(i, n)
		return runs
	}
	return nil
}

// leave ends a worker, and its turn if a node took the goroutine with it.
func (w *worker) leave() {
	var then after
	w.r.mu.Lock()
	defer w.r.unlock(&then)
	w.endTurn(&then)
	w.r.rest(w, &then)
	w.r.sched.remove(w)
}

// rest notes that a worker runs no more: it ends, or its node waits. mu is held.
func (r *run) rest(w *worker, then *after) {
	s := &r.sched
	s.working--
	if w.slot {
		w.slot = false
		s.slots--
		then.grant = r.local.slots.give(r, s.slots == 0)
	}
	r.startWorkers()
	r.settle()
}

// resume lets a wait end whose stand-in t was picked by a worker, and gives it that
// worker's slot unless its node needs none. mu is held.
func (r *run) resume(t int32, w *waiter, by *worker) {
	r.sched.Done(t)
	if w.gone {
		return
	}
	w.gone = true
	close(w.resumed)
	if w.t.over.Load() {
		return
	}
	if w.t.waits--; w.t.waits > 0 {
		return // the node waits for more
	}
	r.sched.waiting--
	r.sched.working++
	if !w.t.n.plan.class.schema.Async {
		w.t.w.slot, by.slot = true, false
	}
}

// beginTurn gives node i its turn. mu is held.
func (w *worker) beginTurn(i int32, n *runNode) {
	if len(w.spare) == 0 { // few at first: a worker whose node waits has no other turn
		w.slab = min(2*w.slab+1, 16)
		w.spare = make([]turn, w.slab)
	}
	t := &w.spare[0]
	w.spare = w.spare[1:]
	t.w, t.n = w, n
	w.i, w.n, w.turn = i, n, t
	w.result, w.later, w.err = result{}, false, errGoexit // unless something else comes of it
	w.r.sched.turns++
	w.number = w.r.sched.turns
}

// endTurn ends the turn of w, if it has one. mu is held.
func (w *worker) endTurn(then *after) {
	r, t := w.r, w.turn
	if t == nil {
		return
	}
	if w.turn = nil; t.waits > 0 { // a goroutine that the node left behind still waits
		r.sched.waiting--
		r.sched.working++
	}
	t.over.Store(true) // its calls have ended their contexts
	switch {
	case w.err != nil:
		r.lose(w)
	case !w.later && !r.sched.ended:
		w.commit()
	}
	w.dropClaim(then)
}

// dropClaim ends the claim of w on its key. mu is held.
func (w *worker) dropClaim(then *after) {
	if w.claimed {
		w.claimed = false
		then.key = w.key
	}
}

// commit makes the node's result visible to others. mu is held.
func (w *worker) commit() {
	n := w.n
	n.state, n.outs, n.exp = nodeDone, w.outs, nil
	if w.ran {
		w.r.sched.ran = append(w.r.sched.ran, w.i)
	}
	if w.ui != nil || w.cached {
		n.ui, n.shows = w.ui, true
	}
	w.r.sched.Done(w.i)
}

// lose ends the run because the node of w failed. mu is held.
func (r *run) lose(w *worker) {
	if r.sched.over { // it failed because something else did
		return
	}
	e := &nodebus.NodeError{Err: w.err, Index: w.call, Inputs: w.shownInputs()}
	if cause := context.Cause(r.ctx); cause != nil { // it failed because it was stopped
		e.Err, r.sched.stopped = cause, true
	}
	r.fail(r.nodeError(w.i, e))
}
