package loops

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
)

// The names of the classes.
const (
	startClass     = "StartLoop"
	endClass       = "EndLoop"
	iterationClass = "LoopIteration"
	progressClass  = "LoopProgress"
	resultClass    = "LoopResult"
)

// bits is a set of nodes, by number.
type bits []uint64

func (b bits) has(i int) bool { return b[i/64]>>(i%64)&1 == 1 }
func (b bits) add(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bits) remove(i int)   { b[i/64] &^= 1 << (i % 64) }

// graphMap is a graph whose nodes are numbers.
type graphMap struct {
	ctx          context.Context // of whoever submits the prompt
	nodes        nodebus.Nodes
	byID         map[string]int
	parents      [][]int // the nodes that a node takes its inputs from
	children     [][]int
	starts, ends []int // sorted by id
	rank         []int // the place of an EndLoop in ends; 0 for other nodes
	steps        int   // the work so far
	seen         []uint32
	round        uint32 // the walk for which seen is valid
}

func newMap(ctx context.Context, nodes nodebus.Nodes) *graphMap {
	m := &graphMap{ctx: ctx, nodes: nodes}
	for i := range nodes {
		switch nodes[i].Class {
		case startClass:
			m.starts = append(m.starts, i)
		case endClass:
			m.ends = append(m.ends, i)
		}
	}
	if len(m.starts)+len(m.ends) == 0 {
		return m
	}
	m.byID = make(map[string]int, len(nodes))
	for i := range nodes {
		m.byID[nodes[i].ID] = i
	}
	m.sortByID(m.starts)
	m.sortByID(m.ends)
	m.rank, m.seen = make([]int, len(nodes)), make([]uint32, len(nodes))
	for at, end := range m.ends {
		m.rank[end] = at
	}
	m.link()
	return m
}

// link finds the parents and the children of all nodes.
func (m *graphMap) link() {
	m.parents, m.children = make([][]int, len(m.nodes)), make([][]int, len(m.nodes))
	for i := range m.nodes {
		for _, v := range m.nodes[i].Inputs {
			l, _ := v.(nodebus.Link)
			if from, ok := m.byID[l.Node]; ok {
				m.parents[i] = append(m.parents[i], from)
			}
		}
		slices.Sort(m.parents[i])
		m.parents[i] = slices.Compact(m.parents[i])
		for _, from := range m.parents[i] {
			m.children[from] = append(m.children[from], i)
		}
	}
}

// The limits of the check of a graph. A graph that is far too large for them would take
// seconds, or gigabytes in the record.
const (
	stepsMax = 5_000_000
	bodyMax  = 250_000  // the nodes in all bodies; a node in a loop inside of a loop counts twice
	textMax  = 16 << 20 // the lists of these nodes in the record, in bytes
)

func tooLarge(what string, limit int) error {
	return &nodebus.ValidationError{Problem: nodebus.Problem{
		Type: "prompt_too_large", Message: "The prompt needs too much memory",
		Details: fmt.Sprintf("%s; the limit is %d; submit fewer loops at a time, or fewer loops inside of each other", what, limit),
		Extra:   map[string]any{},
	}}
}

// work counts n steps. It returns an error if there are too many, or if the submitter is gone.
func (m *graphMap) work(n int) error {
	before := m.steps
	if m.steps += n; m.steps > stepsMax {
		return tooLarge("pairing its loops takes too many steps", stepsMax)
	}
	if before>>16 != m.steps>>16 {
		return context.Cause(m.ctx)
	}
	return nil
}

// none returns an empty set.
func (m *graphMap) none() bits { return make(bits, len(m.nodes)/64+1) }

// setOf returns a set of nodes.
func (m *graphMap) setOf(nodes []int) bits {
	b := m.none()
	for _, i := range nodes {
		b.add(i)
	}
	return b
}

// walk returns the nodes that from leads to, with from itself, in no order of use. It goes along
// edges, within scope; a nil scope means everywhere. It does not go beyond the nodes of stop,
// which may be nil.
func (m *graphMap) walk(from []int, edges [][]int, scope, stop bits) ([]int, error) {
	m.round++
	return m.walkOn(from, edges, scope, stop)
}

// walkOn is as walk, but leaves out the nodes that the last walk has met.
func (m *graphMap) walkOn(from []int, edges [][]int, scope, stop bits) (found []int, err error) {
	meet := func(nodes []int) {
		for _, i := range nodes {
			if !m.met(i) && (scope == nil || scope.has(i)) {
				m.seen[i] = m.round
				found = append(found, i)
			}
		}
	}
	meet(from)
	for k := 0; k < len(found); k++ {
		i := found[k]
		if err := m.work(1 + len(edges[i])); err != nil {
			return nil, err
		}
		if stop == nil || !stop.has(i) {
			meet(edges[i])
		}
	}
	return found, m.work(1 + len(from))
}

// met reports whether the last walk has met a node.
func (m *graphMap) met(i int) bool { return m.seen[i] == m.round }

func (m *graphMap) sortByID(nodes []int) {
	slices.SortFunc(nodes, func(a, b int) int { return cmp.Compare(m.nodes[a].ID, m.nodes[b].ID) })
}

// ids returns the ids of nodes, sorted.
func (m *graphMap) ids(nodes []int) []string {
	ids := make([]string, len(nodes))
	for k, i := range nodes {
		ids[k] = m.nodes[i].ID
	}
	slices.Sort(ids)
	return ids
}

// The limits of names.
const (
	namesMax = 20
	nameMax  = 100 // bytes
)

// names returns the ids of nodes for a message: there may be many, and long ones.
func (m *graphMap) names(nodes []int) string {
	ids := m.ids(nodes)
	more := len(ids) - namesMax
	ids = ids[:min(len(ids), namesMax)]
	for k, id := range ids {
		if len(id) > nameMax {
			ids[k] = strings.ToValidUTF8(id[:nameMax], "") + "…"
		}
	}
	text := strings.Join(ids, ", ")
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
