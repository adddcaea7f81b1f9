package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// CallFunc makes one call of a node and returns its result; see [Around].
type CallFunc func(ctx *nodebus.Context, call *Call) (Result, error)

// Around wraps the calls of all nodes of a [Local], as an HTTP middleware wraps the
// handling of requests. It returns a CallFunc that does something before or after next,
// or instead of next. Package [github.com/nodebus/nodebus/flow/around] has functions that
// retry, limit the time and log.
//
//   - ctx has the ids of the prompt and of the node. It is the context of the whole call.
//   - next calls the node. If the node panics, next returns a [*nodebus.PanicError]. It may be
//     called again, to try again, also from several
//     goroutines. In each try the node has a Context of its own, which ends when next
//     returns. So a goroutine that an earlier try left behind cannot send events, ask
//     for inputs or run graphs during a later try. Graphs of later tries have other ids.
//   - [nodebus.Context.With] gives the node another deadline, or values.
//   - To replace the result, or to run the node elsewhere, return without calling next.
//     Result.Outputs has a value for each output of the class: what Run returns for it, what
//     [Class.Call] returns for it, or a [*nodebus.BlockedError]. The cache keeps the
//     result that the outermost function returns.
//   - An error fails the node, and a [*nodebus.BlockedError] blocks it, as if Run had
//     returned it. So does a panic, and runtime.Goexit.
//
// If a node is called for each element of a list, each element is a call; its number is
// the Index of ctx. A call includes the time that the node waits for lazy inputs, for
// graphs and for answers. It does not include the nodes of a graph that the node returns
// in a [nodebus.Out]. Nodes made at run time are wrapped too; the ParentID of their
// Place is the node that made them. A node that is not called, because an input is
// blocked, is not wrapped.
//
// NewLocal calls each Around once. The CallFunc must be safe for concurrent use.
type Around func(next CallFunc) CallFunc

// Call describes a call of a node for functions around it; see [Around].
type Call struct {
	Class *Class
	// Cached says that the node's result is known, so that the node is not called: next
	// returns the cached result, and a result that a function returns instead is ignored.
	// If a function returns an error, the cached result is not used: the node is called, if
	// any node needs its result, and that is another Call. A list counts as one call.
	Cached bool

	ctx      *nodebus.Context // of the whole call
	turn     *turn            // nil if Cached
	ports    []field
	args     []any   // one for each port
	known    *Result // if Cached
	attempts atomic.Int32
	first    nodebus.Context // of the first try
	fewArgs  [2]any          // room for args
	fewOuts  [1]any          // room for the outputs of the first try
}

// Attempts returns how many times next has begun to call the node, from 0. A function that
// calls next and then Attempts learns the number of its try.
func (c *Call) Attempts() int { return int(c.attempts.Load()) }

// Inputs returns the inputs of the call by name, in the form that [Class.Call] takes. It
// leaves out hidden inputs, inputs that are not given, and lazy inputs that are linked: the
// Runtime of the context has those, and Class.Call finds them there. A linked lazy input
// below a dynamic input is a [nodebus.Link], so that the class knows its name. If Cached is true, it
// leaves out all linked inputs. A list is a []any. Do not modify the values: other nodes
// share them.
func (c *Call) Inputs() nodebus.Inputs {
	in := nodebus.Inputs{}
	for k, val := range c.args {
		f := &c.ports[k]
		if port, lazy := val.(lazyArg); lazy && f.parent != nil {
			val = c.turn.linkOf(int(port))
		} else if lazy || f.isSet() || val == notGiven {
			continue
		}
		if list, ok := val.(value.List); ok {
			val = slices.Clone([]any(list))
		}
		in[f.Name] = val
	}
	return in
}

// wrapCalls returns callNode inside the given functions; nil if there are none.
func wrapCalls(all []Around) (outer CallFunc) {
	for _, a := range slices.Backward(all) {
		switch {
		case a == nil:
		case outer == nil:
			outer = a(callNode)
		default:
			outer = a(outer)
		}
	}
	return outer
}

var errNoCall = errors.New("nodebus: next needs the Call that the function around it received")

// callNode is the innermost CallFunc. It calls the node.
func callNode(ctx *nodebus.Context, c *Call) (res Result, err error) {
	switch {
	case c.Cached:
		return *c.known, nil
	case c.turn == nil:
		return res, errNoCall
	case ctx.Ended() || c.ctx.Ended():
		return res, nodebus.ErrClosed
	}
	try, room := &c.first, c.fewOuts[:0]
	if c.attempts.Add(1) > 1 {
		try, room = &nodebus.Context{}, nil
	}
	try.BeginWithin(ctx, ctx.Context, ctx.Index(), ctx.Runtime())
	defer try.End()
	err = nodebus.Protect(func() error {
		outs := slices.Grow(room, len(c.Class.outputs))[:len(c.Class.outputs)]
		ui, err := c.turn.call(try, c.args, outs)
		if err == nil {
			res = Result{Outputs: outs, UI: ui}
		}
		return err
	})
	return res, err
}

// callAround calls the node through the functions around calls. It stores the outputs in
// room. c is a zero Call.
func (t *turn) callAround(ctx *nodebus.Context, c *Call, args, room []any) (res callResult, err error) {
	around := t.w.r.local.around
	c.Class, c.ports, c.ctx, c.turn = t.n.plan.class, t.n.plan.ports, ctx, t
	c.args = append(c.fewArgs[:0], args...) // a try may go on after this call, and args is used again
	got, err := around(ctx, c)
	res.tries = c.Attempts()
	if err != nil {
		return res, err
	}
	if len(got.Outputs) != len(room) {
		return res, fmt.Errorf("nodebus: a function around the call returned %d outputs, but class %s has %d", len(got.Outputs), c.Class.Name(), len(room))
	}
	copy(room, got.Outputs)
	res.outs, res.ui = room, got.UI
	return res, nil
}

// nextCall returns a zero Call; nil if nothing is wrapped around calls.
func (w *worker) nextCall() *Call {
	if w.r.local.around == nil {
		return nil
	}
	if len(w.spareCalls) == 0 { // few at first, as in nextTurn
		w.callSlab = min(2*w.callSlab+1, 16)
		w.spareCalls = make([]Call, w.callSlab)
	}
	c := &w.spareCalls[0]
	w.spareCalls = w.spareCalls[1:]
	return c
}

// bind returns the arguments of a call whose context is ctx: it replaces the lazy ones by
// functions that wait for the input, and literals by copies where calls must not share them.
func (t *turn) bind(ctx *nodebus.Context, args []any) []any {
	n := t.n.plan
	if !n.class.lazy && (!n.class.copies || !slices.ContainsFunc(n.args, isCopied)) {
		return args
	}
	args = slices.Clone(args)
	for i, a := range args {
		if n.args[i].src == copied {
			args[i] = n.args[i].value()
			continue
		}
		if port, ok := a.(lazyArg); ok {
			args[i] = getter(func(gctx context.Context) (any, error) {
				if ctx.Ended() {
					return nil, nodebus.ErrClosed
				}
				return t.input(gctx, int(port), ctx.Index())
			})
		}
	}
	return args
}

// showCachedCalls shows the cached results of the prompt to the functions around calls. It
// returns the ids of the nodes whose results are used.
func (r *run) showCachedCalls(ids []string) []string {
	if r.local.around == nil || len(ids) == 0 {
		return ids
	}
	used := ids[:0]
	for i := range r.graph.base {
		n := &r.graph.base[i]
		switch {
		case n.state != nodeCached:
		case r.acceptsCached(n, Result{n.outs, n.ui}):
			used = append(used, n.plan.id)
		default:
			n.state, n.outs, n.ui, n.stale = nodeFresh, make([]any, len(n.outs)), nil, true
		}
	}
	return used
}

// acceptsCached reports whether a cached result of node n is used. The functions around calls
// decide that. If they refuse it, the caller sets n.stale, so that they are not asked again.
func (r *run) acceptsCached(n *runNode, known Result) bool {
	if r.local.around == nil || n.stale {
		return !n.stale
	}
	c := &Call{Class: n.plan.class, ports: n.plan.ports, Cached: true, known: &known}
	for k := range n.plan.args {
		val := n.plan.args[k].val
		if n.plan.args[k].src >= 0 {
			val = notGiven
		}
		c.args = append(c.args, val)
	}
	err := nodebus.Protect(func() error {
		c.ctx = &nodebus.Context{}
		c.ctx.Begin(r.calls, n.plan.place(), 0, nil)
		defer c.ctx.End()
		_, err := r.local.around(c.ctx, c)
		return err
	})
	return err == nil
}
