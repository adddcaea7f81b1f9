package loops

import (
	"fmt"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// pair is a loop of a graph: a StartLoop, its EndLoop, and the nodes between.
type pair struct {
	start, end int
	body       []int   // sorted
	inner      []*pair // the loops directly inside of it
	isInner    bool    // it is inside of another loop
	loop       *loop   // see arrange
}

// fault is a reason why loops do not fit together.
type fault struct {
	kind, message, details string
	nodes                  []int
}

// pairAll pairs the boundaries that the outputs need. It rejects those that cannot be paired,
// and then pairs the others, so that the outputs that do not need the rejected ones run.
func (m *graphMap) pairAll(g *flow.GraphCheck) ([]*pair, error) {
	ids := g.Outputs()
	outputs := make([]int, len(ids))
	for k, id := range ids {
		outputs[k] = m.byID[id]
	}
	for len(outputs) > 0 {
		pairs, rejected, err := m.pairFor(g, outputs)
		if err != nil || rejected == nil {
			return pairs, err
		}
		outputs = slices.DeleteFunc(outputs, rejected.has)
	}
	return nil, nil
}

// pairFor pairs the boundaries that some outputs need. If some cannot be paired, it rejects
// them and returns the outputs that do not run.
func (m *graphMap) pairFor(g *flow.GraphCheck, outputs []int) (pairs []*pair, rejected bits, err error) {
	needed, err := m.walk(outputs, m.parents, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	scope := m.setOf(needed)
	suffer := m.none() // the outputs for whose sake the scope has grown
	for {
		p, err := m.newPairing(outputs, scope)
		if err != nil {
			return nil, nil, err
		}
		pairs, f, err := p.run()
		if err != nil || f == nil {
			return pairs, nil, err
		}
		if _, err := m.walk(f.nodes, m.children, scope, nil); err != nil {
			return nil, nil, err
		}
		var reached []int
		for _, o := range outputs {
			if m.met(o) {
				reached = append(reached, o)
				suffer.add(o)
			}
		}
		if grew, err := m.grow(scope, reached); err != nil {
			return nil, nil, err
		} else if grew {
			continue
		}
		if len(reached) == 0 { // the fault is in what was to close the loop of these outputs
			reached = slices.DeleteFunc(slices.Clone(outputs), func(o int) bool { return !suffer.has(o) })
		}
		nodes, outs := m.ids(f.nodes), m.ids(reached)
		g.Reject(nodebus.Problem{
			Type: "custom_validation_failed", Message: f.message, Details: f.details,
			Extra: map[string]any{"input_name": "loop boundary", "loop_error_type": f.kind, "node_ids": nodes, "output_ids": outs},
		}, nodes, outs)
		return nil, m.setOf(reached), m.work(len(nodes) + len(outs))
	}
}

// grow adds the next EndLoops that depend on outputs to the scope, with all that they need. An
// output in a body, such as a preview, needs the whole loop, although it does not depend on it.
// grow returns false if there are none.
func (m *graphMap) grow(scope bits, outputs []int) (grew bool, err error) {
	stop, isEnd := m.none(), m.setOf(m.ends)
	for _, i := range slices.Concat(m.starts, m.ends) {
		if !scope.has(i) {
			stop.add(i)
		}
	}
	below, err := m.walk(outputs, m.children, nil, stop)
	if err != nil {
		return false, err
	}
	fits, all := false, m.none()
	for _, end := range below {
		if !isEnd.has(end) || !stop.has(end) {
			continue
		}
		need, err := m.walk([]int{end}, m.parents, nil, nil)
		if err != nil {
			return false, err
		}
		open := 0 // the loops that begin in need, without those that end there
		for _, i := range need {
			switch {
			case !stop.has(i):
			case isEnd.has(i):
				open--
			default:
				open++
			}
		}
		switch closes := open == -1; {
		case closes && !fits:
			fits, all = true, m.setOf(need)
		case closes == fits:
			for _, i := range need {
				all.add(i)
			}
		}
		grew = true
	}
	for i := range all {
		scope[i] |= all[i]
	}
	return grew, m.work(len(all))
}

// run pairs the innermost EndLoops first. It returns the first fault that it finds.
func (p *pairing) run() (pairs []*pair, f *fault, err error) {
	inBodies := 0
	for {
		end := p.next()
		if end < 0 {
			break
		}
		l := &pair{end: end}
		if l.start, f, err = p.startOf(end); f != nil || err != nil {
			return nil, f, err
		}
		p.free.remove(l.start)
		p.open.remove(end)
		if f, err = p.fill(l); f != nil || err != nil {
			return nil, f, err
		}
		if inBodies += len(l.body); inBodies > bodyMax {
			return nil, nil, tooLarge("the bodies of its loops have too many nodes", bodyMax)
		}
		pairs = append(pairs, l)
		if err := p.close(l); err != nil {
			return nil, nil, err
		}
	}
	if open := p.among(p.ends, p.open); len(open) > 0 {
		return nil, &fault{
			"loop_end_cycle", "EndLoops in a cycle, or behind it",
			fmt.Sprintf("the nodes %s cannot end: each is in a cycle of links, or depends on one; remove a link of the cycle", p.names(open)), open,
		}, nil
	}
	if open := p.among(p.starts, p.free); len(open) > 0 {
		return nil, &fault{
			"loop_start_without_end", "StartLoop without an EndLoop",
			fmt.Sprintf("no EndLoop closes the loop of node %s; link what the loop returns to an EndLoop", p.names(open)), open,
		}, nil
	}
	return pairs, p.nest(pairs), nil
}

// among returns the nodes that are in a set.
func (m *graphMap) among(nodes []int, in bits) (found []int) {
	for _, i := range nodes {
		if in.has(i) {
			found = append(found, i)
		}
	}
	return found
}

// startOf returns the StartLoop of an EndLoop: of those above it that are not paired yet, the
// one that is below all others. It can only be the last in the order of the graph.
func (p *pairing) startOf(end int) (start int, f *fault, err error) {
	above, err := p.walk(p.parents[end], p.parents, p.fed, p.free)
	if err != nil {
		return 0, nil, err
	}
	open := p.among(above, p.free)
	id := p.names([]int{end})
	if len(open) == 0 {
		return 0, &fault{
			"loop_end_without_start", "EndLoop without a StartLoop",
			fmt.Sprintf("node %s ends a loop, but it depends on no StartLoop that is free; link an output of a StartLoop into the loop", id),
			[]int{end},
		}, nil
	}
	start = slices.MaxFunc(open, func(a, b int) int { return p.at[a] - p.at[b] })
	if len(open) == 1 {
		return start, nil, nil
	}
	if _, err := p.walk([]int{start}, p.parents, p.fed, nil); err != nil {
		return 0, nil, err
	}
	if !slices.ContainsFunc(open, func(i int) bool { return !p.met(i) }) {
		return start, nil, nil
	}
	return 0, &fault{
		"ambiguous_loop_nesting", "EndLoop with several StartLoops",
		fmt.Sprintf("node %s could end the loop of any of the nodes %s; link parent_iteration of the inner one to the outer one, or end each with an EndLoop of its own", id, p.names(open)),
		append(open, end),
	}, nil
}

// fill finds the body of a loop, or ways out of the loop that do not lead through its EndLoop.
// Loops inside of it are paired already: a way may lead through their boundaries.
func (p *pairing) fill(l *pair) (*fault, error) {
	body, err := p.walk(p.children[l.start], p.children, p.scope, p.stop)
	if err != nil {
		return nil, err
	}
	slices.Sort(body)
	at, _ := slices.BinarySearch(body, l.end)
	l.body = slices.Delete(body, at, at+1)
	out := p.among(l.body, p.stop)
	if len(out) == 0 {
		return nil, nil
	}
	return &fault{
		"loop_escape", "Loop with a second way out",
		fmt.Sprintf("node %s depends on the loop of node %s, but not only through its EndLoop, node %s; link it to the EndLoop instead",
			p.names(out), p.names([]int{l.start}), p.names([]int{l.end})),
		append(out, l.start, l.end),
	}, nil
}

// nest finds the loops directly inside of each loop. In pairs, what is inside comes first.
func (p *pairing) nest(pairs []*pair) *fault {
	byStart := map[int]*pair{}
	for _, l := range pairs {
		if f := p.accumulates(l); f != nil {
			return f
		}
		for _, i := range l.body {
			if in := byStart[i]; in != nil && !in.isInner {
				in.isInner = true
				l.inner = append(l.inner, in)
			}
		}
		byStart[l.start] = l
	}
	return nil
}

// accumulates finds an EndLoop whose input accumulate comes from its own loop: the input must be
// known before the loop has run.
func (p *pairing) accumulates(l *pair) *fault {
	from, _ := p.nodes[l.end].Inputs["accumulate"].(nodebus.Link)
	src, ok := p.byID[from.Node]
	if _, inBody := slices.BinarySearch(l.body, src); !ok || src != l.start && !inBody {
		return nil
	}
	nodes := []int{l.start, l.end}
	if src != l.start {
		nodes = append(nodes, src)
	}
	return &fault{
		"loop_accumulate_from_body", "accumulate depends on its own loop",
		fmt.Sprintf("accumulate of node %s comes from node %s, which is in its loop; link accumulate to a node outside, or set it", p.names([]int{l.end}), p.names([]int{src})),
		nodes,
	}
}
