package flow

import (
	"math"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// rings finds the nodes that wait for themselves, and tells each of one ring
// that it is in. These are the strongly connected components of the graph, found
// by Tarjan's algorithm; its walk leaves behind, for every node of a component,
// how the first of them leads to it and how it leads back there. Time and memory
// are linear in nodes and edges, whatever the number of rings.
type rings struct {
	pl    *planner
	marks []ringMark
	order int32   // of the node come upon last
	open  []int32 // nodes whose component is not complete
}

// ringMark is what is known of a node; nodes are numbers, none is no node.
type ringMark struct {
	order int32 // when it was come upon, from 1; 0 is not yet, complete no longer matters
	low   int32 // the least order it leads back to
	first int32 // of its component, once that is complete
	from  int32 // the node it was come upon from
	via   int32 // the source through which it leads back to low; none: it is in no ring
}

const (
	none     = -1
	complete = math.MaxInt32
)

// tell looks upstream of the outputs given.
func (r *rings) tell(outputs []int32) {
	r.marks = make([]ringMark, len(r.pl.nodes))
	for _, o := range outputs {
		if r.marks[o].order == 0 {
			r.walk(o)
		}
	}
	for i := range r.marks {
		if m := &r.marks[i]; m.order != 0 && m.via != none {
			r.pl.found[int32(i)] = append(r.pl.found[int32(i)], r.problem(int32(i)))
		}
	}
}

// walk goes upstream of o, depth first. It does not recurse.
func (r *rings) walk(o int32) {
	path := []step{{node: o}}
	r.enter(o, none)
	for len(path) > 0 {
		top := &path[len(path)-1]
		m := &r.marks[top.node]
		src, more := r.pl.source(top)
		switch {
		case !more:
			r.leave(top.node)
			path = path[:len(path)-1]
		case src < 0:
		case r.marks[src].order == 0:
			r.enter(src, top.node)
			path = append(path, step{node: src})
		case r.marks[src].order <= m.low:
			m.low, m.via = r.marks[src].order, src
		}
	}
}

func (r *rings) enter(i, from int32) {
	r.order++
	r.marks[i] = ringMark{order: r.order, low: r.order, first: none, from: from, via: none}
	r.open = append(r.open, i)
}

// leave is told when all upstream of a node has been looked at.
func (r *rings) leave(i int32) {
	m := &r.marks[i]
	if m.from != none && m.low <= r.marks[m.from].low {
		r.marks[m.from].low, r.marks[m.from].via = m.low, i
	}
	if m.low != m.order {
		return
	}
	for m.first == none {
		last := len(r.open) - 1
		k := &r.marks[r.open[last]]
		k.order, k.first = complete, i
		r.open = r.open[:last]
	}
}

// What a node is told of its ring: all of a ring of up to ringWhole nodes, as
// many as ringEnd from each end of a longer one, and as much of an id as ringID.
const (
	ringWhole = 32
	ringEnd   = 4
	ringID    = 100
)

func (r *rings) problem(i int32) nodebus.Problem {
	var ids, names []string
	show := func(part []int32) {
		for _, n := range part {
			node := &r.pl.nodes[n]
			id := value.Cut(node.id, ringID)
			ids, names = append(ids, id), append(names, id+" ("+node.class.Name()+")")
		}
	}
	head, tail, whole := r.around(i)
	show(head)
	if !whole {
		names = append(names, "…")
	}
	show(tail)
	return problem(
		"dependency_cycle", "Dependency cycle detected", strings.Join(append(names, names[0]), " -> "),
		map[string]any{"node_id": r.pl.nodes[i].id, "cycle_nodes": ids})
}

// around is a ring that begins with node i and goes against the links, in two
// parts; if it is not whole, there are more nodes in between.
func (r *rings) around(i int32) (head, tail []int32, whole bool) {
	first := r.marks[i].first
	for n := i; n != first && len(tail) < ringWhole; { // how first leads to i, backwards
		n = r.marks[n].from
		tail = append(tail, n)
	}
	head = []int32{i}
	for n := r.marks[i].via; ; n = r.marks[n].via { // how i leads to first
		if n == i {
			return head, nil, true
		}
		if k := slices.Index(tail, n); k >= 0 && len(head)+k < ringWhole {
			tail = tail[:k+1]
			slices.Reverse(tail)
			return head, tail, true
		}
		if len(head) == ringWhole {
			break
		}
		if head = append(head, n); n == first {
			break
		}
	}
	head, tail = head[:min(len(head), ringEnd)], tail[:min(len(tail), ringEnd)]
	slices.Reverse(tail)
	return head, tail, false
}
