package flow

import (
	"context"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

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
	if c.schema.Async && w.r.local.opts.AsyncCalls > 1 && max(calls, w.listLength()) > 1 {
		return w.callSideBySide(first, calls, all)
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
			res, err = w.turn.callOnce(w.turn.begin(k), w.nextCall(), args, w.roomFor(c))
			if w.tries = max(w.tries, res.tries); err != nil {
				return total, err
			}
		}
		total.collect(all, res)
	}
	total.outs = joinLists(all)
	return total, nil
}

// joinLists returns the outputs of a node from the lists of each output.
func joinLists(all []value.List) []any {
	outs := make([]any, len(all))
	for o := range all {
		outs[o] = unlist(all[o])
	}
	return outs
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

// argsOf returns the inputs of call k, until the next call of argsOf.
func (w *worker) argsOf(k int) []any {
	w.args = w.argsInto(w.args[:0], k)
	return w.args
}

// argsInto appends the inputs of call k to args.
func (w *worker) argsInto(args []any, k int) []any {
	args = append(args, w.inputs...)
	for i, val := range args {
		if list, ok := val.(value.List); ok {
			args[i] = list[min(k, len(list)-1)]
		}
	}
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
