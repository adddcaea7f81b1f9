package flow

import (
	"context"
	"errors"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// inputKind says how the inputs of a visit came.
type inputKind uint8

const (
	single  inputKind = iota // one value each: one call
	listed                   // lists among them: a call for each element
	stopped                  // something is blocked, and no input is a list
)

// run calls the node as often as its inputs ask for.
func (w *worker) run() (later bool, err error) {
	kind, err := w.gather()
	if err != nil {
		return false, err
	}
	c := w.n.plan.class
	var res callResult
	switch kind {
	case stopped:
		res.outs = w.skip(w.base)
	case single:
		if res, err = w.call(0, w.base, w.n.outs); err == nil && w.length() > 1 {
			res, err = w.each(c, &res)
		}
	default:
		res, err = w.each(c, nil)
	}
	if err != nil {
		return false, err
	}
	w.r.progress.hush(w.n)
	w.outs, w.ui = res.outs, res.ui
	if res.deferred {
		return true, w.expand()
	}
	return false, w.finish()
}

// gather collects what the node's inputs are, in w.base.
func (w *worker) gather() (kind inputKind, err error) {
	c := w.n.plan.class
	base := w.base[:0]
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
				kind = listed
			case *nodebus.BlockedError:
				if kind == single {
					kind = stopped
				}
			}
		}
		base = append(base, val)
	}
	w.base = base
	if c.takesList && kind != stopped {
		return w.gatherLists(c, base)
	}
	return kind, nil
}

// gatherLists prepares the one call of a node that takes whole lists.
func (w *worker) gatherLists(c *Class, base []any) (inputKind, error) {
	for k, val := range base {
		list, ok := val.(value.List)
		if !ok {
			if c.inputs[k].List && w.n.plan.args[k].src >= 0 && !c.inputs[k].Lazy {
				base[k] = value.List{val} // one value, even if it is a list itself
			}
			continue
		}
		for _, e := range list {
			if _, ok := e.(*nodebus.BlockedError); ok {
				return stopped, nil
			}
		}
		if c.inputs[k].List || c.inputs[k].Lazy {
			continue
		}
		if len(list) == 0 {
			return single, &nodebus.InputError{Input: c.inputs[k].Name, Err: errors.New("got an empty list where one value is needed")}
		}
		base[k] = list[0]
	}
	return single, nil
}

// lazyArg is the argument of a lazy input that is linked: its number.
type lazyArg int

// each calls the node for each element of its longest list; shorter lists
// repeat their last element. An empty list means no call at all. first is the
// result of the first call, if it was made already.
func (w *worker) each(c *Class, first *callResult) (total callResult, err error) {
	calls := 0
	for _, val := range w.base {
		if list, ok := val.(value.List); ok {
			if len(list) == 0 {
				calls = 0
				break
			}
			calls = max(calls, len(list))
		}
	}
	all := make([]value.List, len(c.outputs))
	for o := range all {
		all[o] = make(value.List, 0, calls)
	}
	for k := 0; k < max(calls, w.length()); k++ {
		w.index = k
		if err := context.Cause(w.r.ctx); err != nil {
			return total, err
		}
		args := w.slice(k)
		var res callResult
		switch {
		case k == 0 && first != nil:
			res = *first
		case isBlocked(args):
			res.outs = w.skip(args)
		default:
			if res, err = w.call(k, args, w.roomFor(c)); err != nil {
				return total, err
			}
		}
		total.deferred = total.deferred || res.deferred
		for o, val := range res.outs {
			if list, ok := val.(value.List); ok {
				all[o] = append(all[o], list...)
			} else {
				all[o] = append(all[o], val)
			}
		}
		for name, list := range res.ui {
			if total.ui == nil {
				total.ui = nodebus.UI{}
			}
			total.ui[name] = append(total.ui[name], list...)
		}
	}
	total.outs = make([]any, len(all))
	for o := range all {
		total.outs[o] = unlist(all[o])
	}
	return total, nil
}

// roomFor is room for the outputs of one call of several.
func (w *worker) roomFor(c *Class) []any {
	if cap(w.room) < len(c.outputs) {
		w.room = make([]any, len(c.outputs))
	}
	return w.room[:len(c.outputs)]
}

// unlist makes a list of one the same as that one.
func unlist(list value.List) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}

// length is how long the lists were that lazy inputs gave so far.
func (w *worker) length() int {
	if !w.n.plan.class.lazy {
		return 0
	}
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return w.v.length
}

// slice is the inputs of call k.
func (w *worker) slice(k int) []any {
	args := append(w.args[:0], w.base...)
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

// callResult is what one call gave.
type callResult struct {
	outs     []any
	ui       nodebus.UI
	deferred bool // some outputs are those of nodes that are yet to run
}

// call calls the node once; its outputs go into room.
func (w *worker) call(k int, args, room []any) (res callResult, err error) {
	c := w.n.plan.class
	out, err := w.invoke(k, args)
	if err != nil {
		var b *nodebus.BlockedError
		if errors.As(err, &b) {
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
		_, later := res.outs[o].(*from)
		res.deferred = res.deferred || later
	}
	return res, nil
}

// invoke runs the node; its context is useless afterwards.
func (w *worker) invoke(k int, args []any) (any, error) {
	v := w.v
	call := v.context(k)
	defer call.End()
	c := w.n.plan.class
	if c.lazy {
		args = append([]any(nil), args...)
		for i, a := range args {
			if port, ok := a.(lazyArg); ok {
				args[i] = getter(func(ctx context.Context) (any, error) {
					if call.Ended() {
						return nil, nodebus.ErrClosed
					}
					return v.input(ctx, int(port), k)
				})
			}
		}
	}
	return c.invoke(call, args)
}

func blockedOuts(c *Class, b *nodebus.BlockedError) []any {
	outs := make([]any, len(c.outputs))
	for o := range outs {
		outs[o] = b
	}
	return outs
}

// skip is the result of a call with blocked inputs. The reason, if there is one,
// is told here and goes no further.
func (w *worker) skip(args []any) []any {
	for _, a := range args {
		list, ok := a.(value.List)
		if !ok {
			list = value.List{a}
		}
		for _, e := range list {
			if b, ok := e.(*nodebus.BlockedError); ok && b.Reason != "" {
				w.r.tellBlocked(w.n, b.Reason)
				return blockedOuts(w.n.plan.class, silent)
			}
		}
	}
	return blockedOuts(w.n.plan.class, silent)
}

var silent = &nodebus.BlockedError{}

// blockedExecuted is how many of the nodes that have run a notice of one that is
// skipped names: a prompt may have as many notices as it has nodes.
const blockedExecuted = 100

// tellBlocked says why the node is skipped. The prompt goes on.
func (r *run) tellBlocked(n *runNode, reason string) {
	r.mu.Lock()
	executed := r.executedIDs(blockedExecuted)
	r.mu.Unlock()
	r.tell(nodebus.ExecutionError{
		PromptID: r.p.ID, NodeID: n.plan.id, Class: n.plan.class.Name(), Executed: executed,
		ExceptionMessage: "Execution Blocked: " + reason, ExceptionType: "ExecutionBlocked",
	})
}
