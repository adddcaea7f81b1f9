package flow

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// waiter is a call of await. In the scheduler, a stand-in takes the place of
// the waiting node.
type waiter struct {
	v    *visit
	go_  chan struct{} // closed when it may go on
	gone bool          // it has stopped waiting
}

// Input waits for a lazy input by name; see [Runtime].
func (v *visit) Input(ctx context.Context, name string) (any, error) {
	for k := range v.n.plan.class.inputs {
		if f := &v.n.plan.class.inputs[k]; f.Name == name && f.Kind != Hidden {
			return v.input(ctx, k, 0)
		}
	}
	return nil, &nodebus.InputError{Input: name, Err: ErrNotFound}
}

// input waits for input k, and returns the element for a call of the node if it
// is a list.
func (v *visit) input(ctx context.Context, k, call int) (any, error) {
	a := v.n.plan.args[k]
	if a.src < 0 {
		return a.val, nil
	}
	val, err := v.await(ctx, a.src, a.slot)
	if err != nil {
		return nil, err
	}
	if list, ok := val.(value.List); ok && !v.n.plan.class.inputs[k].List {
		if len(list) == 0 {
			return nil, &nodebus.InputError{Input: v.n.plan.class.inputs[k].Name, Err: fmt.Errorf("got an empty list where one value is needed")}
		}
		if !v.n.plan.class.takesList {
			v.lengthen(len(list))
		}
		val = list[min(call, len(list)-1)]
	}
	return v.unblock(val)
}

// lengthen makes the node be called for each element of a list that a lazy
// input turned out to be.
func (v *visit) lengthen(n int) {
	v.w.r.mu.Lock()
	defer v.w.r.mu.Unlock()
	v.length = max(v.length, n)
}

// unblock turns a blocked value into an error, which blocks the node that
// returns it, and tells the reason.
func (v *visit) unblock(val any) (any, error) {
	list, isList := val.(value.List)
	b, _ := val.(*nodebus.BlockedError)
	for k := 0; b == nil && k < len(list); k++ {
		b, _ = list[k].(*nodebus.BlockedError)
	}
	switch {
	case b != nil:
		if b.Reason != "" {
			v.w.r.tellBlocked(v.n, b.Reason)
		}
		return nil, silent
	case isList:
		return []any(list), nil
	}
	return val, nil
}

// Eval runs a graph made by the node; see [Runtime].
func (v *visit) Eval(ctx context.Context, g *nodebus.Graph, out nodebus.Link) (any, error) {
	r := v.w.r
	r.mu.Lock()
	if v.over {
		r.mu.Unlock()
		return nil, nodebus.ErrClosed
	}
	src, err := r.graft(v.w.i, g, out)
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	val, err := v.await(ctx, src, int32(out.Slot))
	if err != nil {
		return nil, err
	}
	return v.unblock(val)
}

// await waits for an output of node src. The node's slot is free meanwhile; it
// is told again that the node runs when it goes on.
func (v *visit) await(ctx context.Context, src, slot int32) (any, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	r := v.w.r
	r.mu.Lock()
	n := r.at(src)
	switch {
	case v.over:
		r.mu.Unlock()
		return nil, nodebus.ErrClosed
	case n.state != nodeFresh:
		r.mu.Unlock()
		return n.outs[slot], nil
	case r.over:
		err := r.err
		r.mu.Unlock()
		return nil, err
	}
	w := v.standIn(src)
	v.park()
	select {
	case <-w.go_:
	case <-ctx.Done():
	case <-r.ctx.Done():
	}
	if err := v.back(ctx, w); err != nil {
		return nil, err
	}
	if !r.progress.goOn(v.n) {
		return nil, nodebus.ErrClosed
	}
	return r.node(src).outs[slot], nil
}

// park lets go of what others may have while the node waits: its slot, and its
// lead over equal nodes. r.mu is held, and let go of.
func (v *visit) park() {
	r := v.w.r
	if v.waiting++; v.waiting > 1 { // it is parked already
		r.mu.Unlock()
		return
	}
	r.parked++
	key, led := v.w.yieldLead()
	r.leave(v.w)
	r.mu.Unlock()
	if led {
		r.l.flights.end(key)
	}
}

// standIn schedules src and puts a stand-in for v into the scheduler. r.mu is
// held.
func (v *visit) standIn(src int32) *waiter {
	r := v.w.r
	r.need(v.n, src)
	w := &waiter{v: v, go_: make(chan struct{})}
	t := int32(len(r.base) + len(r.made))
	r.made = append(r.made, &runNode{stand: w})
	r.sch.StandIn(t, v.w.i)
	r.sch.Link(src, t)
	r.sch.Open(t)
	return w
}

// resume lets a waiter go on whose stand-in t was picked by worker by, and gives
// it that worker's slot unless it needs none. r.mu is held.
func (r *run) resume(t int32, w *waiter, by *worker) {
	r.sch.Done(t)
	if w.gone {
		return
	}
	w.gone = true
	close(w.go_)
	if w.v.over {
		return
	}
	if w.v.waiting--; w.v.waiting > 0 {
		return // it waits for more
	}
	r.parked--
	r.working++
	if !w.v.n.plan.class.schema.Async {
		w.v.w.slot, by.slot = true, false
	}
}

// back ends the wait of w: with an error if it was not resumed.
func (v *visit) back(ctx context.Context, w *waiter) error {
	r := v.w.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if !w.gone { // it gives up, and goes on without a slot
		w.gone = true
		if v.waiting--; v.waiting == 0 && !v.over {
			r.parked--
			r.working++
		}
	} else if r.err == nil && ctx.Err() == nil && !v.over {
		return nil
	}
	if v.over {
		return nodebus.ErrClosed
	}
	if r.err != nil {
		return context.Cause(r.ctx)
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return context.Cause(r.ctx)
}
