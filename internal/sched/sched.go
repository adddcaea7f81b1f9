// Package sched decides which node of a graph runs next. It knows ids and
// edges only: nothing of values, classes or goroutines.
//
// Its order is the reference's (execution semantics, section 6): of the nodes
// that wait for nothing, first one that is a root or asynchronous, then one
// that feeds a root, then one that feeds such a one, then any; among equals the
// one that was added first. Every operation is constant time but Cycle.
package sched

// Sched is the state of one run. The zero value is ready to use; it is not safe
// for concurrent use.
type Sched struct {
	nodes []node
	order []int32 // position to node, in the order of Add
	edges []edge
	ready [tiers]bitset // by position
	nread int

	pending int // added and not done
}

const tiers = 4

type state uint8

const (
	unknown state = iota // not added
	pending              // waits, or is ready
	running              // handed out by Next
	done
)

type node struct {
	state state
	tier  uint8 // 0 root or urgent, 1 feeds a root, 2 feeds one that feeds a root, 3 the rest
	root  bool
	feeds bool  // a root waits for it
	held  bool  // it runs, but a stand-in waits for it
	wait  int32 // sources not done, plus one until Open
	pos   int32 // in order
	out   int32 // first edge to a node that waits for this one, plus one
}

type edge struct{ to, next int32 } // next: index plus one of the source's next edge

// Reserve makes room, so that adding n nodes and e edges does not allocate twice.
func (s *Sched) Reserve(n, e int) {
	s.nodes = make([]node, 0, n)
	s.order = make([]int32, 0, n)
	s.edges = make([]edge, 0, e)
}

func (s *Sched) at(i int32) *node {
	for int(i) >= len(s.nodes) {
		s.nodes = append(s.nodes, node{tier: tiers - 1})
	}
	return &s.nodes[i]
}

// Add makes node i pending and reports whether that is new. It is not handed
// out before Open. root is true for what the prompt asks for; urgent nodes,
// such as those that only wait, are picked as early as roots.
func (s *Sched) Add(i int32, root, urgent bool) bool {
	n := s.at(i)
	if n.state != unknown {
		return false
	}
	n.state, n.root = pending, root
	n.wait++
	if root || urgent {
		n.tier = 0
	}
	n.pos = int32(len(s.order))
	s.order = append(s.order, i)
	s.pending++
	return true
}

// Added reports whether i was ever added.
func (s *Sched) Added(i int32) bool { return int(i) < len(s.nodes) && s.nodes[i].state != unknown }

// IsDone reports whether i is done.
func (s *Sched) IsDone(i int32) bool { return int(i) < len(s.nodes) && s.nodes[i].state == done }

// Link makes to wait for from, unless that is done. To is between Add or Again
// and Open; from may be added later.
func (s *Sched) Link(from, to int32) {
	s.at(max(from, to))
	f := &s.nodes[from]
	if f.state == done {
		return
	}
	s.edges = append(s.edges, edge{to: to, next: f.out})
	f.out = int32(len(s.edges))
	t := &s.nodes[to]
	t.wait++
	if t.root {
		f.feeds = true
		s.promote(f, 1)
	}
	if t.feeds {
		s.promote(f, 2)
	}
}

// promote raises n to tier t, if that is higher than its own.
func (s *Sched) promote(n *node, t uint8) {
	if t >= n.tier {
		return
	}
	if n.state == pending && n.wait == 0 {
		s.ready[n.tier].remove(n.pos)
		s.ready[t].add(n.pos)
	}
	n.tier = t
}

// Rank finds the tier of the nodes added since position from (see Positions)
// once all links are there: when Link was called it was not yet known whether a
// root would wait for the consumer.
func (s *Sched) Rank(from int) {
	for _, i := range s.order[from:] {
		n := &s.nodes[i]
		for e := n.out; e > 0 && n.tier > 2; e = s.edges[e-1].next {
			if s.nodes[s.edges[e-1].to].feeds {
				s.promote(n, 2)
			}
		}
	}
}

// Positions is the number of nodes added so far.
func (s *Sched) Positions() int { return len(s.order) }

// Open says that i's links are complete; it is ready once they are all done.
func (s *Sched) Open(i int32) { s.release(i) }

func (s *Sched) release(i int32) {
	n := &s.nodes[i]
	n.wait--
	switch {
	case n.state != pending || n.wait > 0:
	case n.held: // its last stand-in is done: it runs again
		n.state, n.held = running, false
	default:
		s.ready[n.tier].add(n.pos)
		s.nread++
	}
}

// Ready is the number of nodes that Next could hand out.
func (s *Sched) Ready() int { return s.nread }

// Pending is the number of nodes added and not done.
func (s *Sched) Pending() int { return s.pending }

// Next hands out the node to run now; false if none is ready.
func (s *Sched) Next() (int32, bool) {
	if s.nread == 0 {
		return 0, false
	}
	for t := range s.ready {
		if p := s.ready[t].first(); p >= 0 {
			s.ready[t].remove(p)
			s.nread--
			i := s.order[p]
			s.nodes[i].state = running
			return i, true
		}
	}
	panic("sched: a ready node is in no tier")
}

// Again puts a node that Next handed out back, to wait for more: Link what it
// needs, then Open it. It keeps its place in the order.
func (s *Sched) Again(i int32) {
	n := &s.nodes[i]
	n.state, n.wait = pending, 1
}

// StandIn adds a new node t that waits in the place of node i, which Next has
// handed out and which cannot go on before t: Link what t needs, then Open it.
// When Next hands t out, i may go on; call Done for t then.
func (s *Sched) StandIn(t, i int32) {
	s.at(max(t, i))
	n := &s.nodes[t]
	n.state, n.wait, n.tier, n.root = pending, 1, s.nodes[i].tier, s.nodes[i].root
	s.pending++
	if n.pos = s.nodes[i].pos; s.order[n.pos] == i {
		s.order[n.pos] = t // i itself is not ready while it runs
	} else {
		n.pos = int32(len(s.order)) // i has another stand-in already
		s.order = append(s.order, t)
	}
	s.nodes[i].state, s.nodes[i].held = pending, true
	s.Link(t, i)
}

// Done ends a node that Next handed out and makes those ready that waited for
// nothing else.
func (s *Sched) Done(i int32) {
	n := &s.nodes[i]
	n.state = done
	s.pending--
	for e := n.out; e > 0; {
		x := s.edges[e-1]
		if s.order[n.pos] == i && s.nodes[x.to].held && s.nodes[x.to].pos == n.pos {
			s.order[n.pos] = x.to // a stand-in gives the place back
		}
		s.release(x.to)
		e = x.next
	}
	n.out = 0
}
