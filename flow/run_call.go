package flow

import (
	"context"
	"errors"

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
		return false, false, w.showCached()
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
		if res, err = w.callOnce(0, w.inputs, w.n.outs); err == nil && w.listLength() > 1 {
			res, err = w.callEach(&res)
		}
	case inputsListed:
		res, err = w.callEach(nil)
	}
	if err != nil {
		return false, err
	}
	w.outs, w.ui = res.outs, res.ui
	if res.unmade || len(w.ui) > 0 || w.key != "" && w.r.local.recent == nil { // otherwise finish does it at once
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
	c := w.n.plan.class
	inputs := w.inputs[:0]
	for k := range w.n.plan.args {
		a := &w.n.plan.args[k]
		val := a.val
		switch {
		case a.src < 0:
		case c.inputs[k].Lazy:
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
	if c.takesList && kind != inputsBlocked {
		return w.gatherLists(c, inputs)
	}
	return kind, nil
}

// gatherLists prepares the inputs of a node that takes whole lists. Such a node has
// only one call.
func (w *worker) gatherLists(c *Class, inputs []any) (inputKind, error) {
	for k, val := range inputs {
		list, ok := val.(value.List)
		if !ok {
			if c.inputs[k].List && w.n.plan.args[k].src >= 0 && !c.inputs[k].Lazy {
				inputs[k] = value.List{val} // a single value, even if the value is itself a list
			}
			continue
		}
		if isBlocked(list) {
			return inputsBlocked, nil
		}
		if c.inputs[k].List || c.inputs[k].Lazy {
			continue
		}
		if len(list) == 0 {
			return inputsSingle, emptyList(&c.inputs[k])
		}
		inputs[k] = list[0]
	}
	return inputsSingle, nil
}

// lazyArg is the argument of a linked lazy input. Its value is the number of the
// input.
type lazyArg int

// callEach calls the node for each element of its longest list. Shorter lists repeat
// their last element. If a list is empty, callEach makes no call. first is the
// result of the first call if that call was made already, else nil.
func (w *worker) callEach(first *callResult) (total callResult, err error) {
	c := w.n.plan.class
	calls := w.longestList()
	all := make([]value.List, len(c.outputs))
	for o := range all {
		all[o] = make(value.List, 0, calls)
	}
	for k := 0; k < max(calls, w.listLength()); k++ {
		w.call = k
		if err := context.Cause(w.r.ctx); err != nil {
			return total, err
		}
		args := w.argsOf(k)
		var res callResult
		switch {
		case k == 0 && first != nil:
			res = *first
		case isBlocked(args):
			res.outs = w.skip(k, args)
		default:
			if res, err = w.callOnce(k, args, w.roomFor(c)); err != nil {
				return total, err
			}
		}
		total.collect(all, res)
	}
	total.outs = make([]any, len(all))
	for o := range all {
		total.outs[o] = unlist(all[o])
	}
	return total, nil
}

// longestList returns the length of the longest list among the inputs, or 0 if a
// list is empty.
func (w *worker) longestList() (calls int) {
	for _, val := range w.inputs {
		if list, ok := val.(value.List); ok {
			if len(list) == 0 {
				return 0
			}
			calls = max(calls, len(list))
		}
	}
	return calls
}

// listLength returns the length of the longest list that a lazy input has returned
// so far.
func (w *worker) listLength() int {
	if !w.n.plan.class.lazy {
		return 0
	}
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return int(w.turn.length)
}

// roomFor returns a reused slice for the outputs of one call of several.
func (w *worker) roomFor(c *Class) []any {
	if cap(w.room) < len(c.outputs) {
		w.room = make([]any, len(c.outputs))
	}
	return w.room[:len(c.outputs)]
}

// argsOf returns the inputs of call k.
func (w *worker) argsOf(k int) []any {
	args := append(w.args[:0], w.inputs...)
	for i, val := range args {
		if list, ok := val.(value.List); ok {
			args[i] = list[min(k, len(list)-1)]
		}
	}
	w.args = args
	return args
}

func isBlocked(args []any) bool {
	for _, a := range args {
		if _, ok := a.(*nodebus.BlockedError); ok {
			return true
		}
	}
	return false
}

// callResult is the result of one call, or the combined result of several calls.
type callResult struct {
	outs   []any
	ui     nodebus.UI
	unmade bool // some outputs come from nodes that have not run yet
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

// callOnce calls the node once and stores its outputs in room.
func (w *worker) callOnce(k int, args, room []any) (res callResult, err error) {
	c := w.n.plan.class
	out, err := w.callRun(k, args)
	if err != nil {
		var b *nodebus.BlockedError
		if errors.As(err, &b) {
			w.turn.blocks(b)
			return callResult{outs: blockedOuts(c, b)}, nil
		}
		return res, err
	}
	res.outs = room
	res.ui = c.split(out, res.outs)
	if c.plainOuts {
		return res, nil
	}
	for o := range res.outs {
		if res.outs[o], err = w.unpack(&c.outputs[o], res.outs[o]); err != nil {
			return res, err
		}
		_, unmade := res.outs[o].(*madeOutput)
		res.unmade = res.unmade || unmade
	}
	return res, nil
}

// callRun calls the node's method Run. The context of the call ends when Run
// returns.
func (w *worker) callRun(k int, args []any) (any, error) {
	t := w.turn
	ctx := t.begin(k)
	defer ctx.End()
	c := w.n.plan.class
	if c.lazy {
		args = append([]any(nil), args...)
		for i, a := range args {
			if port, ok := a.(lazyArg); ok {
				args[i] = getter(func(gctx context.Context) (any, error) {
					if ctx.Ended() {
						return nil, nodebus.ErrClosed
					}
					return t.input(gctx, int(port), k)
				})
			}
		}
	}
	return c.run(ctx, args)
}

// unpack converts an output field of the node's result to the form that links use: a
// value, a list, a *nodebus.BlockedError or a *madeOutput.
func (w *worker) unpack(f *field, val any) (any, error) {
	if f.special {
		out := val.(outPort).Any()
		switch {
		case out.Blocked != nil:
			return blockOf(f.Name, out.Blocked)
		case out.Graph != nil || out.From != (nodebus.Link{}):
			src, err := w.r.addGraph(w.n, out.Graph, out.From)
			return &madeOutput{src, int32(out.From.Slot)}, err
		}
		val = out.Value
	}
	if f.List {
		return unlist(val.(listValue).Values()), nil
	}
	return val, nil
}

func blockedOuts(c *Class, b *nodebus.BlockedError) []any {
	outs := make([]any, len(c.outputs))
	for o := range outs {
		outs[o] = b
	}
	return outs
}

// skip returns the result of call k, which is not made because an input is blocked.
// skip publishes the reason, if there is one; the outputs are blocked without a
// reason, so that no node publishes it again.
func (w *worker) skip(k int, args []any) []any {
	w.turn.blockedBy(args)
	for _, a := range args {
		list, ok := a.(value.List)
		if !ok {
			list = value.List{a}
		}
		for _, e := range list {
			if b, ok := e.(*nodebus.BlockedError); ok && b.Reason != "" {
				ctx := w.turn.begin(k)
				defer ctx.End()
				w.turn.notifyBlocked(ctx, b.Reason)
				return blockedOuts(w.n.plan.class, blockedSilently)
			}
		}
	}
	return blockedOuts(w.n.plan.class, blockedSilently)
}
