// Package sched decides which node of a graph runs next. It knows only ids and
// edges; it does not know values, classes or goroutines.
//
// The order is the order of the reference server (execution semantics, section
// 6). A node is ready when it waits for no other node. Among the ready nodes,
// Next takes first the roots and the asynchronous nodes, then nodes that feed a
// root, then nodes that feed such a node, then all others. Within each of these
// tiers it takes the node that was added first. Every operation except Cycle
// takes constant time per node and edge.
package sched

import "slices"

// Sched holds the state of one run. The zero value is ready to use. It is not
// safe for concurrent use.
type Sched struct {
	nodes []node
	order []int32 // maps position to node, in the order of Add
	edges []edge
	ready [tiers]bitset // holds positions
	nread int

	pending int // number of nodes added and not done
}

const tiers = 4

type state uint8

const (
	unknown state = iota // not added
	pending              // waits or is ready
	running              // handed out by Next
	done
)

type node struct {
	state state
	tier  uint8 // 0: root or urgent, 1: feeds a root, 2: feeds a node of tier 1, 3: all others
	root  bool
	feeds bool  // a root waits for it
	held  bool  // it has started, and now waits for a stand-in
	stand bool  // it is a stand-in
	wait  int32 // number of sources not done, plus one until Open
	pos   int32 // index in Sched.order
	out   int32 // first edge to a node that waits for this node: its index plus one, 0 for none
	in    int32 // first edge from a node that this node waits for, in the same form
}

// edge is an edge between two nodes. nextOut and nextIn are the next edge of its source
// and of its target, as an index plus one.
type edge struct{ from, to, nextOut, nextIn int32 }

// Reserve makes sure that there is memory for n nodes and e edges.
func (s *Sched) Reserve(n, e int) {
	s.nodes = slices.Grow(s.nodes, n)
	s.order = slices.Grow(s.order, n)
	s.edges = slices.Grow(s.edges, e)
}

// Reset makes s as good as new, but keeps its memory.
func (s *Sched) Reset() {
	for t := range s.ready {
		s.ready[t].clear()
	}
	*s = Sched{nodes: s.nodes[:0], order: s.order[:0], edges: s.edges[:0], ready: s.ready}
}

func (s *Sched) at(i int32) *node {
	for int(i) >= len(s.nodes) {
		s.nodes = append(s.nodes, node{tier: tiers - 1})
	}
	return &s.nodes[i]
}

// Add makes node i pending. It returns false if i was added before. Next does not
// return i before Open. root is true for the outputs that the prompt requests.
// Urgent nodes are picked as early as roots; nodes that only wait are an example.
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

// Link makes node to wait for node from, unless from is done. Call Link for to
// after Add or Again and before Open; from may be added later.
func (s *Sched) Link(from, to int32) {
	s.at(max(from, to))
	f := &s.nodes[from]
	if f.state == done {
		return
	}
	t := &s.nodes[to]
	s.edges = append(s.edges, edge{from: from, to: to, nextOut: f.out, nextIn: t.in})
	f.out, t.in = int32(len(s.edges)), int32(len(s.edges))
	t.wait++
	if t.root {
		s.feed(from)
	}
	if t.feeds {
		s.promote(from, 2)
	}
}

// feed notes that a root waits for node i. The sources of i may be linked already, if i
// gets a new consumer at run time.
func (s *Sched) feed(i int32) {
	s.promote(i, 1)
	n := &s.nodes[i]
	if n.feeds {
		return
	}
	n.feeds = true
	for e := n.in; e > 0; e = s.edges[e-1].nextIn {
		if from := s.edges[e-1].from; s.nodes[from].stand {
			s.feed(from)
		} else {
			s.promote(from, 2)
		}
	}
}

// promote moves node i, and its stand-ins, up to tier t, if t comes before the current
// tier.
func (s *Sched) promote(i int32, t uint8) {
	n := &s.nodes[i]
	if t >= n.tier {
		return
	}
	if n.state == pending && n.wait == 0 {
		s.ready[n.tier].remove(n.pos)
		s.ready[t].add(n.pos)
	}
	n.tier = t
	if !n.held {
		return
	}
	for e := n.in; e > 0; e = s.edges[e-1].nextIn {
		if from := s.edges[e-1].from; s.nodes[from].stand {
			s.promote(from, t)
		}
	}
}

// Open says that all links of i are made. i is ready once all its sources are done.
func (s *Sched) Open(i int32) { s.release(i) }

func (s *Sched) release(i int32) {
	n := &s.nodes[i]
	n.wait--
	switch {
	case n.state != pending || n.wait > 0:
	case n.held: // the last stand-in is done: the node runs again
		n.state, n.held = running, false
	default:
		s.ready[n.tier].add(n.pos)
		s.nread++
	}
}

// Ready returns the number of ready nodes.
func (s *Sched) Ready() int { return s.nread }

// Pending returns the number of nodes that were added and are not done.
func (s *Sched) Pending() int { return s.pending }

// Next returns the node to run now and marks it as running. It returns false if
// no node is ready.
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

// Again makes a node pending that Next has returned, so that it can wait for more
// sources: Link the sources, then Open the node. The node keeps its place in the
// order.
func (s *Sched) Again(i int32) {
	n := &s.nodes[i]
	n.state, n.wait = pending, 1
}

// StandIn adds a new node t that waits in the place of the running node i, which
// cannot continue before t: Link what t needs, then Open t. When Next returns t,
// i may continue; then call Done for t.
func (s *Sched) StandIn(t, i int32) {
	s.at(max(t, i))
	n := &s.nodes[t]
	n.state, n.wait, n.stand = pending, 1, true
	n.tier, n.root, n.feeds = s.nodes[i].tier, s.nodes[i].root, s.nodes[i].feeds
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

// Fail marks node i as done without a result: node i has not begun, or Next has returned it.
// It calls drop for each node that waits for i. If drop returns true, this node does not run
// either, and neither do the nodes that wait for it: drop is called for them too, once for
// each. If drop returns false, the node waits for one source less, as after Done.
func (s *Sched) Fail(i int32, drop func(i int32) bool) {
	s.nodes[i].state = done
	s.pending--
	for failed := []int32{i}; len(failed) > 0; {
		from := failed[len(failed)-1]
		failed = failed[:len(failed)-1]
		n := &s.nodes[from]
		for e := n.out; e > 0; {
			x := s.edges[e-1]
			e = x.nextOut
			switch {
			case s.nodes[x.to].state == done:
			case drop(x.to):
				s.nodes[x.to].state = done
				s.pending--
				failed = append(failed, x.to)
			default:
				s.giveBack(from, x.to)
				s.release(x.to)
			}
		}
		n.out = 0
	}
}

// giveBack gives the place of a stand-in back to the node that it stood in for.
func (s *Sched) giveBack(standIn, to int32) {
	if at := s.nodes[standIn].pos; s.order[at] == standIn && s.nodes[to].held && s.nodes[to].pos == at {
		s.order[at] = to
	}
}

// Done marks node i, which Next has returned, as done. Nodes that waited only for
// i become ready.
func (s *Sched) Done(i int32) {
	n := &s.nodes[i]
	n.state = done
	s.pending--
	for e := n.out; e > 0; {
		x := &s.edges[e-1]
		if n.stand {
			s.giveBack(i, x.to)
		}
		s.release(x.to)
		e = x.nextOut
	}
	n.out = 0
}
