package flow

import (
	"cmp"
	"slices"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// nodeWhy tells why a node has no result, or a blocked result.
type nodeWhy struct {
	result string // resultError, resultBlocked or resultSkipped
	reason string
	by     string             // see nodebus.NodeRun
	cause  string             // the text of err
	err    *nodebus.NodeError // of the node that failed, if the prompt continues after errors; else nil

	began, ended int64 // see nodeEnd; of a node whose expansion has failed
}

// clock returns the time since the run began, in nanoseconds, at least 1. It costs less than
// time.Now.
func (r *run) clock() int64 { return max(1, int64(time.Since(r.started))) }

// start notes when the node is called. A worker that has just ended another node knows the
// time already, unless it has asked a cache that may be slow.
func (w *worker) start() {
	if w.clock == 0 || w.key != "" && !w.r.local.own {
		w.clock = w.r.clock()
	}
	w.began = w.clock
}

// tellDone publishes that the node has ended without an error, if the program wants it.
func (w *worker) tellDone() {
	if !w.r.local.opts.NodeDone || w.wasBlocked() {
		return
	}
	done := nodebus.NodeDone{Cached: w.cached, Attempt: w.tries}
	if w.began != 0 {
		done.Duration = time.Duration(w.r.clock() - w.began)
	}
	w.r.tracker.Done(int(w.n.number), done)
}

// wasBlocked reports whether the node was blocked, or has blocked all its outputs.
func (w *worker) wasBlocked() bool {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	why := w.turn.learned.whyBlocked()
	if w.cached && why == nil {
		why = w.r.whyOf(w.n)
	}
	return why != nil
}

// known notes for the report that the node has ended. mu is held.
func (w *worker) known(why *nodeWhy) {
	n := w.n
	if n.cached = w.cached; why != nil { // else an expansion may have set it
		n.why = why
	}
	if n.state == nodeCached {
		w.r.use(w.i, n)
		return
	}
	end := nodeEnd{at: w.i}
	if w.began != 0 {
		end.began, end.ended = w.began, w.clock
	}
	if w.tries > 1 {
		end.calls = int32(w.tries)
	}
	if w.cached {
		end.calls = cachedEnd
	}
	w.r.sched.known = append(w.r.sched.known, end)
}

// use notes for the report that the run uses the result of node i, if that was cached when
// the prompt began. mu is held.
func (r *run) use(i int32, n *runNode) {
	if n.state == nodeCached && !n.used {
		n.used, n.cached = true, true
		r.sched.known = append(r.sched.known, nodeEnd{at: i, calls: cachedEnd})
	}
}

// makeReport returns what the run has to report. mu is held.
func (r *run) makeReport() (rep nodebus.Report) {
	if r.sched.looking { // lookUp may still use the nodes
		return rep
	}
	rep.Outputs, rep.Errors = r.graph.shown(), r.sched.failures
	ends := r.sched.known
	if r.sched.known = nil; len(ends) > recordNodes {
		all := ends
		ends = make([]nodeEnd, 0, recordNodes)
		keepNodes(len(all), func(k int) bool { return r.whyOf(r.graph.at(all[k].at)) == nil }, func(k int) {
			ends = append(ends, all[k])
		})
		rep.NodesLeftOut = len(all) - len(ends)
	}
	runs := &nodeRuns{specs: r.plan.specs, began: r.started, ends: ends}
	for k := range ends {
		end := &ends[k]
		n := r.graph.at(end.at)
		if why := r.whyOf(n); why != nil || n.plan.made != nil {
			runs.others = append(runs.others, runs.describe(end, n, why))
			end.at = ^int32(len(runs.others) - 1)
		}
	}
	rep.Nodes = runs
	return rep
}

// whyOf returns why a node has no result. For a cached node that is blocked, whyOf finds it
// out from the values. mu is held.
func (r *run) whyOf(n *runNode) *nodeWhy {
	if n.why == nil && (n.cached || n.state == nodeCached) && (len(n.outs) == 0 || isBlocked(n.outs[:1])) {
		n.why = r.whyCached(n)
	}
	return n.why
}

func (r *run) whyCached(n *runNode) *nodeWhy {
	for _, out := range n.outs {
		b, blocked := out.(*nodebus.BlockedError)
		if !blocked {
			return nil
		}
		if b.Reason != "" {
			return &nodeWhy{result: resultBlocked, reason: value.Shorten(b.Reason), by: n.plan.id}
		}
	}
	for k := range n.plan.args {
		src := n.plan.args[k].src
		if src < 0 || len(n.outs) == 0 && n.plan.ports[k].Lazy {
			continue
		}
		if s := r.graph.at(src); s.state == nodeCached || s.state == nodeDone {
			if b := blockIn(s.outs[n.plan.args[k].slot], n.plan.class.takesList || len(n.outs) > 0); b != nil {
				why := r.blocked(s, value.Shorten(b.Reason))
				if s.cached || s.state == nodeCached { // the report does not have s, unless it was used
					why.reason = cmp.Or(why.reason, r.reasonOf(s))
				}
				return why
			}
		}
	}
	return nil
}

// reasonOf returns why a node is blocked; "" if it is not, or without a reason. mu is held.
func (r *run) reasonOf(n *runNode) string {
	if why := r.whyOf(n); why != nil {
		return why.reason
	}
	return ""
}

// blockIn returns val if it is blocked. With lists, it also returns a blocked element of a
// list.
func blockIn(val any, lists bool) *nodebus.BlockedError {
	switch val := val.(type) {
	case *nodebus.BlockedError:
		return val
	case value.List:
		for _, e := range val {
			if b, ok := e.(*nodebus.BlockedError); ok && lists {
				return b
			}
		}
	}
	return nil
}

// blocked returns why a node is blocked that has received a blocked value from src. mu is
// held.
func (r *run) blocked(src *runNode, reason string) *nodeWhy {
	by := src.plan.id
	if why := r.whyOf(src); why != nil && why.by != "" {
		by = why.by
	}
	return &nodeWhy{result: resultBlocked, reason: reason, by: by}
}

// place sets the fields of e that name a node. mu is held.
func (r *run) place(n *runNode, e *nodebus.NodeError) {
	e.Place, e.Class = n.plan.place(), n.plan.class.Name()
	e.RealClass = e.Class
	if made := n.plan.made; made != nil {
		e.RealClass = r.graph.at(made.real).plan.class.Name()
	}
}

// executed returns the ids of the nodes that ran in this run, at most the last limit
// ids. mu is held.
func (r *run) executed(limit int) []string {
	ids := []string{}
	for k := len(r.sched.known) - 1; k >= 0 && len(ids) < limit; k-- {
		if n := r.graph.at(r.sched.known[k].at); n.ran {
			ids = append(ids, n.plan.id)
		}
	}
	slices.Reverse(ids)
	return ids
}
