package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
)

// fail ends the run because of err; only the first counts. r.mu is held.
func (r *run) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.over = true
	r.cancel(err)
}

// stopped is called when the context has ended.
func (r *run) stopped() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || r.over {
		return
	}
	err := context.Cause(r.ctx)
	if w := r.latest(); w != nil {
		err = r.nodeError(w.i, &nodebus.NodeError{Err: err})
	}
	r.fail(err)
	r.settle()
}

// isInterrupt reports whether the run ended with err because it was stopped, from
// outside or by a node, rather than because a node failed.
func (r *run) isInterrupt(err error) bool {
	return r.cause() != err || errors.Is(err, nodebus.ErrInterrupted) //nolint:errorlint // fail makes it the cause itself
}

// latest is the worker whose node began last, of those that run; nil if none
// does. r.mu is held.
func (r *run) latest() (l *worker) {
	for w := r.workers.first; w != nil; w = w.next {
		if w.v != nil && (l == nil || w.turns > l.turns) {
			l = w
		}
	}
	return l
}

// settle finds out whether the run has ended, or cannot go on. r.mu is held.
func (r *run) settle() {
	if r.working > 0 || r.ended {
		return
	}
	if !r.over && r.sch.Pending() > 0 && r.sch.Ready() == 0 && r.away == 0 {
		r.fail(r.cycleError())
	}
	if r.parked == 0 && (r.over || r.sch.Pending() == 0) {
		r.ended = true
		close(r.finished)
	}
}

// wait returns once nothing runs any more, or what runs has been given up.
func (r *run) wait() error {
	stop := context.AfterFunc(r.ctx, r.stopped)
	defer stop()
	select {
	case <-r.finished:
	case <-r.ctx.Done():
		grace := time.NewTimer(r.l.opts.Grace)
		defer grace.Stop()
		select {
		case <-r.finished:
		case <-grace.C:
			r.abandon()
		}
	}
	r.mu.Lock()
	err := r.err
	r.mu.Unlock()
	r.progress.close(err)
	r.cancel(nodebus.ErrClosed)
	r.gate.Lock()
	r.shut = true
	r.gate.Unlock()
	r.ground()
	return err
}

// abandon gives up nodes that do not end: others may have their slots.
func (r *run) abandon() {
	r.mu.Lock()
	r.ended = true
	if r.looking {
		r.l.opts.Logger.Warn("prompt abandoned: a Fingerprint did not end", "prompt", r.p.ID)
	}
	free := 0
	for w := r.workers.first; w != nil; w = w.next {
		if w.v != nil {
			r.l.opts.Logger.Warn("node abandoned: it did not end with its context",
				"prompt", r.p.ID, "node", w.n.plan.id, "class", w.n.plan.class.Name())
		}
		if w.slot {
			w.slot = false
			free++
		}
	}
	r.mu.Unlock()
	for range free {
		r.l.slots.give(r, false)
	}
}

// ground wakes the nodes of other prompts that wait for results which this run
// will not have.
func (r *run) ground() {
	if r.err == nil {
		return
	}
	r.mu.Lock()
	var keys []string
	for w := r.workers.first; w != nil; w = w.next {
		if key, led := w.yieldLead(); led {
			keys = append(keys, key)
		}
	}
	r.mu.Unlock()
	for _, k := range keys {
		r.l.flights.end(k)
	}
}

// shown lists what the nodes showed in this prompt.
func (r *run) shown() (outputs []nodebus.NodeOutput) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.base {
		outputs = r.base[i].appendShown(outputs)
	}
	for _, n := range r.made {
		if n.stand == nil {
			outputs = n.appendShown(outputs)
		}
	}
	return outputs
}

func (n *runNode) appendShown(outputs []nodebus.NodeOutput) []nodebus.NodeOutput {
	if n.shows && n.ui != nil {
		outputs = append(outputs, nodebus.NodeOutput{Place: n.plan.place(), UI: n.ui})
	}
	return outputs
}

// nodeError fills in what is known of node i. r.mu is held.
func (r *run) nodeError(i int32, e *nodebus.NodeError) *nodebus.NodeError {
	n := r.at(i)
	e.UniqueID, e.Class = n.plan.id, n.plan.class.Name()
	e.RealID, e.RealClass = e.UniqueID, e.Class
	if made := n.plan.made; made != nil {
		real := r.at(made.real)
		e.RealID, e.RealClass = real.plan.id, real.plan.class.Name()
	}
	e.Executed = r.executedIDs(len(r.ran))
	if r.l.cache != nil {
		for k := range r.base {
			e.Cacheable = append(e.Cacheable, r.base[k].plan.id)
		}
	}
	return e
}

// executedIDs are the nodes that were evaluated in this run: the last max of
// them. r.mu is held.
func (r *run) executedIDs(max int) []string {
	ids := []string{}
	for _, i := range r.ran[len(r.ran)-min(len(r.ran), max):] {
		ids = append(ids, r.at(i).plan.id)
	}
	return ids
}

// cause is why the context has ended; nil if it has not.
func (r *run) cause() error { return context.Cause(r.ctx) }

// cycleError blames the first node of a ring that was made at run time: only
// those can close one.
func (r *run) cycleError() error {
	ring := r.sch.Cycle()
	if len(ring) == 0 {
		return fmt.Errorf("nodebus: nodes wait, but for nothing that runs")
	}
	blame := ring[0]
	for _, i := range ring {
		if r.at(i).stand != nil {
			continue
		}
		blame = i
		if r.at(i).plan.made != nil {
			break
		}
	}
	e := r.nodeError(blame, &nodebus.NodeError{Err: ErrCycle})
	if made := r.at(blame).plan.made; made != nil {
		e.RealID = made.displayID
		if i, ok := r.plan.byID[e.RealID]; ok {
			e.RealClass = r.at(i).plan.class.Name()
		}
	}
	return e
}
