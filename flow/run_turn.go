package flow

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// turn is the part of a node's turn that the node's code may still use after the
// turn has ended. It is the Runtime of the node's contexts.
type turn struct {
	w     *worker
	n     *runNode
	first nodebus.Context                 // context of the first call
	later atomic.Pointer[nodebus.Context] // context of the last call, if there is more than one; else nil
	over  atomic.Bool                     // the turn has ended or was abandoned; w may run another node now

	// run.mu guards the fields below.
	length  int32    // length of the longest list that a lazy input returned
	waits   int32    // number of calls of await that have not returned
	calls   int16    // number of calls that run side by side; 0 if calls are made one after another
	rests   bool     // the node counts as waiting
	learned *learned // what the turn has learned about blocked and failed nodes; nil: nothing
}

// textPause joins the tokens of a language model to events. People do not notice the delay.
const textPause = 20 * time.Millisecond

// begin returns the context of call k.
func (t *turn) begin(k int) *nodebus.Context {
	if k == 0 {
		t.first.Begin(t.w.r.calls, t.n.plan.place(), 0, t)
		return &t.first
	}
	p := &part{turn: t, k: k}
	if t.later.Store(&p.ctx); t.over.Load() {
		p.ctx.End()
	}
	p.ctx.Begin(t.w.r.calls, t.n.plan.place(), k, p)
	return &p.ctx
}

// current returns the context of the last call.
func (t *turn) current() *nodebus.Context {
	if c := t.later.Load(); c != nil {
		return c
	}
	return &t.first
}

// endContexts ends the contexts of an abandoned node, so that the node can send no more
// events. over is true. No lock is held, because End publishes the rest of a text.
func (t *turn) endContexts() {
	t.first.End()
	t.current().End()
}

// Graph returns the nodes of the prompt and the nodes made at run time so far.
func (t *turn) Graph() nodebus.Nodes {
	r := t.w.r
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Concat(r.job.Prompt.Nodes, r.graph.specs)
}

// Progress receives a progress report of the node.
func (t *turn) Progress(value, max float64) error {
	return t.w.r.tracker.Progress(int(t.n.number), value, max)
}

// waiter is one call of await or Await. In the schedule, a stand-in replaces the waiting
// node.
type waiter struct {
	t       *turn
	resumed chan struct{} // closed when the node may continue
	gone    bool          // the call no longer waits; guarded by run.mu
}

// Input waits for the lazy input with this name; see [nodebus.Runtime].
func (t *turn) Input(ctx context.Context, name string) (any, error) { return t.inputOf(ctx, name, 0) }

// inputOf is Input for the given call of the node.
func (t *turn) inputOf(ctx context.Context, name string, call int) (any, error) {
	for k := range t.n.plan.ports {
		if f := &t.n.plan.ports[k]; f.Name == name && f.Kind != PortHidden {
			val, err := t.input(ctx, k, call)
			if val == notGiven {
				val = nil
			}
			return val, err
		}
	}
	return nil, &nodebus.InputError{Input: name, Err: ErrNotFound}
}

// input waits for input k. If the input is a list, input returns the element for the
// given call of the node.
func (t *turn) input(ctx context.Context, k, call int) (any, error) {
	a := t.n.plan.args[k]
	if a.src < 0 {
		return t.n.plan.literal(k, a.value()), nil
	}
	values, err := t.await(ctx, madeOutput{a.src, a.slot})
	if err != nil {
		return nil, err
	}
	val, f := values[0], &t.n.plan.ports[k]
	if list, ok := val.(value.List); ok && !f.List {
		if len(list) == 0 {
			return nil, emptyList(f)
		}
		if !t.n.plan.class.takesList {
			t.lengthen(len(list))
		}
		val = list[min(call, len(list)-1)]
	}
	return t.unblock(val, a.src)
}

func emptyList(f *field) error {
	return &nodebus.InputError{Input: f.Name, Err: errors.New("got an empty list where one value is needed")}
}

// lengthen records the length of a list that a lazy input returned. The node is then
// called for each element.
func (t *turn) lengthen(n int) {
	t.w.r.mu.Lock()
	defer t.w.r.mu.Unlock()
	t.length = max(t.length, int32(min(n, math.MaxInt32)))
}

// unblock returns an error for a blocked value, of node src, and publishes the reason. A
// node that returns this error is blocked too.
func (t *turn) unblock(val any, src int32) (any, error) {
	list, isList := val.(value.List)
	b, _ := val.(*nodebus.BlockedError)
	for k := 0; b == nil && k < len(list); k++ {
		b, _ = list[k].(*nodebus.BlockedError)
	}
	switch {
	case b != nil:
		t.asks(src, b.Reason)
		if b.Reason != "" {
			t.notifyBlocked(t.current(), b.Reason)
		}
		return nil, blockedSilently
	case isList:
		return []any(list), nil
	}
	return val, nil
}

// blockedSilently blocks a node without a reason, because the reason was published
// already.
var blockedSilently = &nodebus.BlockedError{}

// blockedExecuted is the maximum number of executed nodes that a notice about a
// blocked node lists. It limits the total size, because a prompt may have as many
// notices as nodes.
const blockedExecuted = 100

// notifyBlocked publishes the reason why the node is skipped. The prompt continues.
func (t *turn) notifyBlocked(c *nodebus.Context, reason string) {
	r := t.w.r
	r.mu.Lock()
	executed := r.executed(blockedExecuted)
	r.mu.Unlock()
	_ = c.SendSync(nodebus.ExecutionError{ // the node does not fail if the notice cannot be sent
		PromptID: r.job.Prompt.ID, NodeID: t.n.plan.id, Class: t.n.plan.class.Name(), Executed: executed,
		ExceptionMessage: "Execution Blocked: " + reason, ExceptionType: nodebus.ExecutionBlocked,
	})
}

// await waits for outputs of other nodes. The waiting node's slot is free during the
// wait. When the node continues, the tracker publishes again that it runs. The methods
// of ctx are foreign code: they are called without the lock, and no panic of them skips
// endWait.
func (t *turn) await(ctx context.Context, outs ...madeOutput) ([]any, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	done := ctx.Done()
	if values, err := t.w.r.findOutputs(outs); values != nil || err != nil {
		return values, err
	}
	w, err := t.beginWait(outs)
	switch {
	case err != nil:
		return nil, err
	case w == nil:
		return t.outsOf(outs)
	}
	if err := t.wait(ctx, done, w); err != nil {
		return nil, err
	}
	return t.outsOf(outs)
}

// wait waits until the node may continue, or until ctx ends. done is the result of
// ctx.Done.
func (t *turn) wait(ctx context.Context, done <-chan struct{}, w *waiter) error {
	r := t.w.r
	select {
	case <-w.resumed:
	case <-done:
	case <-r.ctx.Done():
	}
	cause := nodebus.Protect(func() error { return context.Cause(ctx) })
	if err := t.endWait(w, cause); err != nil {
		return err
	}
	if !r.tracker.Resume(int(t.n.number)) {
		return nodebus.ErrClosed
	}
	return nil
}

// beginWait schedules the nodes of outs and a stand-in for the waiting node. It
// releases the node's slot and claim for others. If all outputs are available already,
// beginWait returns a nil waiter.
func (t *turn) beginWait(outs []madeOutput) (w *waiter, err error) {
	r := t.w.r
	var then after
	r.mu.Lock()
	defer r.unlock(&then)
	var fresh []int32
	for _, o := range outs {
		if r.graph.at(o.src).state == nodeFresh {
			fresh = append(fresh, o.src)
		}
	}
	switch {
	case t.over.Load():
		return nil, nodebus.ErrClosed
	case len(fresh) > 0 && r.sched.over:
		return nil, r.sched.err
	case len(fresh) > 0:
		r.need(t.n, fresh...)
		fresh = slices.DeleteFunc(fresh, func(src int32) bool { return r.graph.at(src).state != nodeFresh })
	}
	if t.has(outs) {
		return nil, nil
	}
	w = &waiter{t: t, resumed: make(chan struct{})}
	i := r.graph.addStandIn(w)
	r.sched.StandIn(i, t.w.i)
	for _, src := range fresh {
		r.sched.Link(src, i)
	}
	r.sched.Open(i)
	t.beginWaiting(&then)
	return w, nil
}

// beginWaiting counts a call of await or Await. It releases the node's claim, and its slot
// if the node rests. mu is held.
func (t *turn) beginWaiting(then *after) {
	t.waits++
	t.w.dropClaim(then)
	t.rest(then)
	t.w.r.startWorkers()
}

// endWait ends a wait. It returns nil only if the wait was resumed and the run goes
// on. cause is the reason why the context of the wait has ended; nil if it has not
// ended.
func (t *turn) endWait(w *waiter, cause error) error {
	r := t.w.r
	r.mu.Lock()
	defer r.mu.Unlock()
	over := t.over.Load()
	if !w.gone { // the caller gives up and continues without a slot
		w.gone = true
		if t.waits--; !over && t.goOn() {
			r.checkPlace()
		}
	} else if r.sched.err == nil && cause == nil && !over {
		return nil
	}
	ended := context.Cause(r.ctx)
	switch {
	case over:
		return nodebus.ErrClosed
	case r.sched.err != nil && ended != nil:
		return ended
	case r.sched.err != nil: // the goroutine that ended the run cancels the context next
		return r.sched.err
	case cause != nil:
		return cause
	case ended != nil:
		return ended
	}
	return context.Canceled // Done of the context is closed, but its Err returns nil
}

// showCached publishes the UI output of a node whose result was known before its
// turn.
func (w *worker) showCached() error {
	w.cached = true
	err := w.showUI()
	w.r.tracker.Finish(int(w.n.number))
	w.tellDone()
	return err
}

// showUI publishes the UI output of the node. It returns an error only if the output
// cannot be encoded. If no client can be reached, the node does not fail.
func (w *worker) showUI() error {
	err := w.r.tracker.Executed(int(w.n.number), w.ui)
	var bad *nodebus.EncodeError
	if errors.As(err, &bad) {
		return err
	}
	return nil
}

// finish caches the node's result and publishes that the node is done.
func (w *worker) finish() {
	if keep := w.mayKeep(); keep && w.key != "" && !w.turn.over.Load() {
		w.r.keep(w.n.plan, w.key, Result{Outputs: w.outs, UI: w.ui})
	}
	w.r.tracker.Finish(int(w.n.number))
	w.tellDone()
}
