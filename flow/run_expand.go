package flow

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// addGraph adds a graph that node by has made, and schedules the graph's output
// nodes. It returns the node that out refers to. Comparing drop-downs calls foreign
// code, so addGraph does it without the lock and then tries again.
func (r *run) addGraph(by *runNode, g *nodebus.Graph, out nodebus.Link) (src int32, err error) {
	for same := (choices{}); ; same.compare() {
		r.mu.Lock()
		src, outputs, err := r.graph.add(by, g, out, &same)
		r.mu.Unlock()
		if len(same.open) > 0 {
			continue
		}
		if err == nil && len(outputs) > 0 {
			r.find(outputs...)
			r.mu.Lock()
			for _, o := range outputs {
				r.need(by, o)
			}
			r.mu.Unlock()
		}
		return src, err
	}
}

// expand postpones the node until the nodes that make its outputs are done.
func (w *worker) expand() error {
	r := w.r
	if len(w.ui) > 0 {
		if err := w.showUI(); err != nil {
			return err
		}
	}
	var made []int32
	eachMade(w.outs, func(o *madeOutput) { made = append(made, o.src) })
	r.find(made...)
	r.mu.Lock()
	defer r.mu.Unlock()
	w.n.ui, w.n.shows = w.ui, w.ui != nil
	var lost *runNode
	for _, src := range made {
		n := r.graph.at(src)
		if n.state == nodeFresh {
			r.need(w.n, src)
		}
		if n.state == nodeLost {
			lost = n
		}
		r.use(src, n)
	}
	if lost != nil {
		_, err := w.turn.received(lost, 0)
		return err
	}
	w.n.exp = &expansion{outs: w.outs, ui: w.ui, key: w.key, tries: w.tries, began: w.began}
	w.n.why, w.n.unkept = w.turn.learned.whyBlocked(), w.turn.learned.isUnkept()
	r.sched.Again(w.i)
	for _, src := range made {
		if r.graph.at(src).state == nodeFresh {
			r.sched.Link(src, w.i)
		}
	}
	r.sched.Open(w.i)
	return nil
}

// isUnmade reports whether an output, or an element of it, is an output of another node.
func isUnmade(out any) (is bool) {
	eachMade([]any{out}, func(*madeOutput) { is = true })
	return is
}

// assemble computes the result of an expanded node from the results of the nodes
// that it made.
func (w *worker) assemble() {
	exp := w.n.exp
	w.key, w.tries, w.began = exp.key, exp.tries, exp.began
	w.outs = make([]any, len(exp.outs))
	for i, o := range exp.outs {
		list, ok := o.(value.List)
		if !ok {
			list = value.List{o}
		}
		all := make(value.List, 0, len(list))
		for _, e := range list {
			if made, ok := e.(*madeOutput); ok {
				e = w.r.node(made.src).outs[made.slot]
			}
			if inner, ok := e.(value.List); ok {
				all = append(all, inner...)
			} else {
				all = append(all, e)
			}
		}
		w.outs[i] = unlist(all)
	}
	w.ui, w.ran = exp.ui, true
	w.assembled(exp)
	w.finish()
}

// addUndeclared adds the inputs of a node made at run time that are not ports. ports is the
// number of inputs that are ports.
func (g *liveGraph) addUndeclared(n *planNode, spec *nodebus.NodeSpec, ids map[string]int32, ports int) error {
	for k := 0; n.class.dynamic && k < len(n.ports); k++ {
		if n.ports[k].Cases != nil && n.args[k].src >= 0 {
			return &nodebus.InputError{Input: n.ports[k].Name, Err: errLinkedCase}
		}
	}
	if ports == len(spec.Inputs) {
		return nil
	}
	declared := n.declares()
	for _, name := range slices.Sorted(maps.Keys(spec.Inputs)) {
		l, isLink := spec.Inputs[name].(nodebus.Link)
		if declared(name) || !isLink && !n.class.dynamic {
			continue
		}
		a := arg{src: fixed, val: spec.Inputs[name]}
		if isLink {
			src, err := g.find(ids, l.Node)
			if err != nil {
				return &nodebus.InputError{Input: name, Err: fmt.Errorf("links to node %q: %w", l.Node, err)}
			}
			a = arg{src: src, slot: int32(l.Slot)}
		}
		n.addExtra(name, a)
	}
	return nil
}

// displayed returns the origin of node k of specs, which a node of origin made has made. As
// in ComfyUI, clients show the node on the node that its spec names, or else on the node that
// made it; if that node is itself made at run time, where clients show that node.
func (g *liveGraph) displayed(made *origin, specs nodebus.Nodes, adding map[string]int32, k int) *origin {
	id := specs[k].DisplayID()
	if id == "" {
		return made
	}
	own := *made
	own.displayID = id
	for range specs { // nodes that are being added may name each other, even in a ring
		i, ok := adding[own.displayID]
		if !ok {
			break
		}
		next := specs[int(i)-g.size()].DisplayID()
		if next == "" {
			next = made.displayID
		}
		own.displayID = next
	}
	if _, ring := adding[own.displayID]; ring {
		own.displayID = made.displayID
	}
	if i, ok := g.byID[own.displayID]; ok {
		own.displayID = g.at(i).plan.made.displayID
	}
	return &own
}

// source returns the node that out refers to; -1 if out is zero.
func (g *liveGraph) source(adding map[string]int32, out nodebus.Link) (int32, error) {
	if out == (nodebus.Link{}) {
		return -1, nil
	}
	src, err := g.find(adding, out.Node)
	switch {
	case errors.Is(err, ErrNotFound):
		return 0, fmt.Errorf("the result is output %d of node %q, which was not added to the graph: %w", out.Slot, out.Node, err)
	case err != nil:
		return 0, fmt.Errorf("the result is output %d of node %q: %w", out.Slot, out.Node, err)
	}
	return src, nil
}

// checkSlot returns an error if node src, which out refers to, does not have that output.
func (g *liveGraph) checkSlot(added []*runNode, src int32, out nodebus.Link) error {
	if src < 0 {
		return nil
	}
	class := g.classOf(added, src)
	if out.Slot < 0 || out.Slot >= len(class.outputs) {
		return fmt.Errorf("the result is output %d of node %q (%s), which has %d", out.Slot, out.Node, class.Name(), len(class.outputs))
	}
	return nil
}

// runBeside adds a graph whose output nodes run although the node takes nothing from them.
func (t *turn) runBeside(g *nodebus.Graph) error {
	nodes := g.Nodes()
	shows := len(nodes) == 0
	for i := range nodes {
		class, ok := t.w.r.local.reg.Class(nodes[i].Class)
		shows = shows || !ok || class.schema.Output // an unknown class has an error of its own
	}
	if !shows {
		return errNothingRuns
	}
	_, err := t.w.r.addGraph(t.n, g, nodebus.Link{})
	return err
}

var errNothingRuns = errors.New("the graph has no output node, and nothing is taken from it, so that no node of it would run; set From, or add a node whose class has Info.Output")
