package flow

import (
	"context"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// learned is what a turn has learned about blocked and failed nodes. run.mu guards it. A nil
// learned is empty.
type learned struct {
	why    *nodeWhy             // the node is blocked
	asked  *nodeWhy             // the node has asked for a value that is blocked
	lost   []*nodebus.NodeError // the errors that the node has received instead of values
	own    *nodebus.NodeError   // the last of these errors that is of a node which the node made
	unkept bool                 // the result depends on such an error, or on an answer: it is not cached
}

func (l *learned) whyBlocked() *nodeWhy {
	if l == nil {
		return nil
	}
	return l.why
}

func (l *learned) isUnkept() bool { return l != nil && l.unkept }

// learn calls f with what the turn has learned, and holds mu meanwhile.
func (t *turn) learn(f func(l *learned)) {
	t.w.r.mu.Lock()
	defer t.w.r.mu.Unlock()
	if t.learned == nil {
		t.learned = &learned{}
	}
	f(t.learned)
}

// blockedBy notes that a call of the node is skipped, because some of args are blocked. They
// belong to the inputs of the node.
func (t *turn) blockedBy(args []any) {
	t.learn(func(l *learned) {
		for k, val := range args {
			b := blockIn(val, true)
			if src := t.n.plan.args[k].src; b != nil && src >= 0 && (l.why == nil || l.why.reason == "" && b.Reason != "") {
				l.why = t.w.r.blocked(t.w.r.graph.at(src), value.Shorten(b.Reason))
			}
		}
	})
}

// asks notes that the node has asked for a blocked value of node src.
func (t *turn) asks(src int32, reason string) {
	t.learn(func(l *learned) { l.asked = t.w.r.blocked(t.w.r.graph.at(src), value.Shorten(reason)) })
}

// blocks notes that the node has returned b.
func (t *turn) blocks(b *nodebus.BlockedError) {
	t.learn(func(l *learned) {
		switch {
		case b == blockedSilently:
			l.why = l.asked
		case b.Reason != "":
			l.why = &nodeWhy{result: resultBlocked, reason: value.Shorten(b.Reason), by: t.n.plan.id}
		}
	})
}

// received returns an output of node n, which has ended, for the node of t. If node n is
// lost, the error is the error of the node that has failed. mu is held.
func (t *turn) received(n *runNode, slot int32) (any, error) {
	if n.state != nodeLost && !n.unkept {
		return n.outs[slot], nil
	}
	t.mustNotKeep()
	if n.state != nodeLost {
		return n.outs[slot], nil
	}
	t.learned.lost = append(t.learned.lost, n.why.err)
	if made := n.plan.made; made != nil && made.parentID == t.n.plan.id {
		t.learned.own = n.why.err
	}
	return nil, n.why.err
}

// outOf is received, for callers that do not hold mu.
func (t *turn) outOf(n *runNode, slot int32) (any, error) {
	if !t.w.r.tainted.Load() {
		return n.outs[slot], nil
	}
	t.w.r.mu.Lock()
	defer t.w.r.mu.Unlock()
	return t.received(n, slot)
}

// mayKeep reports whether the node's result may be cached. It may not if it depends on a
// node that has handled the error of another node, or that has asked clients: the next time
// there may be no error, or another answer, but the key of the result would be the same.
func (w *worker) mayKeep() bool {
	r := w.r
	if !r.tainted.Load() {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := w.n
	n.unkept = n.unkept || w.turn.learned.isUnkept()
	for at := 0; ; at++ {
		src, more := n.plan.source(at)
		if !more {
			return !n.unkept
		}
		if isLazy := at < len(n.plan.args) && n.plan.ports[at].Lazy; src >= 0 && !isLazy {
			n.unkept = n.unkept || r.graph.at(src).unkept
		}
	}
}

// mustNotKeep notes that the node's result must not be cached. mu is held.
func (t *turn) mustNotKeep() {
	if t.learned == nil {
		t.learned = &learned{}
	}
	t.learned.unkept = true
	t.w.r.tainted.Store(true)
}

// assembled notes what the node has learned from the nodes of its expansion.
func (w *worker) assembled(exp *expansion) {
	var made *runNode
	r := w.r
	r.mu.Lock()
	eachMade(exp.outs, func(o *madeOutput) {
		made = r.graph.at(o.src)
		w.n.unkept = w.n.unkept || made.unkept
	})
	r.mu.Unlock()
	for _, out := range w.outs {
		if _, blocked := out.(*nodebus.BlockedError); !blocked {
			return
		}
	}
	if made != nil {
		w.turn.learn(func(l *learned) { l.why = r.blocked(made, w.outs[0].(*nodebus.BlockedError).Reason) })
	}
}

// failed notes why the turn of w failed, if it did. If the prompt continues after errors,
// failed publishes the error. It is called before mu is locked, because the methods of the
// error are foreign code.
func (w *worker) failed() {
	t, r := w.turn, w.r
	if t == nil || w.err == nil || t.over.Load() {
		return
	}
	text := value.Shorten(errorText(w.err))
	if cause := context.Cause(r.ctx); cause != nil {
		switch interrupted := isAny(w.err, cause, context.Canceled, context.DeadlineExceeded, nodebus.ErrClosed); {
		case !interrupted:
			w.lost = &nodeWhy{result: resultError, reason: text}
		case w.began != 0: // otherwise the prompt has ended before the node began
			w.lost = &nodeWhy{result: resultInterrupted}
		}
		return
	}
	w.lost = &nodeWhy{result: resultError, reason: text, cause: text}
	if isAny(w.err, nodebus.ErrInterrupted) {
		w.lost.result = resultInterrupted
	}
	if !r.job.Prompt.Policy.Continue || endsPrompt(w.err) {
		return
	}
	found, _ := asError[*nodebus.NodeError](w.err)
	light := &nodebus.NodeError{Place: w.n.plan.place(), Class: w.n.plan.class.Name(), Index: w.call, Err: w.err}
	what := describeFailure(light)
	what.PromptID = r.job.Prompt.ID
	if w.tries > 1 {
		what.Attempt = w.tries
	}
	r.errors.Lock()
	defer r.errors.Unlock()
	r.tracker.Fail(int(w.n.number), r.noteFailure(w, light, found, what))
}

// describeFailure returns the event about an error of a node. If a method of the error
// panics, the event is about the panic.
func describeFailure(e *nodebus.NodeError) (f nodebus.NodeFailed) {
	panicked := nodebus.Protect(func() error { f = nodeFailed(e, executionError(e, e)); return nil })
	if panicked != nil {
		own := *e
		own.Err = panicked
		f = nodeFailed(&own, executionError(&own, &own))
	}
	return f
}

// noteFailure notes the error e of the node of w. found is an error that e wraps. It returns
// the event to publish; nil if the error is the first, which ends the prompt later, or if the
// node only passes on the error of another node.
func (r *run) noteFailure(w *worker, e, found *nodebus.NodeError, what nodebus.NodeFailed) *nodebus.NodeFailed {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := w.turn.learned; l != nil && found != nil && slices.Contains(l.lost, found) {
		w.lost.err, w.lost.by = found, found.UniqueID
		if found != l.own {
			w.lost.result, w.lost.reason = resultSkipped, ""
		}
		return nil
	}
	w.lost.err = e
	r.place(w.n, e)
	if n := len(r.sched.failures); n < recordErrors {
		if r.sched.failures = append(r.sched.failures, what); n >= recordTraces {
			r.sched.failures[n].Traceback = nil
		}
	}
	if r.sched.first != nil {
		return &what
	}
	e.Inputs = w.shownInputs()
	r.sched.first = r.nodeError(w.i, e)
	r.tainted.Store(true)
	return nil
}

// cycle is the failure of nodes that wait for each other, in a prompt that continues.
type cycle struct {
	number int                 // of a node, in the tracker
	what   *nodebus.NodeFailed // the event to publish; nil if it is the first error
}

// noteCycle notes the error of nodes that wait for each other. It returns nil if there is no
// such error, or if the prompt does not continue after errors. mu is held.
func (r *run) noteCycle() *cycle {
	e, ok := r.sched.stuck.(*nodebus.NodeError) //nolint:errorlint // our own
	if !ok || !r.job.Prompt.Policy.Continue {
		return nil
	}
	i, ok := r.graph.byID[e.UniqueID]
	if !ok {
		i = r.plan.byID[e.UniqueID]
	}
	n := r.graph.at(i)
	what := describeFailure(e)
	what.Place, what.PromptID = n.plan.place(), r.job.Prompt.ID
	n.why = &nodeWhy{result: resultError, reason: ErrCycle.Error(), err: e}
	r.sched.known = append(r.sched.known, nodeEnd{at: i})
	if len(r.sched.failures) < recordErrors {
		r.sched.failures = append(r.sched.failures, what)
	}
	if r.sched.first == nil {
		return &cycle{number: int(n.number)}
	}
	return &cycle{number: int(n.number), what: &what}
}

// drop ends node i, which has failed or needs a node that has failed, and the nodes that
// wait for it. A node that waits in the middle of a call goes on, with the error. then may be
// nil if no expanded node can wait for i. mu is held.
func (r *run) drop(i int32, why *nodeWhy, then *after) {
	n := r.graph.at(i)
	n.state, n.exp = nodeLost, nil
	r.sched.Fail(i, func(x int32) bool {
		n := r.graph.at(x)
		if n.plan == nil {
			return false
		}
		r.skip(x, why)
		if n.exp != nil {
			r.failExpansion(n)
			then.failed = append(then.failed, int(n.number))
		}
		return true
	})
}

// skip notes that node x does not run, because of why. mu is held.
func (r *run) skip(x int32, why *nodeWhy) {
	n := r.graph.at(x)
	n.state = nodeLost
	n.why = &nodeWhy{result: resultSkipped, by: why.err.UniqueID, err: why.err, cause: why.cause}
	r.sched.known = append(r.sched.known, nodeEnd{at: x})
}

// failExpansion ends a skipped node that waits for nodes which it needs for its result. If it
// has made them itself, it counts as failed. mu is held.
func (r *run) failExpansion(n *runNode) {
	eachMade(n.exp.outs, func(o *madeOutput) {
		src := r.graph.at(o.src)
		if made := src.plan.made; src.state == nodeLost && made != nil && made.parentID == n.plan.id {
			n.why.result, n.why.reason = resultError, n.why.cause
		}
	})
	n.why.began, n.why.ended = n.exp.began, r.clock()
	n.exp = nil
}

// dropLost drops the nodes that have just been scheduled and that need a lost node. Their
// sources are linked, but they are not open yet. mu is held.
func (r *run) dropLost(added []int32) {
	for _, i := range added {
		n := r.graph.at(i)
		if n.state != nodeFresh {
			continue
		}
		for at := 0; ; at++ {
			src, more := n.plan.source(at)
			if !more {
				break
			}
			if src < 0 || r.graph.at(src).state != nodeLost || at < len(n.plan.args) && n.plan.ports[at].Lazy {
				continue
			}
			why := r.graph.at(src).why
			r.skip(i, why)
			r.drop(i, why, nil)
			break
		}
	}
}

// lose ends the run because the node of w failed. If the prompt continues, lose ends only
// the node, and the nodes that need it. mu is held.
func (r *run) lose(w *worker, then *after) {
	if r.sched.over { // the run had ended already
		if w.lost != nil {
			w.known(w.lost)
		}
		return
	}
	if w.lost != nil && w.lost.err != nil {
		w.known(w.lost)
		r.drop(w.i, w.lost, then)
		return
	}
	e := &nodebus.NodeError{Err: w.err, Index: w.call, Inputs: w.shownInputs()}
	if cause := context.Cause(r.ctx); cause != nil { // the node failed because the context has ended
		e.Err, r.sched.stopped = cause, true
	}
	if w.lost != nil {
		w.known(w.lost)
	}
	r.fail(r.nodeError(w.i, e), then)
}

// shownInputs returns the inputs of the current call as plain values, for the error
// message of a node that fails.
func (w *worker) shownInputs() map[string][]any {
	in := map[string][]any{}
	for k := range w.n.plan.ports {
		f := &w.n.plan.ports[k]
		if f.isSet() || k >= len(w.inputs) || w.inputs[k] == notGiven {
			continue
		}
		list, ok := w.inputs[k].(value.List)
		if !ok {
			list = value.List{w.inputs[k]}
		}
		list = list[:min(len(list), 100)]
		shown := make([]any, len(list))
		for i, e := range list {
			if _, isLazy := e.(lazyArg); isLazy {
				shown[i] = "lazy"
			} else {
				shown[i] = value.Shown(bareLink(e))
			}
		}
		in[f.Name] = shown
	}
	return in
}

// bareLink returns a link in its form on the wire, and any other value unchanged.
func bareLink(v any) any {
	if l, ok := v.(nodebus.Link); ok {
		return []any{l.Node, l.Slot}
	}
	return v
}
