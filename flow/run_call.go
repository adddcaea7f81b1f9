package flow

import (
	"errors"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// prepare looks up the node's result. It returns true if the node must be called.
func (w *worker) prepare() (calls bool) {
	w.err = nodebus.Protect(func() (err error) {
		calls, w.later, err = w.lookUp()
		return err
	})
	if !calls || w.err != nil {
		return false
	}
	w.err = errGoexit // replaced if compute returns
	return true
}

// lookUp checks whether the node's result is known. calls is true if the node must
// be called. later is true if an equal node is computing the result.
func (w *worker) lookUp() (calls, later bool, err error) {
	switch {
	case w.n.state == nodeCached:
		w.outs, w.ui = w.n.outs, w.n.ui
		return false, false, w.showCached()
	case w.n.exp != nil:
		w.assemble()
		return false, false, nil
	}
	if later, err := w.claim(); later || err != nil {
		return false, later, err
	}
	if w.cached { // an equal node has computed the result meanwhile
		if w.r.acceptsCached(w.n, Result{w.outs, w.ui}) {
			return false, false, w.showCached()
		}
		w.cached, w.outs, w.ui, w.n.stale = false, nil, nil, true
	}
	w.r.tracker.Begin(int(w.n.number))
	return true, false, nil
}

// compute calls the node and publishes its UI output.
func (w *worker) compute() {
	w.err = nodebus.Protect(func() (err error) {
		w.later, err = w.callAll()
		return err
	})
}

// both prepares the node, and calls it if it must be called. It does the same as prepare and
// compute, and costs less.
func (w *worker) both() {
	w.err = nodebus.Protect(func() (err error) {
		var calls bool
		if calls, w.later, err = w.lookUp(); calls && err == nil {
			w.later, err = w.callAll()
		}
		return err
	})
}

// callAll calls the node, once or for each element of its lists. later is true if
// the result needs nodes that this node made and that have not run yet.
func (w *worker) callAll() (later bool, err error) {
	kind, err := w.gather()
	if err != nil {
		return false, err
	}
	if kind != inputsBlocked {
		w.start()
	}
	var res callResult
	switch kind {
	case inputsBlocked:
		res.outs = w.skip(0, w.inputs)
	case inputsSingle:
		res, err = w.turn.callOnce(w.turn.begin(0), w.nextCall(), w.inputs, w.n.outs)
		if w.tries = res.tries; err == nil && w.listLength() > 1 {
			res, err = w.callEach(&res)
		}
	case inputsListed:
		res, err = w.callEach(nil)
	}
	if err != nil {
		return false, err
	}
	w.outs, w.ui = res.outs, res.ui
	if res.unmade || len(w.ui) > 0 || w.key != "" && !w.r.local.own { // otherwise finish does it at once
		w.r.tracker.Quiet(int(w.n.number))
	}
	if res.unmade {
		return true, w.expand()
	}
	w.ran = true
	if len(w.ui) == 0 {
		w.ui = nil
	} else if err := w.showUI(); err != nil {
		return false, err
	}
	w.finish()
	return false, nil
}

// inputKind describes the inputs of a node.
type inputKind uint8

const (
	inputsSingle  inputKind = iota // single values: one call
	inputsListed                   // some inputs are lists: one call for each element
	inputsBlocked                  // an input is blocked, and no input is a list
)

// gather collects the node's inputs in w.inputs.
func (w *worker) gather() (kind inputKind, err error) {
	n := w.n.plan
	inputs := w.inputs[:0]
	for k := range n.args {
		a := &n.args[k]
		val := a.val
		switch {
		case a.src < 0:
			val = n.literal(k, val)
		case n.ports[k].Raw:
			val = nodebus.Link{Node: w.r.node(a.src).plan.id, Slot: int(a.slot)}
		case n.ports[k].Lazy:
			val = lazyArg(k)
		default:
			val = w.r.node(a.src).outs[a.slot]
			switch val.(type) {
			case value.List:
				kind = inputsListed
			case *nodebus.BlockedError:
				if kind == inputsSingle {
					kind = inputsBlocked
				}
			}
		}
		inputs = append(inputs, val)
	}
	w.inputs = inputs
	if n.stray && kind == inputsSingle && w.blockedStray() {
		kind = inputsBlocked
	}
	if n.class.takesList && kind != inputsBlocked {
		return gatherLists(n, inputs)
	}
	return kind, nil
}

// gatherLists prepares the inputs of a node that takes whole lists. Such a node has
// only one call.
func gatherLists(n *planNode, inputs []any) (inputKind, error) {
	for k, val := range inputs {
		list, ok := val.(value.List)
		if !ok {
			if n.ports[k].List && n.args[k].src >= 0 && !n.ports[k].Lazy {
				inputs[k] = value.List{val} // a single value, even if the value is itself a list
			}
			continue
		}
		if isBlocked(list) {
			return inputsBlocked, nil
		}
		if n.ports[k].List || n.ports[k].Lazy {
			continue
		}
		if len(list) == 0 {
			return inputsSingle, emptyList(&n.ports[k])
		}
		inputs[k] = list[0]
	}
	return inputsSingle, nil
}

// lazyArg is the argument of a linked lazy input. Its value is the number of the
// input.
type lazyArg int

// callResult is the result of one call, or the combined result of several calls.
type callResult struct {
	outs   []any
	ui     nodebus.UI
	unmade bool // some outputs come from nodes that have not run yet
	tries  int  // how often the node was called; 0 if nothing is wrapped
}

// collect adds the result of one call. outs holds the list of each output so far.
func (r *callResult) collect(outs []value.List, one callResult) {
	r.unmade = r.unmade || one.unmade
	for o, val := range one.outs {
		if list, ok := val.(value.List); ok {
			outs[o] = append(outs[o], list...)
		} else {
			outs[o] = append(outs[o], val)
		}
	}
	for name, list := range one.ui {
		if r.ui == nil {
			r.ui = nodebus.UI{}
		}
		r.ui[name] = append(r.ui[name], list...)
	}
}

// unlist replaces a list of one value by the value.
func unlist(list value.List) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}

// callOnce calls the node once and stores its outputs in room. It ends ctx. c is a zero
// Call; nil if nothing is wrapped around calls.
func (t *turn) callOnce(ctx *nodebus.Context, c *Call, args, room []any) (res callResult, err error) {
	res, err = t.callRun(ctx, c, args, room)
	if err != nil {
		var b *nodebus.BlockedError
		if errors.As(err, &b) {
			t.blocks(b)
			return callResult{outs: blockedOuts(t.n.plan.class, b), tries: res.tries}, nil
		}
		return res, err
	}
	class := t.n.plan.class
	if class.plainOuts {
		return res, nil
	}
	for o := range res.outs {
		if res.outs[o], err = t.unpack(&class.outputs[o], res.outs[o]); err != nil {
			return res, err
		}
		res.unmade = res.unmade || isUnmade(res.outs[o])
	}
	return res, nil
}

// callRun calls the node's method Run. The context of the call ends when Run
// returns.
func (t *turn) callRun(ctx *nodebus.Context, c *Call, args, room []any) (res callResult, err error) {
	defer ctx.End()
	if c != nil {
		return t.callAround(ctx, c, args, room)
	}
	if res.ui, err = t.call(ctx, args, room); err != nil {
		return callResult{}, err
	}
	res.outs = room
	return res, nil
}

// unpack converts an output field of the node's result to the form that links use: a
// value, a list, a *nodebus.BlockedError or a *madeOutput. A function around the call
// may also have given a plain value for an Out, or any slice for a List.
func (t *turn) unpack(f *field, val any) (any, error) {
	if f.special {
		var err error
		if val, err = t.settle(f, val); err != nil {
			return nil, err
		}
	}
	switch val.(type) {
	case *nodebus.BlockedError, *madeOutput:
		return val, nil
	}
	if !f.List {
		return val, nil
	}
	elems, ok := val.(listValue)
	list := value.List(nil)
	if ok {
		list = elems.Values()
	} else {
		list = value.ListOf(val, f.elem)
	}
	for i := 0; f.special && i < len(list); i++ {
		if _, isOut := list[i].(outPort); !isOut {
			continue
		}
		var err error
		if list[i], err = t.settle(f, list[i]); err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return unlist(list), nil
}

// settle returns what an Out stands for: its value, a *nodebus.BlockedError or a *madeOutput. It
// returns any other val unchanged.
func (t *turn) settle(f *field, val any) (any, error) {
	port, ok := val.(outPort)
	if !ok {
		return val, nil
	}
	out := port.Any()
	switch {
	case out.Blocked != nil:
		return blockOf(f.Name, out.Blocked)
	case t.over.Load(): // the call was left behind
		return nil, nodebus.ErrClosed
	case out.Graph != nil && out.From == (nodebus.Link{}):
		if err := t.runBeside(out.Graph); err != nil {
			return nil, fmt.Errorf("output %q: %w", f.Name, err)
		}
	case out.From != (nodebus.Link{}):
		src, err := t.w.r.addGraph(t.n, out.Graph, out.From)
		return &madeOutput{src, int32(out.From.Slot)}, err
	}
	return out.Value, nil
}

func blockedOuts(c *Class, b *nodebus.BlockedError) []any {
	outs := make([]any, len(c.outputs))
	for o := range outs {
		outs[o] = b
	}
	return outs
}

// skip returns the result of call k, which is not made because an input is blocked.
// skip publishes the reason, if there is one.
func (w *worker) skip(k int, args []any) []any {
	w.turn.blockedBy(args)
	if reason := blockReason(args); reason != "" {
		ctx := w.turn.begin(k)
		defer ctx.End()
		w.turn.notifyBlocked(ctx, reason)
	}
	return blockedOuts(w.n.plan.class, blockedSilently)
}

// blockReason returns the first reason among blocked inputs. After it is published, the
// outputs are blocked without a reason, so that no node publishes it again.
func blockReason(args []any) string {
	for _, a := range args {
		list, ok := a.(value.List)
		if !ok {
			list = value.List{a}
		}
		for _, e := range list {
			if b, ok := e.(*nodebus.BlockedError); ok && b.Reason != "" {
				return b.Reason
			}
		}
	}
	return ""
}

// call calls the node's code.
func (t *turn) call(ctx *nodebus.Context, args, outs []any) (nodebus.UI, error) {
	n := t.n.plan
	if n.stray {
		return nil, n.strayError()
	}
	return n.class.code.run(ctx, n.ports, t.bind(ctx, args), outs)
}

// blockedStray reports whether a linked input that the class does not declare is blocked. The
// node is then not called.
func (w *worker) blockedStray() bool {
	for k := range w.n.plan.extra {
		a := &w.n.plan.extra[k]
		if a.src < 0 || w.n.plan.class.isBelow(a.name) {
			continue
		}
		if outs := w.r.node(a.src).outs; int(a.slot) < len(outs) && a.slot >= 0 {
			if _, blocked := outs[a.slot].(*nodebus.BlockedError); blocked {
				return true
			}
		}
	}
	return false
}

// linkOf returns the link of an input.
func (t *turn) linkOf(port int) nodebus.Link {
	a := &t.n.plan.args[port]
	return nodebus.Link{Node: t.w.r.node(a.src).plan.id, Slot: int(a.slot)}
}
