package nodebus

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
)

// expansion is a node whose result has yet to be made by nodes it made.
type expansion struct {
	outs []any // values, lists and *from
	ui   UI
	key  string // see worker
}

// from stands for the output of another node.
type from struct{ src, slot int32 }

// unpack turns an output as the node's result holds it into what travels on
// links: a value, a list, *blocked or *from.
func (w *worker) unpack(f *field, val any) (any, error) {
	if o, ok := addressable(val).(outPort); ok {
		inner, link, g, block := o.split()
		switch {
		case block != nil:
			return blockOf(f.Name, block)
		case g != nil || link != (Link{}):
			w.r.mu.Lock()
			defer w.r.mu.Unlock()
			src, err := w.r.graft(w.i, g, link)
			return &from{src, int32(link.Slot)}, err
		}
		val = inner
	}
	if f.List {
		return unlist(addressable(val).(listPort).values()), nil
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
		case many:
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
		list, ok := o.(many)
		if !ok {
			list = many{o}
		}
		all := make(many, 0, len(list))
		for _, e := range list {
			if f, ok := e.(*from); ok {
				e = w.r.node(f.src).outs[f.slot]
			}
			if inner, ok := e.(many); ok {
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
func (r *run) graft(parent int32, g *Graph, out Link) (int32, error) {
	if g == nil {
		g = &Graph{}
	}
	done := r.graphs[g]
	ids, err := r.madeIDs(g, done)
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
	for k := done; k < len(g.nodes); k++ {
		n, err := r.newMade(parent, &g.nodes[k], find)
		if err != nil {
			return 0, fmt.Errorf("node %q made at run time: %w", g.nodes[k].ID, err)
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
	if len(g.nodes) == 0 {
		return src, nil
	}
	if r.graphs == nil {
		r.graphs, r.byID = map[*Graph]int{}, map[string]int32{}
	}
	r.graphs[g] = len(g.nodes)
	r.specs = append(r.specs, g.nodes[done:]...)
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
func (r *run) madeIDs(g *Graph, done int) (map[string]int32, error) {
	ids := map[string]int32{}
	for k := done; k < len(g.nodes); k++ {
		id := g.nodes[k].ID
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
func (r *run) newMade(parent int32, spec *NodeSpec, find func(string) (int32, error)) (*runNode, error) {
	c, ok := r.l.reg.Class(spec.Class)
	if !ok {
		return nil, fmt.Errorf("class %q: %w", spec.Class, ErrNotFound)
	}
	p := &planNode{identity: identity{spec.ID, r.originOf(parent)}, class: c, args: make([]arg, len(c.inputs)), sound: true}
	for k := range c.inputs {
		f := &c.inputs[k]
		a := &p.args[k]
		*a = arg{src: -1, val: absent}
		v, given := spec.Inputs[f.Name]
		switch l, isLink := v.(Link); {
		case f.Kind == Hidden:
		case given && isLink:
			src, err := find(l.Node)
			if err != nil {
				return nil, &InputError{f.Name, fmt.Errorf("links to node %q: %w", l.Node, err)}
			}
			*a = arg{src: src, slot: int32(l.Slot)}
		case given:
			a.val = v
		case f.Default != nil:
			a.val, _ = literal(f.elem, f.Default) // Register has checked it
		case f.Kind == Required:
			return nil, &InputError{f.Name, errRequired}
		}
	}
	return &runNode{plan: p, outs: make([]any, len(c.outputs))}, nil
}

func (r *run) originOf(parent int32) *origin {
	p := r.at(parent).plan
	o := &origin{parentID: p.id, real: parent, realID: p.id, display: p.id}
	if p.made != nil {
		o.real, o.realID, o.display = p.made.real, p.made.realID, p.made.display
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
			return &InputError{f.Name, fmt.Errorf("links to output %d of node %q (%s), which has %d", a.slot, src.id, src.class.Name(), len(src.class.outputs))}
		}
		if out := &src.class.outputs[a.slot].Port; !linkable(out, &f.Port) {
			return &InputError{f.Name, fmt.Errorf("needs %s, and output %d of node %q gives %s", f.Type, a.slot, src.id, out.Type)}
		}
	}
	return nil
}

// addressable returns a pointer to a copy of v.
func addressable(v any) any {
	p := reflect.New(reflect.TypeOf(v))
	p.Elem().Set(reflect.ValueOf(v))
	return p.Interface()
}
