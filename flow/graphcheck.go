package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/nodebus/nodebus"
)

// GraphCheck is a graph that was submitted, for a function that looks at all of it; see
// [Registry.CheckGraphs]. It is of use only until that function returns, in one goroutine.
// Its methods panic if a node does not exist: that refuses the prompt.
type GraphCheck struct {
	pl     *planner
	wanted []int32        // the outputs that the prompt asks for, in the order of the graph
	wrong  []graphProblem // what Reject was told
	fails  map[int32]bool // outputs that do not run
	left   map[int32]int32
	given  []givenInput
}

// graphProblem is a problem of several nodes.
type graphProblem struct {
	problem        nodebus.Problem
	nodes, outputs []int32
}

// givenInput is an input that a check of a graph has set.
type givenInput struct {
	node int32
	name string
	val  any
}

// CheckGraphs adds a function that is called for each prompt, after its nodes were checked one
// by one. It is for classes whose nodes belong together, such as the begin and the end of a
// loop: one node cannot see whether the graph around it makes sense. The function may refuse
// nodes with [GraphCheck.Reject], and say how the graph runs; a prompt that does not have nodes
// of these classes should cost it no more than a look at the classes. It is not called for
// graphs that nodes make at run time.
//
// The graph may have cycles among nodes that do not run. If it has a cycle, the function is
// called only if some output runs nevertheless, and for the sake of such outputs: see
// [GraphCheck.Outputs]. A walk through the graph must remember where it was, or it never ends.
//
// An error refuses the whole prompt: a [*nodebus.ValidationError] goes to the submitter as it
// is. A panic does so, too. ctx is the context of whoever submits the prompt. The function is
// called again when another process takes the prompt from a queue, so that equal graphs must
// give equal results. Several goroutines call it at the same time.
func (r *Registry) CheckGraphs(check func(ctx context.Context, g *GraphCheck) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks = append(slices.Clip(r.checks), check)
}

// Nodes returns the graph as the record will have it: literals of nodes that some output needs
// have the declared types, and a list is {"__value__": […]}. The caller must not modify the
// nodes, except with SetMember.
func (g *GraphCheck) Nodes() nodebus.Nodes { return g.pl.prompt.Nodes }

// Outputs returns the ids of the output nodes that the prompt asks for, in the order of the
// graph. Some of them may have failed the check of their nodes, and may have other problems,
// too. If the graph has a cycle, Outputs returns only those that run: no node that they depend
// on is in a cycle.
func (g *GraphCheck) Outputs() []string {
	ids := make([]string, 0, len(g.wanted))
	for _, o := range g.wanted {
		if !g.pl.ring || g.runs(o) {
			ids = append(ids, g.pl.nodes[o].id)
		}
	}
	return ids
}

// runs reports whether an output runs, as far as it is known.
func (g *GraphCheck) runs(output int32) bool {
	return g.pl.state[output] == planValid && !g.fails[output]
}

// Reject adds a problem to each of the nodes. The outputs do not run; if no output of the prompt
// is left, the prompt is refused. The submitter receives the problem's Extra once for each node,
// so it should be small: an answer has a few megabytes of problems, and counts the rest.
func (g *GraphCheck) Reject(problem nodebus.Problem, nodes, outputs []string) {
	if problem.Extra == nil {
		problem.Extra = map[string]any{}
	}
	p := graphProblem{problem: problem, nodes: g.numbers(nodes), outputs: g.numbers(outputs)}
	for _, o := range p.outputs {
		g.fail(o)
	}
	g.wrong = append(g.wrong, p)
}

// SetMember sets a member of the JSON of a node, see [nodebus.NodeSpec.Extra]. Listings,
// records and the hidden inputs PROMPT and DYNPROMPT have it.
func (g *GraphCheck) SetMember(node, name string, value json.RawMessage) {
	n := &g.pl.prompt.Nodes[g.number(node)]
	n.Extra = maps.Clone(n.Extra)
	if n.Extra == nil {
		n.Extra = map[string]json.RawMessage{}
	}
	n.Extra[name] = value
}

// Leave leaves nodes to node by: the executor does not run them, and it is for by, or for a
// node that by depends on, to do their work. If an output is among them, by runs in its place.
// by does not receive its inputs that link to them. Other nodes must not link to them.
func (g *GraphCheck) Leave(nodes []string, by string) {
	to := g.number(by)
	if g.left == nil {
		g.left = map[int32]int32{}
	}
	for _, i := range g.numbers(nodes) {
		g.left[i] = to
		if _, isOutput := slices.BinarySearch(g.wanted, i); !isOutput {
			continue
		}
		if g.pl.validate(to); g.pl.state[to] != planValid {
			g.fail(i)
		}
	}
}

// Give sets a hidden input of a node. Its Type must be a name of the class's own, see
// [PortHidden]. Neither the prompt nor its record has the value; what a client has sent under
// the name does not count. A [nodebus.Link] is the output of another node of the graph, which
// runs before.
func (g *GraphCheck) Give(node, input string, value any) {
	i := g.number(node)
	if !slices.ContainsFunc(g.pl.nodes[i].ports, func(f field) bool { return f.Name == input && f.isOwn() }) {
		panic(fmt.Sprintf("flow: Give: node %q (%s) has no hidden input %q of its own", node, g.pl.nodes[i].class.Name(), input))
	}
	if l, ok := value.(nodebus.Link); ok {
		if src := g.number(l.Node); l.Slot < 0 || l.Slot >= len(g.pl.nodes[src].class.outputs) {
			panic(fmt.Sprintf("flow: Give: node %q (%s) has no output %d", l.Node, g.pl.nodes[src].class.Name(), l.Slot))
		}
	}
	g.given = append(g.given, givenInput{i, input, value})
}

func (g *GraphCheck) number(id string) int32 {
	i, ok := g.pl.byID[id]
	if !ok {
		panic(fmt.Sprintf("flow: GraphCheck: the graph has no node %q", id))
	}
	return i
}

func (g *GraphCheck) numbers(ids []string) []int32 {
	all := make([]int32, len(ids))
	for k, id := range ids {
		all[k] = g.number(id)
	}
	return all
}

func (g *GraphCheck) fail(output int32) {
	if g.fails == nil {
		g.fails = map[int32]bool{}
	}
	g.fails[output] = true
}

// checkGraph calls the functions that look at the whole graph. wanted are the outputs that the
// prompt asks for, and failed those that have failed; checkGraph returns all that have failed.
func (pl *planner) checkGraph(wanted, failed []int32) ([]int32, error) {
	pl.reg.mu.RLock()
	checks := pl.reg.checks
	pl.reg.mu.RUnlock()
	pl.graph = &GraphCheck{pl: pl, wanted: wanted}
	for _, check := range checks {
		if pl.gone != nil || pl.ring && !slices.ContainsFunc(wanted, pl.graph.runs) {
			break
		}
		if err := nodebus.Protect(func() error { return check(pl.ctx, pl.graph) }); err != nil {
			return nil, err
		}
	}
	pl.outputs = slices.DeleteFunc(pl.outputs, func(o int32) bool {
		if pl.graph.fails[o] {
			failed = append(failed, o)
		}
		return pl.graph.fails[o]
	})
	slices.Sort(failed)
	return failed, nil
}

// apply changes the plan as the functions have said. All nodes are checked.
func (g *GraphCheck) apply() {
	pl := g.pl
	for _, by := range slices.Compact(slices.Sorted(maps.Values(g.left))) {
		n := &pl.nodes[by]
		isLeft := func(src int32) bool { to, ok := g.left[src]; return ok && to == by }
		for k := range n.args {
			if a := &n.args[k]; isLeft(a.src) {
				*a = arg{src: fixed, val: notGiven}
			}
		}
		n.stray = false
		n.extra = slices.DeleteFunc(n.extra, func(a extraArg) bool { return isLeft(a.src) })
		for k := range n.extra {
			a := &n.extra[k]
			n.stray = n.stray || a.src >= 0 && !n.class.isBelow(a.name)
		}
	}
	for _, in := range g.given {
		n := &pl.nodes[in.node]
		for k := range n.args {
			if n.ports[k].Name != in.name {
				continue
			}
			n.args[k] = arg{src: fixed, val: in.val}
			if l, ok := in.val.(nodebus.Link); ok {
				n.args[k] = arg{src: pl.byID[l.Node], slot: int32(l.Slot)}
			}
		}
	}
}

// roots returns the nodes to run, in place of the outputs.
func (g *GraphCheck) roots(outputs []int32) []int32 {
	if len(g.left) == 0 {
		return outputs
	}
	roots := make([]int32, 0, len(outputs))
	met := map[int32]bool{}
	for _, o := range outputs {
		if by, isLeft := g.left[o]; isLeft {
			o = by
		}
		if !met[o] {
			met[o] = true
			roots = append(roots, o)
		}
	}
	return roots
}

// up walks upstream from an output, and from the node that the output is left to.
func (g *GraphCheck) up(output int32, meet func(by *pathStep, to int32) bool) {
	g.pl.walk.up(output, meet, func(int32, *pathStep) {})
	if by, isLeft := g.left[output]; isLeft {
		g.pl.walk.up(by, meet, func(int32, *pathStep) {})
	}
}

// dependents lists, for each node with a problem of several nodes, all outputs that do not run
// because of the problem. work and text are what the lists have cost so far.
func (g *GraphCheck) dependents(e *nodebus.ValidationError, work, text int) {
	for _, p := range g.wrong {
		for _, i := range p.nodes {
			n := e.Nodes[g.pl.nodes[i].id]
			if n == nil || len(p.outputs) == 0 || work > dependentsMax || text > dependentsBytesMax {
				continue
			}
			work += len(n.DependentOutputs) + len(p.outputs)
			all := map[string]bool{}
			for _, id := range n.DependentOutputs {
				all[id] = true
			}
			for _, o := range p.outputs {
				if id := g.pl.nodes[o].id; !all[id] {
					all[id] = true
					text += 3 + len(id)
				}
			}
			n.DependentOutputs = slices.Sorted(maps.Keys(all))
		}
	}
}
