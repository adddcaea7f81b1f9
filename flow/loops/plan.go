package loops

import (
	"encoding/json"

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
func arrange(g *flow.GraphCheck, m *graphMap, pairs []*pair) error {
	size := 0
	for _, p := range pairs {
		start, ids := m.nodes[p.start].ID, m.ids(p.body)
		body := text(ids)
		if size += len(body); size > textMax {
			return tooLarge("the lists of the nodes in its loops, which the record has, take too many bytes", textMax)
		}
		g.SetMember(start, "_loop_body", body)
		g.SetMember(start, "_loop_end", text(m.nodes[p.end].ID))
		if !p.isInner {
			g.Leave(ids, m.nodes[p.end].ID)
		}
	}
	scope := m.none()
	for _, p := range pairs { // what is inside comes first
		if err := m.loopOf(p, scope); err != nil {
			return err
		}
		if !p.isInner {
			g.Give(p.loop.start, planInput, &opening{loop: p.loop})
			g.Give(p.loop.end, planInput, nodebus.Link{Node: p.loop.start, Slot: slotItem})
		}
	}
	return nil
}

// text returns v, which is made of strings, as JSON.
func text(v any) json.RawMessage {
	b, _ := json.Marshal(v)
	return b
}

// loopOf makes the loop of a pair. The loops inside of it are made. scope is an empty set,
// before and after.
func (m *graphMap) loopOf(p *pair, scope bits) error {
	end := &m.nodes[p.end]
	l := &loop{
		start: m.nodes[p.start].ID, end: end.ID, isMember: map[string]bool{},
		output: linked(end.Inputs["output_value"]), next: linked(end.Inputs["next_iteration_value"]),
		initial: m.nodes[p.start].Inputs["initial_iteration_value"],
	}
	p.loop = l
	accumulate, isLiteral := end.Inputs["accumulate"].(bool)
	l.accumulate = accumulate || !isLiteral
	for _, name := range end.InputNames() {
		if link, ok := end.Inputs[name].(nodebus.Link); ok && isTermination(name) {
			l.terminations = append(l.terminations, link)
		}
	}
	l.ask(end)
	for _, i := range p.body {
		scope.add(i)
	}
	defer func() {
		for _, i := range p.body {
			scope.remove(i)
		}
	}()
	if _, err := m.walk(m.parents[p.end], m.parents, scope, nil); err != nil {
		return err
	}
	begins, ends, deeper := map[int]*loop{}, map[int]*loop{}, map[int]bool{}
	for _, q := range p.inner {
		begins[q.start], ends[q.end] = q.loop, q.loop
		for _, i := range q.body {
			deeper[i] = true
		}
		if m.met(q.end) { // otherwise only outputs inside of the inner loop need it
			continue
		}
		l.terminations = append(l.terminations, nodebus.Link{Node: m.nodes[q.end].ID})
		if _, err := m.walkOn([]int{q.end}, m.parents, scope, nil); err != nil {
			return err
		}
	}
	for _, i := range p.body {
		spec := &m.nodes[i]
		l.ask(spec)
		if !m.met(i) || deeper[i] {
			continue
		}
		l.isMember[spec.ID] = true
		l.members = append(l.members, member{*spec, spec.InputNames(), begins[i], ends[i]})
	}
	return nil
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
