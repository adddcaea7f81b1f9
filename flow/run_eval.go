package flow

import (
	"context"

	"github.com/nodebus/nodebus"
)

// Eval runs a graph that the node has made; see [nodebus.Runtime].
func (t *turn) Eval(ctx context.Context, g *nodebus.Graph, outs ...nodebus.Link) ([]any, error) {
	if t.over.Load() {
		return nil, nodebus.ErrClosed
	}
	wanted := make([]madeOutput, len(outs))
	for i, out := range outs {
		src, err := t.w.r.addGraph(t.n, g, out)
		if err != nil {
			return nil, err
		}
		wanted[i] = madeOutput{src, int32(out.Slot)}
	}
	values, err := t.await(ctx, wanted...)
	for i := 0; err == nil && i < len(values); i++ {
		values[i], err = t.unblock(values[i])
	}
	return values, err
}

// outsOf returns outputs of nodes that are done.
func (r *run) outsOf(outs []madeOutput) []any {
	values := make([]any, len(outs))
	for i, o := range outs {
		values[i] = r.node(o.src).outs[o.slot]
	}
	return values
}

// rest releases the node's slot if all of its calls wait, unless it has released the slot
// already. mu is held.
func (t *turn) rest(then *after) {
	if !t.rests && t.waits >= max(int32(t.calls), 1) {
		t.rests = true
		t.w.r.sched.waiting++
		t.w.r.rest(t.w, then)
	}
}

// goOn notes that the node works again if some call of it does not wait. It returns false
// if the node did not rest, or still rests. mu is held.
func (t *turn) goOn() bool {
	if !t.rests || t.waits >= max(int32(t.calls), 1) {
		return false
	}
	t.rests = false
	t.w.r.sched.waiting--
	t.w.r.sched.working++
	return true
}
