package flow

import (
	"fmt"
	"math"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/pyfmt"
	"github.com/nodebus/nodebus/internal/value"
)

// The limits of a validation error, which is an answer to a client. Nodes and problems
// beyond them are only counted.
const (
	problemNodesMax = 1000    // nodes in the error
	problemsMax     = 1000    // problems of a node
	problemBytesMax = 4 << 20 // the memory of all problems in the error
	problemValueMax = 64 << 10
)

// moreNodes is the name in the extra data of a validation error that has the number of
// the nodes that it leaves out.
const moreNodes = "more_nodes"

// moreProblems is the type of the last problem of a node that has more than the answer. Its
// extra data has the number of the others, under the same name. Where the nodes together have
// more, the extra data of the whole error has the number.
const moreProblems = "more_problems"

// problems collects the problems of nodes, within the limits. A graph of 100 000 faulty
// nodes would otherwise cost more memory than the graph itself.
type problems struct {
	found map[int32][]nodebus.Problem // nil for a node that is not in the error
	nodes int                         // nodes in the error
	more  int                         // problems that its nodes have besides
	bytes int
}

// bad reports whether node i has a problem.
func (ps *problems) bad(i int32) bool {
	_, bad := ps.found[i]
	return bad
}

// add adds problems of node i.
func (ps *problems) add(i int32, found ...nodebus.Problem) {
	size := 0
	for k := range found {
		size += boundProblem(&found[k])
	}
	ps.put(i, size, found)
}

// put adds problems of node i, which take size bytes.
func (ps *problems) put(i int32, size int, found []nodebus.Problem) {
	if ps.found == nil {
		ps.found = map[int32][]nodebus.Problem{}
	}
	told, bad := ps.found[i]
	if bad && told == nil {
		return
	}
	if bad && ps.bytes+size > problemBytesMax {
		ps.more += len(found)
		return
	}
	if !bad && (ps.nodes >= problemNodesMax || ps.nodes > 0 && ps.bytes+size > problemBytesMax) {
		ps.found[i] = nil
		return
	}
	if !bad {
		ps.nodes++
	}
	ps.bytes += size
	ps.found[i] = append(told, found...)
}

// forget removes what was added for node i.
func (ps *problems) forget(i int32) {
	if told := ps.found[i]; told != nil {
		ps.nodes--
		for k := range told {
			ps.bytes -= boundProblem(&told[k])
		}
	}
	delete(ps.found, i)
}

// boundProblem shortens what is too large for an answer, and returns the memory of the
// problem.
func boundProblem(p *nodebus.Problem) (size int) {
	p.Message, p.Details = shorten(p.Message, errorTextMax), shorten(p.Details, errorTextMax)
	size = len(p.Message) + len(p.Details) + value.Weight(p.Extra, math.MaxInt, askSize)
	if size <= 2*problemValueMax {
		return size
	}
	for name, v := range p.Extra {
		if value.Weight(v, problemValueMax, askSize) > problemValueMax {
			p.Extra[name] = value.Shown(v)
		}
	}
	return len(p.Message) + len(p.Details) + value.Weight(p.Extra, math.MaxInt, askSize)
}

// describeList formats a list of choices for messages.
func describeList(choices []any) string {
	if len(choices) > 20 {
		return fmt.Sprintf("(list of length %d)", len(choices))
	}
	return pyfmt.Repr(choices)
}

// The limits of dependents. A prompt can have many outputs and many problems, and the
// listed outputs are only a hint.
const (
	dependentsMax      = 5_000_000 // steps
	dependentsBytesMax = 1 << 20   // the text of the listed outputs
)

// dependents lists, for each node with problems, the outputs that depend on it. It
// walks upstream once from each output.
func (pl *planner) dependents(e *nodebus.ValidationError, failed []int32) {
	seen := make([]int32, len(pl.nodes)) // number of the last output that led to the node, counted from 1
	work, text := 0, 0
	for k, o := range failed {
		pl.graph.up(o, func(_ *pathStep, to int32) bool {
			if seen[to] == int32(k)+1 || work >= dependentsMax {
				return false
			}
			seen[to] = int32(k) + 1
			work += len(pl.nodes[to].args) + len(pl.nodes[to].extra)
			if n := e.Nodes[pl.nodes[to].id]; n != nil && text < dependentsBytesMax {
				n.DependentOutputs = append(n.DependentOutputs, pl.nodes[o].id)
				text += 3 + len(pl.nodes[o].id)
			}
			return true
		})
	}
	pl.graph.dependents(e, work, text)
	for _, n := range e.Nodes {
		n.DependentOutputs = orEmpty(n.DependentOutputs)
	}
}
