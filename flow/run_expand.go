package flow

import (
	"errors"
	"fmt"
	"maps"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// expansion is a node whose result has yet to be made by nodes it made.
type expansion struct {
	outs []any // values, lists and *from
	ui   nodebus.UI
	key  string // see worker
}

// from stands for the output of another node.
type from struct{ src, slot int32 }

// unpack turns an output as the node's result holds it into what travels on
// links: a value, a list, *blocked or *from.
func (w *worker) unpack(f *field, val any) (any, error) {
	if f.special {
		out := val.(outPort).Any()
		switch {
		case out.Blocked != nil:
			return blockOf(f.Name, out.Blocked)
		case out.Graph != nil || out.From != (nodebus.Link{}):
			w.r.mu.Lock()
			defer w.r.mu.Unlock()
			src, err := w.r.graft(w.i, out.Graph, out.From)
			return &from{src, int32(out.From.Slot)}, err
		}
		val = out.Value
	}
	if f.List {
		return unlist(val.(listValue).Values()), nil
	}
	return val, nil
}

// expand puts the node off until what its outputs come from is there.
func (w *worker) expand() error {
	r := w.r
	if len(w.ui) > 0 {
		if err := w.tellExecuted(); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	w.n.exp = &expansion{outs: w.outs, ui: w.ui, key: w.key}
	w.n.ui, w.n.shows = w.ui, w.ui != nil
	r.sch.Again(w.i)
	eachFrom(w.outs, func(f *from) {
		r.need(w.n, f.src)
		r.sch.Link(f.src, w.i)
	})
	r.sch.Open(w.i)
	return nil
}

// eachFrom calls f for what is yet to be made among outs.
func eachFrom(outs []any, f func(*from)) {
	for _, o := range outs {
		switch o := o.(type) {
		case *from:
			f(o)
		case value.List:
			eachFrom(o, f)
		}
	}
}

// assemble gives the node's result once the nodes it made have given theirs.
func (w *worker) assemble() {
	exp := w.n.exp
	w.key = exp.key
	w.outs = make([]any, len(exp.outs))
	for i, o := range exp.outs {
		list, ok := o.(value.List)
		if !ok {
			list = value.List{o}
		}
		all := make(value.List, 0, len(list))
		for _, e := range list {
			if f, ok := e.(*from); ok {
				e = w.r.node(f.src).outs[f.slot]
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
	w.keep()
}

// graft adds the nodes of a graph that are not in the run yet, made by node
// parent, and returns the node that out is an output of: one of them, or any
// other of the run. Without a graph there is nothing to add. r.mu is held.
func (r *run) graft(parent int32, g *nodebus.Graph, out nodebus.Link) (int32, error) {
	var nodes nodebus.Nodes
	if g != nil {
		nodes = g.Nodes()
	}
	done := r.graphs[g]
	ids, err := r.madeIDs(nodes, done)
	if err != nil {
		return 0, err
	}
	find := func(id string) (int32, error) { return r.find(ids, id) }
	src, err := find(out.Node)
	switch {
	case errors.Is(err, ErrNotFound):
		return 0, fmt.Errorf("the result is output %d of node %q, which was not added to the graph: %w", out.Slot, out.Node, err)
	case err != nil:
		return 0, fmt.Errorf("the result is output %d of node %q: %w", out.Slot, out.Node, err)
	}
	var added []*runNode
	for k := done; k < len(nodes); k++ {
		n, err := r.newMade(parent, &nodes[k], find)
		if err != nil {
			return 0, fmt.Errorf("node %q made at run time: %w", nodes[k].ID, err)
		}
		added = append(added, n)
	}
	from := int32(len(r.base) + len(r.made))
	r.made = append(r.made, added...)
	for _, n := range added { // now that all exist, links can be checked
		if err := r.checkLinks(n); err != nil {
			r.made = r.made[:int(from)-len(r.base)]
			return 0, fmt.Errorf("node %q made at run time: %w", n.plan.id, err)
		}
	}
	if n := len(r.at(src).plan.class.outputs); out.Slot < 0 || out.Slot >= n {
		return 0, fmt.Errorf("the result is output %d of node %q (%s), which has %d", out.Slot, out.Node, r.at(src).plan.class.Name(), n)
	}
	if len(nodes) == 0 {
		return src, nil
	}
	if r.graphs == nil {
		r.graphs, r.byID = map[*nodebus.Graph]int{}, map[string]int32{}
	}
	r.graphs[g] = len(nodes)
	r.specs = append(r.specs, nodes[done:]...)
	maps.Copy(r.byID, ids)
	for i, n := range added {
		if n.plan.class.schema.Output {
			r.need(r.at(parent), from+int32(i))
		}
	}
	return src, nil
}

// find is the node that an id stands for: one of those being added, one made
// before, or one of the prompt. r.mu is held.
func (r *run) find(adding map[string]int32, id string) (int32, error) {
	for _, m := range []map[string]int32{adding, r.byID} {
		if i, ok := m[id]; ok {
			return i, nil
		}
	}
	i, ok := r.plan.byID[id]
	if !ok {
		return 0, ErrNotFound
	}
	return i, r.vet(i)
}

// vet fails if node i of the prompt, or one that it takes something from, is not
// valid: those that no output needs need not be. r.mu is held.
func (r *run) vet(i int32) error {
	if r.vetted == nil {
		r.vetted = make([]bool, len(r.base))
	}
	var seen []int32
	for stack := []int32{i}; len(stack) > 0; {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if i < 0 || r.vetted[i] {
			continue
		}
		n := r.base[i].plan
		if !n.sound {
			for _, i := range seen {
				r.vetted[i] = false
			}
			return fmt.Errorf("node %q (%s) of the prompt is not valid", n.id, n.class.Name())
		}
		r.vetted[i] = true
		seen = append(seen, i)
		for k := range n.args {
			stack = append(stack, n.args[k].src)
		}
		for k := range n.extra {
			stack = append(stack, n.extra[k].src)
		}
	}
	return nil
}

// madeIDs numbers the new nodes of a graph. An id must be new to the run.
func (r *run) madeIDs(nodes nodebus.Nodes, done int) (map[string]int32, error) {
	ids := map[string]int32{}
	for k := done; k < len(nodes); k++ {
		id := nodes[k].ID
		_, a := ids[id]
		_, b := r.byID[id]
		if _, c := r.plan.byID[id]; a || b || c {
			return nil, fmt.Errorf("node %q made at run time: the id is taken", id)
		}
		ids[id] = int32(len(r.base) + len(r.made) + k - done)
	}
	return ids, nil
}

// newMade prepares a node made at run time. Its literals are live values, which
// are checked when it runs.
func (r *run) newMade(parent int32, spec *nodebus.NodeSpec, find func(string) (int32, error)) (*runNode, error) {
	c, ok := r.l.reg.Class(spec.Class)
	if !ok {
		return nil, fmt.Errorf("class %q: %w", spec.Class, ErrNotFound)
	}
	p := &planNode{id: spec.ID, made: r.originOf(parent), class: c, args: make([]arg, len(c.inputs)), sound: true}
	for k := range c.inputs {
		f := &c.inputs[k]
		a := &p.args[k]
		*a = arg{src: -1, val: absent}
		v, given := spec.Inputs[f.Name]
		switch l, isLink := v.(nodebus.Link); {
		case f.Kind == Hidden:
		case given && isLink:
			src, err := find(l.Node)
			if err != nil {
				return nil, &nodebus.InputError{Input: f.Name, Err: fmt.Errorf("links to node %q: %w", l.Node, err)}
			}
			*a = arg{src: src, slot: int32(l.Slot)}
		case given:
			a.val = v
		case f.Default != nil:
			a.val, _ = value.Literal(f.elem, f.Default) // Register has checked it
		case f.Kind == Required:
			return nil, &nodebus.InputError{Input: f.Name, Err: errRequired}
		}
	}
	return &runNode{plan: p, outs: make([]any, len(c.outputs))}, nil
}

func (r *run) originOf(parent int32) *origin {
	p := r.at(parent).plan
	o := &origin{parentID: p.id, real: parent, realID: p.id, displayID: p.id}
	if p.made != nil {
		o.real, o.realID, o.displayID = p.made.real, p.made.realID, p.made.displayID
	}
	return o
}

// checkLinks holds the links of a node made at run time against the classes they
// lead to.
func (r *run) checkLinks(n *runNode) error {
	for k := range n.plan.args {
		a := &n.plan.args[k]
		if a.src < 0 {
			continue
		}
		src, f := r.at(a.src).plan, &n.plan.class.inputs[k]
		if a.slot < 0 || int(a.slot) >= len(src.class.outputs) {
			return &nodebus.InputError{Input: f.Name, Err: fmt.Errorf("links to output %d of node %q (%s), which has %d", a.slot, src.id, src.class.Name(), len(src.class.outputs))}
		}
		if out := &src.class.outputs[a.slot].Port; !linkable(out, &f.Port) {
			return &nodebus.InputError{Input: f.Name, Err: fmt.Errorf("needs %s, and output %d of node %q gives %s", f.Type, a.slot, src.id, out.Type)}
		}
	}
	return nil
}
