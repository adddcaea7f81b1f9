package loops

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
)

// set is a set of nodes, by number.
type set map[int]bool

func (s set) clone() set { return maps.Clone(s) }

// graphMap is a graph whose nodes are numbers.
type graphMap struct {
	nodes        nodebus.Nodes
	byID         map[string]int
	parents      [][]int // the nodes that a node takes its inputs from
	children     [][]int
	starts, ends set
	steps        int // the work so far
}

func newMap(nodes nodebus.Nodes) *graphMap {
	m := &graphMap{nodes: nodes, starts: set{}, ends: set{}}
	for i := range nodes {
		switch nodes[i].Class {
		case startClass:
			m.starts[i] = true
		case endClass:
			m.ends[i] = true
		}
	}
	if len(m.starts)+len(m.ends) == 0 {
		return m
	}
	m.byID = make(map[string]int, len(nodes))
	for i := range nodes {
		m.byID[nodes[i].ID] = i
	}
	m.parents, m.children = make([][]int, len(nodes)), make([][]int, len(nodes))
	for i := range nodes {
		for _, v := range nodes[i].Inputs {
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
	return m
}

// The limits of the check of a graph. A graph that is far too large for them would take
// minutes, or gigabytes in the record.
const (
	stepsMax = 5_000_000
	bodyMax  = 250_000 // the nodes in all bodies; a node in a loop inside of a loop counts twice
)

func tooLarge(what string, limit int) error {
	return &nodebus.ValidationError{Problem: nodebus.Problem{
		Type: "prompt_too_large", Message: "The prompt needs too much memory",
		Details: fmt.Sprintf("%s; the limit is %d; submit fewer loops at a time, or fewer loops inside of each other", what, limit),
		Extra:   map[string]any{},
	}}
}

// walk returns the nodes that from leads to, with from itself. It goes along edges, within
// scope; a nil scope means everywhere. It does not go beyond the nodes of stop, and returns
// those that it has met as stops.
func (m *graphMap) walk(from []int, edges [][]int, scope, stop set) (found, stops set) {
	found, stops = set{}, set{}
	pending := slices.Clone(from)
	for len(pending) > 0 {
		i := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		m.steps++
		if found[i] || scope != nil && !scope[i] {
			continue
		}
		found[i] = true
		if stop[i] {
			stops[i] = true
			continue
		}
		pending = append(pending, edges[i]...)
	}
	return found, stops
}

// ids returns the ids of nodes, sorted.
func (m *graphMap) ids(nodes set) []string {
	ids := make([]string, 0, len(nodes))
	for i := range nodes {
		ids = append(ids, m.nodes[i].ID)
	}
	slices.Sort(ids)
	return ids
}

// sorted returns the nodes in the order of their ids.
func (m *graphMap) sorted(nodes set) []int {
	return slices.SortedFunc(maps.Keys(nodes), func(a, b int) int { return strings.Compare(m.nodes[a].ID, m.nodes[b].ID) })
}
