package nodebus

import "slices"

// snapshot is the list of nodes in a [ProgressState] of a [Tracker]. A tracker sends many
// snapshots of a large prompt, and the hub keeps them. A snapshot therefore has one byte
// for each node. It shares everything else with the tracker and its other snapshots.
//
// The tracker only appends to what it shares, so a snapshot never changes. A snapshot
// keeps the ids of all nodes of the prompt in memory, but not the prompt.
type snapshot struct {
	shown []int32  // shared: the numbers of the nodes, in the order in which they began
	ids   []string // shared: the ids of the nodes of the prompt, by number
	added []Place  // shared: the nodes made at run time, which have the next numbers

	marks []nodeMark // one for each node in shown
	steps []step     // the progress of the nodes whose mark says that they reported it
	size  int        // estimated size of the JSON of the nodes, in bytes

	few [32]nodeMark // the memory of marks, if there are not more
}

// nodeMark is the phase of a node, and the bit stepped if the node reported progress.
type nodeMark uint8

const (
	phaseNone nodeMark = iota // the node has not begun
	phaseRunning
	phaseFinished
	phaseFailed

	stepped  nodeMark = 1 << 7
	anyPhase          = stepped - 1
)

var phaseNames = [...]string{phaseRunning: "running", phaseFinished: "finished", phaseFailed: "error"}

// step is a progress report: value out of max.
type step struct{ value, max float64 }

// clamped returns the report that clients receive: 0 ≤ value ≤ max. A negative max is 0.
// What is not a number stays so.
func (s step) clamped() step {
	if s.max <= 0 { // also -0
		s.max = 0
	}
	switch {
	case s.value <= 0:
		s.value = 0
	case s.value > s.max:
		s.value = s.max
	}
	return s
}

// clamped returns p, or for a Progress the payload that clients receive.
func clamped(p Payload) Payload {
	report, ok := p.(Progress)
	if !ok || 0 <= report.Value && report.Value <= report.Max {
		return p
	}
	at := step{report.Value, report.Max}.clamped()
	report.Value, report.Max = at.value, at.max
	return report
}

// progress returns the progress of a node that reported none. A node that has finished has
// done all of it.
func (m nodeMark) progress() step {
	if m == phaseFinished {
		return step{1, 1}
	}
	return step{0, 1}
}

// place returns the ids of node n, which is one of the prompt, or was made at run time.
func (s *snapshot) place(n int32) Place {
	if k := int(n) - len(s.ids); k >= 0 {
		return s.added[k]
	}
	id := s.ids[n]
	return Place{UniqueID: id, DisplayID: id, RealID: id}
}

// With returns a copy of p with further nodes. A [Tracker] makes snapshots that need less
// memory.
func (p ProgressState) With(nodes ...NodeState) ProgressState {
	list := slices.Concat(p.Nodes(), nodes)
	for i := range list {
		at := step{list[i].Value, list[i].Max}.clamped()
		list[i].Value, list[i].Max = at.value, at.max
	}
	return ProgressState{PromptID: p.PromptID, list: list}
}

// Nodes returns the nodes in the order in which they began. Each call makes a new list.
func (p ProgressState) Nodes() []NodeState {
	nodes := make([]NodeState, 0, p.count())
	for n := range p.each {
		nodes = append(nodes, n)
	}
	return nodes
}

// count returns the number of nodes in p.
func (p *ProgressState) count() int {
	if p.shared != nil {
		return len(p.shared.shown)
	}
	return len(p.list)
}

// each calls yield for each node in p, in order.
func (p *ProgressState) each(yield func(NodeState) bool) {
	for _, n := range p.list {
		if !yield(n) {
			return
		}
	}
	s := p.shared
	if s == nil {
		return
	}
	reported := s.steps
	for k, n := range s.shown {
		m := s.marks[k]
		at := m.progress()
		if m&stepped != 0 {
			at, reported = reported[0], reported[1:]
		}
		if !yield(NodeState{Place: s.place(n), Value: at.value, Max: at.max, State: phaseNames[m&anyPhase]}) {
			return
		}
	}
}
