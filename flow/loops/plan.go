package loops

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// loop is a loop of a prompt, ready to run. It does not change, and several runs may share it.
type loop struct {
	start, end   string
	members      []member        // what each iteration copies, in the order of the graph
	isMember     map[string]bool // by id
	output, next any             // inputs of the EndLoop; nil if it does not have them
	terminations []nodebus.Link
	accumulate   bool // EndLoop may ask for the output of each iteration
	initial      any  // input of the StartLoop
	first, last  bool // some node asks whether the iteration is the first, or the last
}

// member is a node of the body of a loop. A loop inside of it has two members, its StartLoop and
// its EndLoop: the StartLoop copies the rest.
type member struct {
	spec   nodebus.NodeSpec
	order  []string // the names of its inputs, as they came
	begins *loop    // not nil: the node is its StartLoop
	ends   *loop    // not nil: the node is its EndLoop
}

// arrange makes the loops run: the bodies are left to the EndLoops, which run after their
// StartLoops.
func arrange(g *flow.GraphCheck, m *graphMap, pairs []*pair) {
	for _, p := range pairs {
		start := m.nodes[p.start].ID
		g.SetMember(start, "_loop_body", text(m.ids(p.body)))
		g.SetMember(start, "_loop_end", text(m.nodes[p.end].ID))
		if !p.isInner {
			g.Leave(m.ids(p.body), m.nodes[p.end].ID)
		}
	}
	for _, p := range pairs {
		if p.isInner {
			continue
		}
		l := m.loopOf(p)
		g.Give(l.start, planInput, &opening{loop: l})
		g.Give(l.end, planInput, nodebus.Link{Node: l.start, Slot: slotItem})
	}
}

// text returns v, which is made of strings, as JSON.
func text(v any) json.RawMessage {
	b, _ := json.Marshal(v)
	return b
}

// loopOf returns the loop of a pair, with the loops inside of it.
func (m *graphMap) loopOf(p *pair) *loop {
	end := &m.nodes[p.end]
	l := &loop{
		start: m.nodes[p.start].ID, end: end.ID, isMember: map[string]bool{},
		output: linked(end.Inputs["output_value"]), next: linked(end.Inputs["next_iteration_value"]),
		initial: m.nodes[p.start].Inputs["initial_iteration_value"],
	}
	accumulate, isLiteral := end.Inputs["accumulate"].(bool)
	l.accumulate = accumulate || !isLiteral
	for _, name := range end.InputNames() {
		if link, ok := end.Inputs[name].(nodebus.Link); ok && isTermination(name) {
			l.terminations = append(l.terminations, link)
		}
	}
	l.ask(end)
	needed, _ := m.walk(m.parents[p.end], m.parents, p.body, nil)
	for _, q := range p.inner {
		if needed[q.end] { // otherwise only outputs inside of the inner loop need it
			continue
		}
		l.terminations = append(l.terminations, nodebus.Link{Node: m.nodes[q.end].ID})
		more, _ := m.walk([]int{q.end}, m.parents, p.body, nil)
		maps.Copy(needed, more)
	}
	begins, ends, deeper := map[int]*loop{}, map[int]*loop{}, set{}
	for _, q := range p.inner {
		in := m.loopOf(q)
		begins[q.start], ends[q.end] = in, in
		for i := range q.body {
			deeper[i] = true
		}
	}
	for _, i := range slices.Sorted(maps.Keys(p.body)) {
		spec := &m.nodes[i]
		l.ask(spec)
		if !needed[i] || deeper[i] {
			continue
		}
		l.isMember[spec.ID] = true
		l.members = append(l.members, member{*spec, spec.InputNames(), begins[i], ends[i]})
	}
	return l
}

// ask notes what a node asks about the iteration.
func (l *loop) ask(n *nodebus.NodeSpec) {
	for _, v := range n.Inputs {
		if link, ok := v.(nodebus.Link); ok && link.Node == l.start {
			l.first = l.first || link.Slot == slotFirst
			l.last = l.last || link.Slot == slotLast
		}
	}
}

// linked returns v if it is a link, and otherwise nil.
func linked(v any) any {
	if l, ok := v.(nodebus.Link); ok {
		return l
	}
	return nil
}
