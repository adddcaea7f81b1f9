package flow

import (
	"math"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// walker walks upstream in a graph, depth first. It does not recurse, because a
// chain of nodes may be very long.
type walker struct {
	node func(i int32) *planNode
	path []pathStep
}

// pathStep is a node on the path from the start to a source.
type pathStep struct {
	node int32
	next int // number of the next input to follow; see planNode.source
}

// up walks upstream from node start. It calls meet for start, with a nil by, and for
// each link it finds, with the node that has the linked input as by; the number of
// the input is by.next-1. If meet returns true, up continues with the sources of
// node to, and then calls leave, with the same by. meet must return false for a node
// that it has met before.
func (w *walker) up(start int32, meet func(by *pathStep, to int32) bool, leave func(i int32, by *pathStep)) {
	if !meet(nil, start) {
		return
	}
	w.path = append(w.path[:0], pathStep{node: start})
	for len(w.path) > 0 {
		top := &w.path[len(w.path)-1]
		src, more := w.node(top.node).source(top.next)
		if !more {
			i := top.node
			w.path = w.path[:len(w.path)-1]
			var by *pathStep
			if len(w.path) > 0 {
				by = &w.path[len(w.path)-1]
			}
			leave(i, by)
			continue
		}
		if top.next++; src >= 0 && meet(top, src) {
			w.path = append(w.path, pathStep{node: src})
		}
	}
}

// cycles finds the nodes that depend on themselves. It adds to each of them a
// problem that shows one cycle through the node. These nodes form the strongly
// connected components of the graph, found with Tarjan's algorithm. For every node
// of a component, the walk also records a path from the component's first node and a
// path back to it. Time and memory are linear in the number of nodes and links, for
// any number of cycles.
type cycles struct {
	pl    *planner
	marks []cycleMark
	order int32   // order of the last met node
	open  []int32 // nodes whose component is not complete
}

// cycleMark holds the results of the walk for one node.
type cycleMark struct {
	order int32 // when the node was met, from 1; 0: not met yet; orderComplete: the component is complete
	low   int32 // the lowest order that the node leads back to
	first int32 // first node of the component; noNode until the component is complete
	by    int32 // the node that led here
	via   int32 // the source on the way back to low; noNode: the node is in no cycle
}

const (
	noNode        = -1
	orderComplete = math.MaxInt32
)

// report searches upstream of the given outputs.
func (r *cycles) report(outputs []int32) {
	r.marks = make([]cycleMark, len(r.pl.nodes))
	for _, o := range outputs {
		r.pl.walk.up(o, r.meet, r.leave)
	}
	for i := range r.marks {
		if m := &r.marks[i]; m.order != 0 && m.via != noNode {
			r.pl.found.add(int32(i), r.problem(int32(i)))
		}
	}
}

func (r *cycles) meet(by *pathStep, to int32) bool {
	from := int32(noNode)
	if by != nil {
		from = by.node
	}
	if m := &r.marks[to]; m.order != 0 {
		if from != noNode && m.order <= r.marks[from].low {
			r.marks[from].low, r.marks[from].via = m.order, to
		}
		return false
	}
	r.order++
	r.marks[to] = cycleMark{order: r.order, low: r.order, first: noNode, by: from, via: noNode}
	r.open = append(r.open, to)
	return true
}

func (r *cycles) leave(i int32, _ *pathStep) {
	m := &r.marks[i]
	if m.by != noNode && m.low <= r.marks[m.by].low {
		r.marks[m.by].low, r.marks[m.by].via = m.low, i
	}
	if m.low != m.order {
		return
	}
	for m.first == noNode {
		last := len(r.open) - 1
		k := &r.marks[r.open[last]]
		k.order, k.first = orderComplete, i
		r.open = r.open[:last]
	}
}

// A problem shows all nodes of a cycle of up to ringWhole nodes. For a longer cycle
// it shows ringEnd nodes from each end. It shows at most ringID bytes of an id.
const (
	ringWhole = 32
	ringEnd   = 4
	ringID    = 100
)

func (r *cycles) problem(i int32) nodebus.Problem {
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

// around returns a cycle that begins with node i and goes against the links, in two
// parts. If whole is false, the cycle has more nodes between the two parts.
func (r *cycles) around(i int32) (head, tail []int32, whole bool) {
	first := r.marks[i].first
	for n := i; n != first && len(tail) < ringWhole; { // the path from first to i, backwards
		n = r.marks[n].by
		tail = append(tail, n)
	}
	head = []int32{i}
	for n := r.marks[i].via; ; n = r.marks[n].via { // the path from i back to first
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
