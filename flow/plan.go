package flow

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
)

// plan is a prompt that is ready to run: ids are numbers, classes are looked up, and
// literals have the types of the nodes' fields. A plan does not change while it
// runs.
type plan struct {
	rejected *nodebus.ValidationError // lists the invalid outputs; nil if all outputs are valid
	reg      *Registry
	nodes    []planNode    // in the order of the prompt
	specs    nodebus.Nodes // the nodes of the prompt
	byID     map[string]int32
	outputs  []int32 // outputs that will run
	isOutput []bool  // by node: the node is in outputs

	intermediate bool // some node has a class with Info.Intermediate
}

type planNode struct {
	id    string
	made  *origin // nil for a node of the submitted prompt
	class *Class
	ports []field    // the inputs of the node; see Class.ports
	args  []arg      // one for each port; nil if an input has a broken link
	extra []extraArg // inputs that are not ports, sorted by name
	sound bool       // the node itself has no problem
	stray bool       // an extra input is linked and not below a dynamic input: each call fails
}

// origin holds the parent, real and display ids of a node made at run time.
type origin struct {
	parentID  string
	realID    string
	displayID string
	real      int32   // number of node realID in a run of Local
	up        *origin // the origin of node parentID; nil for a node of the prompt
}

// appendSources appends the sources that the node needs before it runs.
func (n *planNode) appendSources(sources []int32) []int32 {
	for k := range n.args {
		if a := &n.args[k]; a.src >= 0 && !n.ports[k].Lazy {
			sources = append(sources, a.src)
		}
	}
	for k := range n.extra {
		if src := n.extra[k].src; src >= 0 {
			sources = append(sources, src)
		}
	}
	return sources
}

// place returns the ids of the node.
func (n *planNode) place() nodebus.Place {
	p := nodebus.Place{UniqueID: n.id, DisplayID: n.id, RealID: n.id}
	if m := n.made; m != nil {
		p.DisplayID, p.ParentID, p.RealID = m.displayID, m.parentID, m.realID
	}
	return p
}

// extraArg is an input that is not a port: the class does not declare it, or it is below a
// dynamic input that does not have it. As in ComfyUI, the node that
// it links to runs before this node. The input is part of the node's cache key.
type extraArg struct {
	name string
	arg
}

// source returns the source node of input number at, or -1 if the input is not
// linked. Declared inputs come first, then undeclared inputs. more is false after
// the last input.
func (n *planNode) source(at int) (src int32, more bool) {
	switch {
	case at < len(n.args):
		return n.args[at].src, true
	case at < len(n.args)+len(n.extra):
		return n.extra[at-len(n.args)].src, true
	}
	return -1, false
}

// arg is an input of a node. If src is not negative, the input is an output of node
// src; otherwise it is the value val, which may be notGiven, and src is fixed or copied.
type arg struct {
	val       any
	src, slot int32
}

// literal returns input k of a node, whose value is val. A node made at run time may have a
// literal as a prompt has it, for example in a copy of a node of the prompt: {"__value__": …}.
// Converting it calls foreign code.
func (n *planNode) literal(k int, val any) any {
	if _, isObject := val.(map[string]any); n.made == nil || !isObject {
		return val
	}
	return n.ports[k].literal(val)
}

// share decides whether the calls share a literal or a default.
func (a *arg) share(f *field) {
	if f.copies && a.src < 0 && a.val != nil && mayCopy(reflect.TypeOf(a.val)) {
		a.src = copied
	}
}

func isCopied(a arg) bool { return a.src == copied }

// value returns the value of an arg that is not linked, for one call.
func (a *arg) value() any {
	if a.src == copied {
		return copyOf(a.val)
	}
	return a.val
}

// planner makes a plan and finds all problems of the prompt.
type planner struct {
	plan
	ctx    context.Context // of whoever submits the prompt
	gone   error           // the cause of ctx, if it ended while a node checked its inputs
	given  nodebus.Nodes   // the nodes as they were submitted
	sample *nodebus.Job    // see job
	prompt *nodebus.Prompt
	state  []planState
	found  problems
	slab   []arg
	shapes shapes
	walk   walker
	ring   bool // some node depends on itself
	graph  *GraphCheck
}

type planState uint8

const (
	planUnseen    planState = iota
	planOnPath              // being validated: meeting the node again means a cycle
	planOnBadPath           // as planOnPath, and it depends on an invalid node
	planValid
	planInvalid
)

// job returns a job for the contexts of nodes that check their inputs.
func (pl *planner) job() *nodebus.Job {
	if pl.sample == nil {
		given := *pl.prompt
		given.Nodes = pl.given
		pl.sample = &nodebus.Job{Prompt: &given}
	}
	return pl.sample
}

// plan validates p and makes it ready to run, or returns the error that prevents it: a
// [*nodebus.ValidationError], or the cause of ctx. It replaces p.Nodes with a copy that has no
// nodes of old classes, and whose literals have the declared types.
func (r *Registry) plan(ctx context.Context, p *nodebus.Prompt) (*plan, error) {
	pl := &planner{ctx: ctx, given: r.withoutOld(p.Nodes), prompt: p}
	p.Nodes = slices.Clone(pl.given)
	pl.reg, pl.byID = r, make(map[string]int32, len(p.Nodes))
	if err := pl.lookUp(); err != nil {
		return nil, err
	}
	wanted := pl.wanted()
	if len(wanted) == 0 {
		return nil, promptError("prompt_no_outputs", "Prompt has no outputs", "")
	}
	var failed []int32
	for _, o := range wanted {
		if pl.validate(o); pl.state[o] == planValid {
			pl.outputs = append(pl.outputs, o)
		} else {
			failed = append(failed, o)
		}
	}
	failed, err := pl.checkGraph(wanted, failed)
	if err != nil {
		return nil, err
	}
	var rejected *nodebus.ValidationError
	if len(failed) > 0 || len(pl.graph.wrong) > 0 {
		rejected = pl.report(failed)
	}
	if pl.gone == nil && len(pl.outputs) == 0 {
		return nil, rejected
	}
	if err := pl.rest(); err != nil {
		return nil, err
	}
	if pl.gone != nil {
		return nil, pl.gone
	}
	pl.rejected, pl.specs = rejected, p.Nodes
	p.Outputs = make([]string, len(pl.outputs))
	for i, o := range pl.outputs {
		p.Outputs[i] = pl.nodes[o].id
	}
	pl.graph.apply()
	pl.outputs, pl.isOutput = pl.graph.roots(pl.outputs), make([]bool, len(pl.nodes))
	for _, o := range pl.outputs {
		pl.isOutput[o] = true
	}
	done := pl.plan // a copy, so that nothing keeps the planner
	return &done, nil
}

// lookUp finds the class of each node. It returns an error for the first node that
// has no class, or is damaged.
func (pl *planner) lookUp() *nodebus.ValidationError {
	inputs := 0
	pl.nodes = make([]planNode, len(pl.prompt.Nodes))
	for i := range pl.prompt.Nodes {
		s := &pl.prompt.Nodes[i]
		_, twice := pl.byID[s.ID]
		if err := damaged(s, twice, pl.prompt.Nodes); err != nil {
			return err
		}
		c, ok := pl.reg.Class(s.Class)
		if !ok {
			return unknownClass(s)
		}
		pl.nodes[i] = planNode{id: s.ID, class: c, ports: c.portsOf(s, &pl.shapes)}
		if pl.shapes.full {
			return promptError("prompt_too_large", "The prompt needs too much memory",
				fmt.Sprintf("its nodes of classes with inputs that grow, follow from a choice or are not declared have more than %d inputs, where nodes with the same inputs count once; submit less", shapesMax))
		}
		pl.byID[s.ID] = int32(i)
		pl.intermediate = pl.intermediate || c.schema.Intermediate
		inputs += len(pl.nodes[i].ports)
	}
	pl.state = make([]planState, len(pl.nodes))
	pl.slab = make([]arg, inputs)
	pl.walk.node = func(i int32) *planNode { return &pl.nodes[i] }
	return nil
}

// wanted returns the output nodes that the prompt asks for, in the order of the
// prompt.
func (pl *planner) wanted() (outs []int32) {
	asked := make(map[string]bool, len(pl.prompt.Outputs))
	for _, id := range pl.prompt.Outputs {
		asked[id] = true
	}
	for i := range pl.nodes {
		n := &pl.nodes[i]
		if n.class.schema.Output && (pl.prompt.Outputs == nil || asked[n.id]) {
			outs = append(outs, int32(i))
		}
	}
	return outs
}

// validate checks node o and all upstream nodes that are not checked yet.
func (pl *planner) validate(o int32) {
	pl.walk.up(o, pl.meet, pl.leave)
}

func (pl *planner) meet(by *pathStep, to int32) bool {
	switch pl.state[to] {
	case planUnseen:
		pl.check(by, to, true)
		return true
	case planValid:
	case planInvalid:
		pl.markBad(by)
	default: // the node is on the path: it depends on itself
		pl.markBad(by)
		pl.ring = true
	}
	return false
}

func (pl *planner) leave(i int32, by *pathStep) {
	if pl.state[i] == planOnPath && !pl.found.bad(i) {
		pl.state[i] = planValid
		return
	}
	pl.state[i] = planInvalid
	pl.markBad(by)
}

// markBad marks a node on the path as depending on an invalid node.
func (pl *planner) markBad(by *pathStep) {
	if by != nil {
		pl.state[by.node] = planOnBadPath
	}
}

// check checks node i without its sources. by is the node that needs it.
func (pl *planner) check(by *pathStep, i int32, keep bool) {
	pl.state[i] = planOnPath
	c := checker{pl: pl, node: &pl.nodes[i], spec: &pl.prompt.Nodes[i], consumer: by, keep: keep}
	if found := c.check(); len(found) > 0 {
		pl.found.add(i, found...)
	} else {
		pl.nodes[i].sound = true
	}
}

// rest checks the nodes that no output needs. These nodes do not run, but each must
// have the property inputs. Valid nodes among them may be listed as cached.
func (pl *planner) rest() *nodebus.ValidationError {
	for i := range pl.nodes {
		if pl.state[i] != planUnseen {
			continue
		}
		if s := &pl.prompt.Nodes[i]; s.Inputs == nil {
			return invalidNode(s, "Cannot execute because a node is missing the inputs property.", "")
		}
		pl.check(nil, int32(i), false)
		pl.found.forget(int32(i))
	}
	return nil
}

// report lists the problems of the failed outputs and of the nodes that they depend
// on.
func (pl *planner) report(failed []int32) *nodebus.ValidationError {
	e := promptError("prompt_outputs_failed_validation", "Prompt outputs failed validation", "")
	e.Nodes = map[string]*nodebus.NodeProblems{}
	if pl.ring {
		(&cycles{pl: pl}).report(slices.Concat(failed, pl.graph.roots(failed)))
	}
	var lines []string
	for _, o := range failed {
		for _, p := range pl.found.found[o] {
			lines = append(lines, p.Message+": "+p.Details)
		}
	}
	for _, g := range pl.graph.wrong {
		size := boundProblem(&g.problem) // once: many nodes may have the problem
		lines = append(lines, g.problem.Message+": "+g.problem.Details)
		for _, i := range g.nodes {
			pl.found.put(i, size, []nodebus.Problem{g.problem})
		}
	}
	if more := len(pl.found.found) - pl.found.nodes; more > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more nodes have errors", more))
		e.Extra[moreNodes] = more
	}
	if more := pl.found.more; more > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more problems of these nodes", more))
		e.Extra[moreProblems] = more
	}
	e.Details = strings.Join(lines, "\n")
	for i, found := range pl.found.found {
		if found == nil {
			continue
		}
		e.Nodes[pl.nodes[i].id] = &nodebus.NodeProblems{Errors: found, Class: pl.nodes[i].class.Name()}
	}
	pl.dependents(e, failed)
	return e
}

// Prepare checks a prompt against the classes of r and makes it ready to run on a
// [Local] of r; see [nodebus.Preparer]. Other executors may call Prepare only to
// check prompts, and ignore the result. If only a part of the prompt is valid,
// Prepare returns both a result and a [*nodebus.ValidationError]. If ctx ends while a node
// checks its inputs, Prepare returns the cause. It is safe for concurrent use.
func (r *Registry) Prepare(ctx context.Context, p *nodebus.Prompt) (prepared any, err error) {
	pl, err := r.plan(ctx, p)
	switch {
	case err != nil:
		return nil, err
	case pl.rejected != nil:
		return pl, pl.rejected
	}
	return pl, nil
}
