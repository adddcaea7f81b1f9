package flow

import (
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/sched"
)

// schedule holds the running and waiting nodes of a run. run.mu guards it.
type schedule struct {
	scratch
	workers  []*worker
	working  int    // number of goroutines that run nodes or search for one
	starting int    // number of these goroutines that have not searched yet
	waiting  int    // number of turns that wait for other nodes
	deferred int    // number of nodes that wait for an equal node, in this run or another
	slots    int    // number of slots that the workers hold
	inLine   bool   // the run waits for a slot
	turns    uint64 // number of turns that have begun

	first    *nodebus.NodeError   // the first error of a node, if the prompt continues
	failures []nodebus.NodeFailed // the errors of nodes, if the prompt continues

	stuck error // the error of nodes that wait for each other

	asking

	known []nodeEnd // nodes whose end is known; those that were cached when the prompt began, only if they were used

	looking bool  // lookUp has not returned yet
	err     error // error that ends the run early
	stopped bool  // err comes from the end of the context, not from a node
	over    bool  // no new node begins
	ended   bool  // the run no longer waits for anything
}

// scratch holds the lists of a schedule that grow with the number of nodes. A run whose
// nodes have all ended well gives them to a later run. A goroutine that a node left behind
// may still use the schedule, under run.mu, but it does not find the lists there.
type scratch struct {
	sched.Sched
	added []int32 // reused by need
	stack []int32 // reused by need
}

// borrow takes the lists of an earlier run, if there are any. mu is held.
func (r *run) borrow() {
	if s, ok := r.local.scratch.Get().(*scratch); ok {
		r.sched.scratch = *s
	}
}

// giveBack gives the lists to later runs.
func (r *run) giveBack() {
	r.mu.Lock()
	s := r.sched.scratch
	r.sched.scratch = scratch{}
	r.mu.Unlock()
	s.Reset()
	r.local.scratch.Put(&s)
}

// worker is a goroutine that runs nodes. It reuses its buffers for the next node.
type worker struct {
	r *run
	i int32
	n *runNode

	inputs []any // the inputs of the node
	args   []any // the inputs of one call
	room   []any // for the outputs of one call, if there are several calls
	result
	later bool     // the turn ended without a result; the node will have another turn
	err   error    // set if the turn failed
	lost  *nodeWhy // set if the turn failed
	clock int64    // when the last turn ended, see run.clock; 0 if that is not known

	unused *turn  // the last turn, if the node's code has not seen it
	spare  []turn // turns, allocated a few at a time
	slab   int    // how many were allocated the last time

	spareCalls []Call // calls, allocated a few at a time
	callSlab   int    // how many were allocated the last time

	// run.mu guards the fields below.
	index   int  // index in schedule.workers
	slot    bool // the worker holds a slot
	picked  bool // the worker has run a node or a stand-in
	claimed bool // the worker has claimed its key
	turn    *turn
	number  uint64 // sequence number of the turn in the run
}

// result holds the results of a turn.
type result struct {
	key    string // cache key; "" if the result is not cached
	cached bool   // the result was in the cache
	ran    bool   // the node was computed in this run
	outs   []any
	ui     nodebus.UI
	call   int   // number of the current call
	tries  int   // how often the node was called for the same inputs: of its calls, the most; 0 if nothing is wrapped
	began  int64 // when the node was called, see run.clock; 0 if it was not
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

// latest returns the worker with the latest turn; nil if no turn is in progress.
func (s *schedule) latest() (l *worker) {
	for _, w := range s.workers {
		if w.turn != nil && (l == nil || w.number > l.number) {
			l = w
		}
	}
	return l
}

// startWorkers starts workers for the ready nodes while slots are free. If no slot
// is free, the run waits in line for a slot. mu is held.
func (r *run) startWorkers() {
	s := &r.sched
	for !s.over && !s.away && !s.inLine && s.Ready() > s.starting {
		if !r.local.slots.take(r, s.slots == 0) {
			s.inLine = true
			return
		}
		r.startWorker()
	}
}

// startWorker starts a worker. The caller has taken a slot for it. mu is held.
func (r *run) startWorker() {
	r.sched.slots++
	r.sched.starting++
	r.sched.working++
	r.all.Add(1)
	go r.work()
}

// granted receives a slot for which the run has waited in line.
func (r *run) granted() {
	var then after
	r.mu.Lock()
	defer r.unlock(&then)
	r.sched.inLine = false
	if r.sched.over || r.sched.away || r.sched.Ready() <= r.sched.starting {
		then.grant = r.local.slots.give(r, false)
		return
	}
	r.startWorker()
	r.startWorkers()
}

// work runs nodes until no node is ready, or until another prompt needs the slot.
func (r *run) work() {
	defer r.all.Done()
	w := &worker{r: r, slot: true}
	r.mu.Lock()
	r.sched.add(w)
	r.sched.starting--
	r.mu.Unlock()
	defer w.leave() // also if a node calls runtime.Goexit
	for {
		switch next := w.take(); next {
		case nil:
			return
		case w:
			w.both()
		default:
			next.workAlone()
		}
	}
}

// workAlone runs an asynchronous node in its own goroutine. It publishes that the
// node runs before the goroutine starts, so that with one worker the order of events
// is always the same.
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

// take ends the worker's current turn, if any, and picks the next node. It returns
// the worker that runs the node: w, or a new worker for an asynchronous node. It
// returns nil if w must end.
func (w *worker) take() *worker {
	var then after
	w.failed()
	w.r.mu.Lock()
	if w.endTurn(&then); !then.isEmpty() { // a node that waits for the key may be the next node
		w.r.unlock(&then)
		w.r.mu.Lock()
	}
	defer w.r.mu.Unlock()
	return w.pick()
}

// pick takes a ready node from the schedule. mu is held.
func (w *worker) pick() *worker {
	r := w.r
	for !r.sched.over && w.slot {
		if w.picked && r.local.slots.starving.Load() > 0 {
			return nil // a prompt without any slot needs this slot
		}
		i, ok := r.sched.Next()
		if !ok {
			return nil
		}
		w.picked = true
		r.startWorkers()
		n := r.graph.at(i)
		if n.plan == nil {
			r.resume(i, n.exp.stand, w)
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

// leave ends a worker. It also ends the worker's turn if a node has called
// runtime.Goexit.
func (w *worker) leave() {
	var then after
	w.failed()
	w.r.mu.Lock()
	defer w.r.unlock(&then)
	w.endTurn(&then)
	w.r.rest(w, &then)
	w.r.sched.remove(w)
}

// rest marks a worker as not running: it ends, or its node waits. mu is held.
func (r *run) rest(w *worker, then *after) {
	s := &r.sched
	s.working--
	if w.slot {
		w.slot = false
		s.slots--
		then.grant = r.local.slots.give(r, s.slots == 0)
	}
	r.startWorkers()
	r.settle(then)
}

// resume continues the wait whose stand-in t was picked by worker by. The waiting
// worker receives the slot of by, unless its node is asynchronous and needs no slot.
// mu is held.
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
	w.t.waits--
	if w.t.goOn() && !w.t.n.plan.class.schema.Async {
		w.t.w.slot, by.slot = true, false
	}
}

// beginTurn begins a turn for node i. mu is held.
func (w *worker) beginTurn(i int32, n *runNode) {
	t := w.nextTurn()
	t.w, t.n = w, n
	w.i, w.n, w.turn = i, n, t
	w.result, w.later, w.err, w.lost = result{}, false, errGoexit, nil // unless something else comes of it
	w.r.sched.turns++
	w.number = w.r.sched.turns
}

// nextTurn returns a fresh turn.
func (w *worker) nextTurn() *turn {
	if t := w.unused; t != nil {
		w.unused = nil
		t.over.Store(false)
		t.learned = nil
		return t
	}
	if len(w.spare) == 0 { // few at first: a worker whose node waits has no other turn
		w.slab = min(2*w.slab+1, 31) // 31 turns fill a block of the allocator
		w.spare = make([]turn, w.slab)
	}
	t := &w.spare[0]
	w.spare = w.spare[1:]
	return t
}

// endTurn ends the turn of w, if any. mu is held.
func (w *worker) endTurn(then *after) {
	r, t := w.r, w.turn
	if t == nil {
		return
	}
	if w.turn = nil; t.rests { // a goroutine of the node still waits
		t.rests = false
		r.sched.waiting--
		r.sched.working++
	}
	if t.waits > 0 {
		r.sched.withdraw(t, then)
	}
	w.clock = 0
	if w.began != 0 {
		w.clock = r.clock()
	}
	t.over.Store(true)          // its calls have ended their contexts
	if t.first.Context == nil { // the result was cached: no code of the node has seen the turn
		w.unused = t
	}
	switch {
	case w.err != nil:
		r.lose(w, then)
	case !w.later && !r.sched.ended:
		w.commit(t.learned.whyBlocked())
	}
	w.dropClaim(then)
}

// dropClaim releases the claim of w on its key. mu is held.
func (w *worker) dropClaim(then *after) {
	if w.claimed {
		w.claimed = false
		then.key = w.key
	}
}

// commit makes the node's result visible to other nodes. why is set if the node was
// blocked. mu is held.
func (w *worker) commit(why *nodeWhy) {
	n := w.n
	w.known(why)
	if n.state != nodeCached { // the nodes behind a cached node do not wait for its visit, and read outs meanwhile
		n.outs = w.outs
	}
	n.state, n.exp, n.ran = nodeDone, nil, w.ran
	if w.ui != nil || w.cached {
		n.ui, n.shows = w.ui, true
	}
	w.r.sched.Done(w.i)
}
