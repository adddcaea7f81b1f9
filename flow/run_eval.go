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
	if len(outs) == 0 {
		return nil, t.runBeside(g)
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
		values[i], err = t.unblock(values[i], wanted[i].src)
	}
	return values, err
}

// has reports whether the turn need not wait for outs: all nodes have ended, or one of
// them is lost. mu is held.
func (t *turn) has(outs []madeOutput) bool {
	all, lost := true, false
	for _, o := range outs {
		n := t.w.r.graph.at(o.src)
		all = all && n.state != nodeFresh
		lost = lost || n.state == nodeLost
		if n.state != nodeFresh {
			t.w.r.use(o.src, n)
		}
	}
	return all || lost
}

// outsOf returns outputs of nodes that have ended. If one of the nodes is lost, the error is
// the error of the node that has failed; other nodes may then still run.
func (t *turn) outsOf(outs []madeOutput) ([]any, error) {
	r := t.w.r
	if r.tainted.Load() {
		if err := t.lostAmong(outs); err != nil {
			return nil, err
		}
	}
	values := make([]any, len(outs))
	for i, o := range outs {
		var err error
		if values[i], err = t.outOf(r.node(o.src), o.slot); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// lostAmong returns the error of the first lost node of outs; nil if none is lost.
func (t *turn) lostAmong(outs []madeOutput) error {
	r := t.w.r
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range outs {
		if n := r.graph.at(o.src); n.state == nodeLost {
			_, err := t.received(n, o.slot)
			return err
		}
	}
	return nil
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
