package flow

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus"
)

// run is one prompt that a Local executes. These four words describe how it runs a
// node, from the outside in:
//
//   - work: a worker is a goroutine that holds a slot and runs ready nodes, one after
//     another. An asynchronous node has its own worker, without a slot.
//   - turn: the work on one node. The worker prepares the node (is its result cached?
//     does an equal node run already?), calls the node, and commits the result. A node
//     that must wait for an equal node, or for nodes that it made, has another turn later.
//   - call: one call of the node's method Run. A turn makes one call, or one call for
//     each element of a list.
//   - wait: a node that asks for a lazy input or runs a graph waits in the middle of a
//     call. Its slot is free during the wait. When the input is ready, the worker that
//     finds this gives its slot to the waiting node's worker.
//
// Locks, in locking order:
//
//  0. run.errors orders the errors of nodes, if the prompt continues after errors. It is held
//     while the tracker publishes, like the tracker's own lock.
//  1. run.mu guards the fields below it, and the marked fields of turn and worker.
//  2. slots.mu and claims.mu, of Local, guard the data that runs share.
//  3. keys.mu guards the keys of nodes made at run time.
//  4. The tracker's lock, in its methods Add and Expect.
//
// The locks of two runs are never held together. No foreign code runs while any of
// these locks but the first is held: no cache, logger, publisher, or method of a node, a
// port type or a context from outside. Work for other runs, and the cancellation of the run, are
// collected in an after, and unlock does them. The tracker's other methods publish
// events; callers must not hold any of the other locks.
type run struct {
	local    *Local
	job      *nodebus.Job
	plan     *plan
	calls    *nodebus.Context // what the contexts of all calls share
	ctx      context.Context
	cancel   context.CancelCauseFunc
	tracker  *nodebus.Tracker
	keys     keys
	promptNo uint64         // number of the prompt in a classic cache
	finished chan struct{}  // closed when no node runs and no node waits
	all      sync.WaitGroup // the goroutines of the run, except keepPlace
	places   sync.WaitGroup // keepPlace
	started  time.Time
	asked    uint64         // when the run began; see puts and runNode.asked
	report   nodebus.Report // set at the end
	errors   sync.Mutex     // held while the error of a node is noted and published, so that both have one order
	tainted  atomic.Bool    // a node has failed, and the prompt continues; or a node has asked clients; see mayKeep

	mu    sync.Mutex
	graph liveGraph
	sched schedule
}

// after collects work to do when run.mu is released.
type after struct {
	cancel error  // cancels the run's context with this cause; nil if the run goes on
	grant  *run   // the run that receives a slot; nil if there is none
	key    string // a claim to release; "" if there is none
	failed []int  // numbers, in the tracker, of nodes whose expansions have failed

	questions []*question // questions of nodes that have ended
}

// isEmpty reports whether there is no work that other nodes of the run may wait for.
func (a *after) isEmpty() bool {
	return a.cancel == nil && a.key == "" && a.failed == nil && a.questions == nil
}

// unlock releases run.mu and then does the collected work.
func (r *run) unlock(then *after) {
	r.mu.Unlock()
	if then.cancel != nil {
		r.cancel(then.cancel)
	}
	if then.grant != nil {
		then.grant.granted()
	}
	if then.key != "" {
		r.local.claims.release(then.key)
	}
	for _, n := range then.failed {
		r.tracker.Fail(n, nil)
	}
	for _, q := range then.questions {
		q.withdraw(nodebus.ErrClosed)
	}
}

func newRun(ctx context.Context, l *Local, job *nodebus.Job, pl *plan, pub nodebus.Publisher) *run {
	r := &run{local: l, job: job, plan: pl, finished: make(chan struct{}), started: time.Now(), asked: l.puts.time()}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	r.calls = nodebus.NewContext(r.ctx, nodebus.CallInfo{Job: job, Publisher: pub, Logger: l.opts.Logger, TextPause: textPause})
	r.tracker = nodebus.NewTracker(job, pub)
	r.graph.init(l.reg, pl, r.tracker)
	r.keys.r = r
	return r
}

// node returns node i for callers that do not hold run.mu.
func (r *run) node(i int32) *runNode {
	if int(i) < len(r.graph.base) {
		return &r.graph.base[i]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.graph.at(i)
}

// execute runs the prompt. It returns when all nodes have ended or were abandoned.
func (r *run) execute() error {
	r.sched.working, r.sched.starting = 1, 0
	r.sched.looking = true
	r.all.Add(1)
	go r.begin()
	abandoned := false
	select {
	case <-r.finished:
	case <-r.ctx.Done():
		r.stop()
		grace := time.NewTimer(r.local.opts.Grace)
		defer grace.Stop()
		select {
		case <-r.finished:
		case <-grace.C:
			r.abandon()
			abandoned = true
		}
	}
	if !abandoned {
		r.all.Wait() // the goroutines only give back their slots now
		r.showIntermediate()
	}
	r.mu.Lock()
	err, stopped := r.sched.err, r.sched.stopped
	ring := r.noteCycle()
	if first := r.sched.first; first != nil && (err == nil || ring != nil) {
		err = first
	}
	r.report = r.makeReport()
	r.mu.Unlock()
	if ring != nil {
		r.tracker.Fail(ring.number, ring.what)
	}
	if err == nil && !abandoned {
		r.sweepAtEnd()
		r.giveBack()
	}
	if stopped {
		r.tracker.Close(nodebus.ErrInterrupted) // no node caused the error
	} else {
		r.tracker.Close(err)
	}
	r.cancel(nodebus.ErrClosed)
	r.places.Wait()
	return err
}

// begin looks up cached results and schedules the nodes that the outputs need. It
// runs in its own goroutine, which counts as a worker, because a Fingerprint or a
// cache may take long or never return.
func (r *run) begin() {
	defer r.all.Done()
	err := errGoexit // replaced if Protect returns
	defer func() {
		var then after
		r.mu.Lock()
		defer r.unlock(&then)
		if err != nil {
			r.fail(err, &then)
		}
		r.sched.working--
		r.settle(&then)
	}()
	err = nodebus.Protect(func() error {
		cached := r.showCachedCalls(r.lookUp())
		r.tracker.Cached(cached)
		r.start(len(cached))
		return nil
	})
}

// start schedules the nodes that the outputs need, and starts the first workers.
func (r *run) start(cached int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sched.looking = false
	if r.sched.over {
		return
	}
	links := 0
	for i := range r.graph.base {
		links += len(r.graph.base[i].plan.args)
	}
	r.borrow()
	r.sched.Reserve(len(r.graph.base), links)
	r.sched.known = make([]nodeEnd, 0, len(r.graph.base)-cached)
	r.sched.added = slices.Grow(r.sched.added, max(len(r.graph.base)-cached, len(r.plan.outputs)))
	r.need(nil, r.plan.outputs...)
	r.startWorkers()
}

// need schedules nodes and their sources, unless they are scheduled already. by is
// the node that needs them; nil for the prompt. mu is held.
//
// The order of adding decides which node runs first. need therefore does not use
// walker: it adds a node, then everything that the node's last input needs, then the
// input before it, and so on.
func (r *run) need(by *runNode, want ...int32) {
	added, stack := r.sched.added[:0], r.sched.stack[:0]
	for _, w := range want {
		stack = append(stack, w)
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			n := r.graph.at(i)
			schema := &n.plan.class.schema
			if !r.sched.Add(i, schema.Output && r.isWanted(i), schema.Async) {
				continue
			}
			added = append(added, i)
			if n.state != nodeCached {
				stack = r.link(i, n.plan, stack)
			}
		}
	}
	r.expect(by, added)
	if r.sched.first != nil {
		r.dropLost(added)
	}
	for _, i := range added {
		r.sched.Open(i)
	}
	r.sched.added, r.sched.stack = added[:0], stack[:0]
}

// isWanted reports whether output node i must run. The plan lists the wanted outputs
// of the prompt; output nodes made at run time always run.
func (r *run) isWanted(i int32) bool { return int(i) >= len(r.graph.base) || r.plan.isOutput[i] }

// link makes node i wait for its sources and pushes the sources on the stack. mu is
// held.
func (r *run) link(i int32, n *planNode, stack []int32) []int32 {
	for k := range n.args {
		src := n.args[k].src
		if src < 0 || n.ports[k].Lazy {
			continue
		}
		if s := r.graph.at(src); s.state != nodeFresh {
			r.use(src, s)
			continue
		}
		r.sched.Link(src, i)
		stack = append(stack, src)
	}
	for k := range n.extra {
		if src := n.extra[k].src; src >= 0 && r.graph.at(src).state == nodeFresh {
			r.sched.Link(src, i)
			stack = append(stack, src)
		}
	}
	return stack
}

// expect adds nodes to the expected work of the tracker, for Overall. mu is held.
func (r *run) expect(by *runNode, nodes []int32) {
	if !r.local.opts.Overall {
		return
	}
	number := -1
	if by != nil {
		number = int(by.number)
	}
	var fresh []int
	for _, i := range nodes {
		if n := r.graph.at(i); n.state == nodeFresh {
			fresh = append(fresh, int(n.number))
		}
	}
	r.tracker.Expect(number, fresh...)
}

// fail ends the run with err. If the run has an error already, it keeps the first
// error. mu is held, so unlock cancels the context later: that calls methods of the
// context that Execute received, which is foreign code.
func (r *run) fail(err error, then *after) {
	if r.sched.err == nil {
		r.sched.err = err
	}
	r.sched.over = true
	then.cancel = r.sched.err
}

// stop ends the run because its context has ended, unless the run has ended already.
func (r *run) stop() {
	var then after
	r.mu.Lock()
	defer r.unlock(&then)
	if r.sched.ended || r.sched.over {
		return
	}
	err := context.Cause(r.ctx)
	if w := r.sched.latest(); w != nil {
		err = r.nodeError(w.i, &nodebus.NodeError{Err: err})
	}
	r.sched.stopped = true
	r.fail(err, &then)
	r.settle(&then)
}

// settle checks whether the run has ended or is in a deadlock. mu is held.
func (r *run) settle(then *after) {
	s := &r.sched
	if s.working > 0 || s.ended {
		return
	}
	if !s.over && s.Pending() > 0 && s.Ready() == 0 && s.deferred == 0 && len(s.questions) == 0 {
		s.stuck = r.cycleError()
		r.fail(s.stuck, then)
	}
	r.checkPlace()
	if s.waiting == 0 && (s.over || s.Pending() == 0) {
		s.ended = true
		close(r.finished)
	}
}

// abandon gives up nodes that do not return when their context ends. These nodes can
// send no more events, and other nodes get their slots and claims.
func (r *run) abandon() {
	var grants []*run
	var keys []string
	var turns []*turn
	r.mu.Lock()
	r.sched.ended = true
	looking := r.sched.looking
	for _, w := range r.sched.workers {
		if w.turn != nil {
			w.turn.over.Store(true)
			turns = append(turns, w.turn)
			w.n.why = &nodeWhy{result: resultInterrupted, reason: "the node did not end with its context"}
			r.sched.known = append(r.sched.known, nodeEnd{at: w.i})
		}
		if w.slot {
			w.slot = false
			if next := r.local.slots.give(r, false); next != nil {
				grants = append(grants, next)
			}
		}
		var then after
		w.dropClaim(&then)
		if then.key != "" {
			keys = append(keys, then.key)
		}
	}
	r.mu.Unlock()
	for _, next := range grants {
		next.granted()
	}
	for _, key := range keys {
		r.local.claims.release(key)
	}
	log := r.local.opts.Logger
	if looking {
		log.Warn("prompt abandoned: a Fingerprint or the cache did not return", "prompt", r.job.Prompt.ID)
	}
	for _, t := range turns { // without the lock, because End publishes
		t.endContexts()
		log.Warn("node abandoned: it did not end with its context", "prompt", r.job.Prompt.ID, "node", t.n.plan.id, "class", t.n.plan.class.Name())
	}
}

// nodeError sets the fields of e that describe node i and the run. mu is held.
func (r *run) nodeError(i int32, e *nodebus.NodeError) *nodebus.NodeError {
	n := r.graph.at(i)
	r.place(n, e)
	e.Executed = r.executed(len(r.sched.known))
	if r.local.cache != nil {
		for k := range r.graph.base {
			e.Cacheable = append(e.Cacheable, r.graph.base[k].plan.id)
		}
	}
	return e
}

// errGoexit is the error of a node that calls runtime.Goexit, for example through
// FailNow of a test.
var errGoexit = errors.New("the node ended its goroutine with runtime.Goexit")
