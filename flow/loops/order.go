package loops

import (
	"container/heap"
	"slices"
)

// pairing is one attempt to pair the boundaries. It visits the nodes in an order in which each
// comes after those that it depends on; an EndLoop is visited when it is paired. Nodes in a cycle,
// and behind a cycle, are never visited.
type pairing struct {
	*graphMap
	scope bits // the nodes that count
	free  bits // the StartLoops in the scope that are not paired yet
	open  bits // the EndLoops in the scope that are not paired yet
	stop  bits // where a way out of a loop ends: unpaired EndLoops, and outputs that nothing needs

	waits   []int // by node: how many of its parents are not visited yet
	at      []int // by node: when it was visited, from 1
	visited int
	fed     bits  // visited nodes that may depend on a StartLoop that is not paired, and such StartLoops
	ready   ranks // the EndLoops whose parents are all visited, by rank
}

// newPairing begins a pairing and visits all nodes above the first EndLoops.
func (m *graphMap) newPairing(outputs []int, scope bits) (*pairing, error) {
	p := &pairing{
		graphMap: m, scope: scope, free: m.none(), open: m.none(), stop: m.none(), fed: m.none(),
		waits: make([]int, len(m.nodes)), at: make([]int, len(m.nodes)),
	}
	for _, i := range m.among(m.starts, scope) {
		p.free.add(i)
	}
	for _, i := range m.among(m.ends, scope) {
		p.open.add(i)
		p.stop.add(i)
	}
	inScope := func(i int) bool { return scope.has(i) }
	for _, o := range outputs {
		if !slices.ContainsFunc(m.children[o], inScope) {
			p.stop.add(o)
		}
	}
	var first []int
	for i := range m.nodes {
		if !scope.has(i) {
			continue
		}
		for _, from := range m.parents[i] {
			if scope.has(from) {
				p.waits[i]++
			}
		}
		if p.waits[i] == 0 {
			first = append(first, i)
		}
		if err := m.work(1 + len(m.parents[i])); err != nil {
			return nil, err
		}
	}
	return p, p.visit(first)
}

// visit visits nodes, and then those that depend on visited nodes only. EndLoops become ready
// instead.
func (p *pairing) visit(nodes []int) error {
	for len(nodes) > 0 {
		i := nodes[len(nodes)-1]
		nodes = nodes[:len(nodes)-1]
		if p.open.has(i) {
			heap.Push(&p.ready, p.rank[i])
			continue
		}
		p.visited++
		p.at[i] = p.visited
		if p.free.has(i) || p.isFed(i) {
			p.fed.add(i)
		}
		nodes = p.release(i, nodes)
		if err := p.work(1 + len(p.parents[i]) + len(p.children[i])); err != nil {
			return err
		}
	}
	return nil
}

// isFed reports whether a parent of a node may depend on a StartLoop that is not paired.
func (p *pairing) isFed(i int) bool { return slices.ContainsFunc(p.parents[i], p.fed.has) }

// release appends the nodes that wait for node i only.
func (p *pairing) release(i int, nodes []int) []int {
	for _, to := range p.children[i] {
		if !p.scope.has(to) {
			continue
		}
		if p.waits[to]--; p.waits[to] == 0 {
			nodes = append(nodes, to)
		}
	}
	return nodes
}

// next returns the first EndLoop, by id, that has no unpaired EndLoop above it; -1 if there is
// none.
func (p *pairing) next() int {
	if len(p.ready) == 0 {
		return -1
	}
	return p.ends[heap.Pop(&p.ready).(int)]
}

// close visits the EndLoop of a loop that is paired. All other StartLoops above the EndLoop are
// above the StartLoop of the loop.
func (p *pairing) close(l *pair) error {
	p.stop.remove(l.end)
	if !p.isFed(l.start) {
		p.fed.remove(l.start)
	} else {
		p.fed.add(l.end)
	}
	p.visited++
	p.at[l.end] = p.visited
	if err := p.work(1 + len(p.parents[l.start]) + len(p.children[l.end])); err != nil {
		return err
	}
	return p.visit(p.release(l.end, nil))
}

// ranks is a heap.
type ranks []int

func (r ranks) Len() int           { return len(r) }
func (r ranks) Less(i, j int) bool { return r[i] < r[j] }
func (r ranks) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *ranks) Push(x any)        { *r = append(*r, x.(int)) }
func (r *ranks) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}
