package loops

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// pair is a loop of a graph: a StartLoop, its EndLoop, and the nodes between.
type pair struct {
	start, end int
	body       set
	inner      []*pair // the loops directly inside of it
	isInner    bool    // it is inside of another loop
}

// fault is a reason why loops do not fit together.
type fault struct {
	kind, message, details string
	nodes                  set
}

// pairAll pairs the boundaries that the outputs need. It rejects those that cannot be paired,
// and then pairs the others, so that the outputs that do not need the rejected ones run.
func (m *graphMap) pairAll(g *flow.GraphCheck) ([]*pair, error) {
	outputs := set{}
	for _, id := range g.Outputs() {
		outputs[m.byID[id]] = true
	}
	scope, _ := m.walk(slices.Collect(maps.Keys(outputs)), m.parents, nil, nil)
	suffer := set{} // the outputs for whose sake the scope has grown
	for len(outputs) > 0 && len(m.starts)+len(m.ends) > 0 {
		p := m.newPairing(outputs, scope)
		pairs, f, err := p.run()
		if err != nil || f == nil {
			return pairs, err
		}
		reached, _ := m.walk(slices.Collect(maps.Keys(f.nodes)), m.children, scope, nil)
		maps.DeleteFunc(reached, func(i int, _ bool) bool { return !outputs[i] })
		maps.Copy(suffer, reached)
		switch grew := m.grow(scope, reached); {
		case m.steps > stepsMax:
			return nil, tooLarge("pairing its loops takes too many steps", stepsMax)
		case grew:
			continue
		}
		if len(reached) == 0 { // the fault is in what was to close the loop of these outputs
			reached = suffer
		}
		nodes, outs := m.ids(f.nodes), m.ids(reached)
		g.Reject(nodebus.Problem{
			Type: "custom_validation_failed", Message: f.message, Details: f.details,
			Extra: map[string]any{"input_name": "loop boundary", "loop_error_type": f.kind, "node_ids": nodes, "output_ids": outs},
		}, nodes, outs)
		for i := range reached {
			delete(outputs, i)
		}
		scope, _ = m.walk(slices.Collect(maps.Keys(outputs)), m.parents, nil, nil)
		suffer = set{}
	}
	return nil, nil
}

// grow adds the next EndLoops that depend on outputs to the scope, with all that they need. An
// output in a body, such as a preview, needs the whole loop, although it does not depend on it.
// grow returns false if there are none. It gives up after stepsMax steps.
func (m *graphMap) grow(scope, outputs set) bool {
	stop := set{}
	for _, boundaries := range []set{m.starts, m.ends} {
		for i := range boundaries {
			if !scope[i] {
				stop[i] = true
			}
		}
	}
	_, met := m.walk(slices.Collect(maps.Keys(outputs)), m.children, nil, stop)
	var all []set
	fits := false
	for i := range met {
		if !m.ends[i] || m.steps > stepsMax {
			continue
		}
		need, _ := m.walk([]int{i}, m.parents, nil, nil)
		open := 0 // the loops that begin in need, without those that end there
		for k := range need {
			switch {
			case scope[k]:
			case m.starts[k]:
				open++
			case m.ends[k]:
				open--
			}
		}
		switch closes := open == -1; {
		case closes && !fits:
			fits, all = true, []set{need}
		case closes == fits:
			all = append(all, need)
		}
	}
	for _, need := range all {
		maps.Copy(scope, need)
	}
	return len(all) > 0
}

// pairing is one attempt to pair the boundaries.
type pairing struct {
	*graphMap
	outputs      set
	scope        set   // the nodes that count
	starts, ends set   // in the scope and not paired yet
	allStarts    set   // in the scope
	order        []int // the EndLoops in the scope, by id
	stop         set   // where a way out of a loop ends: unpaired EndLoops, and outputs that nothing needs
	below        map[int]set
}

func (m *graphMap) newPairing(outputs, scope set) *pairing {
	p := &pairing{graphMap: m, outputs: outputs, scope: scope, starts: set{}, ends: set{}, below: map[int]set{}}
	for i := range m.starts {
		if scope[i] {
			p.starts[i] = true
		}
	}
	for i := range m.ends {
		if scope[i] {
			p.ends[i] = true
		}
	}
	p.allStarts, p.order, p.stop = p.starts.clone(), m.sorted(p.ends), p.ends.clone()
	for o := range outputs {
		if !slices.ContainsFunc(m.children[o], func(i int) bool { return scope[i] }) {
			p.stop[o] = true
		}
	}
	return p
}

// run pairs the innermost EndLoops first. It returns the first fault that it finds.
func (p *pairing) run() (pairs []*pair, f *fault, err error) {
	above := p.endsAbove()
	for len(p.ends) > 0 {
		end := p.innermost(above)
		if end < 0 {
			return nil, p.endCycle(), nil
		}
		start, f := p.startOf(end)
		if f != nil {
			return nil, f, nil
		}
		delete(p.starts, start)
		delete(p.ends, end)
		if f := p.escape(start, end); f != nil {
			return nil, f, nil
		}
		pairs = append(pairs, &pair{start: start, end: end})
		if p.steps > stepsMax {
			return nil, nil, tooLarge("pairing its loops takes too many steps", stepsMax)
		}
	}
	if len(p.starts) > 0 {
		return nil, &fault{
			"loop_start_without_end", "StartLoop without an EndLoop",
			fmt.Sprintf("no EndLoop closes the loop of node %s; link what the loop returns to an EndLoop", strings.Join(p.ids(p.starts), ", ")), p.starts,
		}, nil
	}
	f, err = p.fill(pairs)
	return pairs, f, err
}

// fill finds the bodies, and the loops directly inside of each loop.
func (p *pairing) fill(pairs []*pair) (f *fault, err error) {
	inBodies := 0
	byStart := map[int]*pair{}
	for _, l := range pairs { // what is inside comes first
		l.body, _ = p.walk(p.children[l.start], p.children, p.scope, set{l.end: true})
		delete(l.body, l.end)
		if inBodies += len(l.body); inBodies > bodyMax {
			return nil, tooLarge("the bodies of its loops have too many nodes", bodyMax)
		}
		if f := p.accumulates(l); f != nil {
			return f, nil
		}
		for i := range l.body {
			if in := byStart[i]; in != nil && !in.isInner {
				in.isInner = true
				l.inner = append(l.inner, in)
			}
		}
		byStart[l.start] = l
	}
	return nil, nil
}

// endsAbove returns, for each EndLoop, the EndLoops next above it.
func (p *pairing) endsAbove() map[int]set {
	above := map[int]set{}
	for end := range p.ends {
		_, above[end] = p.walk(p.parents[end], p.parents, p.scope, p.ends)
	}
	return above
}

// innermost returns the first EndLoop that has no unpaired EndLoop above it; -1 if there is
// none.
func (p *pairing) innermost(above map[int]set) int {
	for len(p.order) > 0 && !p.ends[p.order[0]] {
		p.order = p.order[1:]
	}
	for _, end := range p.order {
		p.steps++
		open := !p.ends[end]
		for other := range above[end] {
			open = open || p.ends[other]
		}
		if !open {
			return end
		}
	}
	return -1
}

func (p *pairing) endCycle() *fault {
	return &fault{
		"loop_end_cycle", "EndLoops need each other",
		fmt.Sprintf("none of the nodes %s can end before the others; remove a link between them", strings.Join(p.ids(p.ends), ", ")), p.ends,
	}
}

// startOf returns the StartLoop of an EndLoop: of those above it that are not paired yet, the
// one that is below all others.
func (p *pairing) startOf(end int) (start int, f *fault) {
	_, open := p.walk(p.parents[end], p.parents, p.scope, p.starts)
	id := p.nodes[end].ID
	if len(open) == 0 {
		return 0, &fault{
			"loop_end_without_start", "EndLoop without a StartLoop",
			fmt.Sprintf("node %s ends a loop, but it depends on no StartLoop that is free; link an output of a StartLoop into the loop", id),
			set{end: true},
		}
	}
	var closest []int
	for i := range open {
		is := true
		for other := range open {
			is = is && (other == i || p.isBelow(i, other))
		}
		if is {
			closest = append(closest, i)
		}
	}
	if len(closest) == 1 {
		return closest[0], nil
	}
	f = &fault{
		"ambiguous_loop_nesting", "EndLoop with several StartLoops",
		fmt.Sprintf("node %s could end the loop of any of the nodes %s; link parent_iteration of the inner one to the outer one, or end each with an EndLoop of its own", id, strings.Join(p.ids(open), ", ")),
		open.clone(),
	}
	f.nodes[end] = true
	return 0, f
}

// isBelow reports whether a StartLoop depends on another.
func (p *pairing) isBelow(start, other int) bool {
	if p.below[other] == nil {
		p.below[other], _ = p.walk(p.children[other], p.children, p.scope, nil)
		maps.DeleteFunc(p.below[other], func(i int, _ bool) bool { return !p.allStarts[i] })
	}
	return p.below[other][start]
}

// escape looks for ways out of a loop that do not lead through its EndLoop. Loops inside of it
// are paired already: a way may lead through their boundaries.
func (p *pairing) escape(start, end int) *fault {
	_, out := p.walk(p.children[start], p.children, p.scope, p.stop)
	delete(out, end)
	delete(p.stop, end)
	if len(out) == 0 {
		return nil
	}
	ids := strings.Join(p.ids(out), ", ")
	out[start], out[end] = true, true
	return &fault{
		"loop_escape", "Loop with a second way out",
		fmt.Sprintf("node %s depends on the loop of node %s, but not only through its EndLoop, node %s; link it to the EndLoop instead", ids, p.nodes[start].ID, p.nodes[end].ID), out,
	}
}

// accumulates finds an EndLoop whose input accumulate comes from its own loop: the input must be
// known before the loop has run.
func (p *pairing) accumulates(l *pair) *fault {
	from, _ := p.nodes[l.end].Inputs["accumulate"].(nodebus.Link)
	src, ok := p.byID[from.Node]
	if !ok || src != l.start && !l.body[src] {
		return nil
	}
	return &fault{
		"loop_accumulate_from_body", "accumulate depends on its own loop",
		fmt.Sprintf("accumulate of node %s comes from node %s, which is in its loop; link accumulate to a node outside, or set it", p.nodes[l.end].ID, from.Node),
		set{l.start: true, l.end: true, src: true},
	}
}
