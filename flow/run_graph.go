package flow

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// liveGraph holds the nodes of a run: the nodes of the prompt and the nodes made at
// run time. run.mu guards it, except for the number of the prompt's nodes, which is
// fixed. A node may read the results of its sources without the lock.
type liveGraph struct {
	reg     *Registry
	plan    *plan
	tracker *nodebus.Tracker
	base    []runNode              // the prompt's nodes
	made    []*runNode             // nodes made at run time, and stand-ins
	byID    map[string]int32       // by id: the nodes made at run time
	graphs  map[*nodebus.Graph]int // number of added nodes of each graph
	specs   nodebus.Nodes          // specs of the nodes made at run time
	vetted  []bool                 // nodes of base that are valid, together with all their upstream nodes

	intermediate bool // some node has a class with Info.Intermediate
}

// runNode is a node of a run.
type runNode struct {
	plan   *planNode // nil: this is not a node, but a stand-in for a waiting node
	outs   []any     // one for each output: a value, a value.List or a *nodebus.BlockedError
	ui     nodebus.UI
	exp    *expansion // not nil: the node has expanded and waits for the nodes that it made
	why    *nodeWhy   // nil: the node has not ended, or it has a result
	number int32      // number in the tracker
	asked  uint32     // when the cache was asked for the result; see run.asked
	state  nodeState
	shows  bool // ui belongs to the record of this prompt
	stale  bool // a function around calls refused the cached result
	cached bool // the result is from a cache
	ran    bool // the node was computed in this run
	used   bool // the report has the result, which was cached when the prompt began
	unkept bool // the result is not cached, see mayKeep
}

type nodeState uint8

const (
	nodeFresh  nodeState = iota
	nodeCached           // the result was cached when the node was needed
	nodeDone
	nodeLost // the node has failed, or needs a node that has failed, and the prompt goes on
)

// expansion holds the state of a node whose result comes from nodes that it made. A
// stand-in has an expansion too, with stand.
type expansion struct {
	stand *waiter
	outs  []any // values, lists and *madeOutput values
	ui    nodebus.UI
	key   string // see result
	tries int    // see result
	began int64  // see result
}

// madeOutput refers to an output of another node.
type madeOutput struct{ src, slot int32 }

// eachMade calls f for each madeOutput in outs, also in lists.
func eachMade(outs []any, f func(*madeOutput)) {
	for _, o := range outs {
		switch o := o.(type) {
		case *madeOutput:
			f(o)
		case value.List:
			eachMade(o, f)
		}
	}
}

func (g *liveGraph) init(reg *Registry, pl *plan, tracker *nodebus.Tracker) {
	g.reg, g.plan, g.tracker = reg, pl, tracker
	g.intermediate = pl.intermediate
	g.base = make([]runNode, len(pl.nodes))
	slots := 0
	for i := range g.base {
		g.base[i].plan, g.base[i].number = &pl.nodes[i], int32(i)
		slots += len(pl.nodes[i].class.outputs)
	}
	outs := make([]any, slots)
	for i := range g.base {
		n := len(pl.nodes[i].class.outputs)
		g.base[i].outs, outs = outs[:n:n], outs[n:]
	}
}

func (g *liveGraph) at(i int32) *runNode {
	if int(i) < len(g.base) {
		return &g.base[i]
	}
	return g.made[int(i)-len(g.base)]
}

func (g *liveGraph) size() int { return len(g.base) + len(g.made) }

// addStandIn adds a stand-in and returns its number.
func (g *liveGraph) addStandIn(w *waiter) int32 {
	g.made = append(g.made, &runNode{exp: &expansion{stand: w}})
	return int32(g.size() - 1)
}

// shown lists the UI outputs of nodes in this prompt.
func (g *liveGraph) shown() (outputs []nodebus.NodeOutput) {
	add := func(n *runNode) {
		if n.shows && n.ui != nil {
			outputs = append(outputs, nodebus.NodeOutput{Place: n.plan.place(), UI: n.ui})
		}
	}
	for i := range g.base {
		add(&g.base[i])
	}
	for _, n := range g.made {
		add(n)
	}
	return outputs
}

// add adds the nodes of a graph that node by has made. Nodes of the graph that are
// in the run already are skipped. made may be nil: then there is nothing to add. add
// returns src, the node that out refers to: a node of the graph or any other node of
// the run; -1 if out is zero. It also returns the output nodes among the added nodes. If
// same.open is not empty afterwards, add has added nothing: the caller must call
// same.compare and then call add again.
func (g *liveGraph) add(by *runNode, made *nodebus.Graph, out nodebus.Link, same *choices) (src int32, outputs []int32, err error) {
	var nodes nodebus.Nodes
	if made != nil {
		nodes = made.Nodes()
	}
	old := g.graphs[made]
	ids, err := g.number(nodes[old:])
	if err != nil {
		return 0, nil, err
	}
	if src, err = g.source(ids, out); err != nil {
		return 0, nil, err
	}
	added, err := g.prepare(by, nodes[old:], ids, same)
	if err != nil || len(same.open) > 0 {
		return 0, nil, err
	}
	if err := g.checkSlot(added, src, out); err != nil {
		return 0, nil, err
	}
	if len(nodes) == 0 {
		return src, nil, nil
	}
	if g.graphs == nil {
		g.graphs, g.byID = map[*nodebus.Graph]int{}, map[string]int32{}
	}
	g.graphs[made] = len(nodes)
	g.specs = append(g.specs, nodes[old:]...)
	maps.Copy(g.byID, ids)
	for _, n := range added {
		n.number = int32(g.tracker.Add(n.plan.place()))
		if n.plan.class.schema.Output {
			outputs = append(outputs, int32(g.size()))
		}
		g.made = append(g.made, n)
	}
	return src, outputs, nil
}

// number assigns numbers to new nodes. It returns an error if an id is used already
// in the run.
func (g *liveGraph) number(nodes nodebus.Nodes) (map[string]int32, error) {
	ids := map[string]int32{}
	for k := range nodes {
		id := nodes[k].ID
		_, twice := ids[id]
		_, made := g.byID[id]
		if _, taken := g.plan.byID[id]; twice || made || taken {
			return nil, fmt.Errorf("node %q made at run time: the id is taken", id)
		}
		ids[id] = int32(g.size() + k)
	}
	return ids, nil
}

// find returns the node with this id: a node that is being added, a node made
// earlier, or a node of the prompt.
func (g *liveGraph) find(adding map[string]int32, id string) (int32, error) {
	if i, ok := adding[id]; ok {
		return i, nil
	}
	if i, ok := g.byID[id]; ok {
		return i, nil
	}
	i, ok := g.plan.byID[id]
	if !ok {
		return 0, ErrNotFound
	}
	return i, g.vet(i)
}

// vet returns an error if node i of the prompt, or one of its upstream nodes, is
// invalid. The prompt may have invalid nodes that no output needs.
func (g *liveGraph) vet(i int32) error {
	if g.vetted == nil {
		g.vetted = make([]bool, len(g.base))
	}
	var seen []int32
	var bad *planNode
	walk := walker{node: func(i int32) *planNode { return g.base[i].plan }}
	walk.up(i, func(_ *pathStep, to int32) bool {
		if g.vetted[to] || bad != nil {
			return false
		}
		if n := g.base[to].plan; !n.sound {
			bad = n
			return false
		}
		g.vetted[to] = true
		seen = append(seen, to)
		return true
	}, func(int32, *pathStep) {})
	if bad == nil {
		return nil
	}
	for _, i := range seen {
		g.vetted[i] = false
	}
	return fmt.Errorf("node %q (%s) of the prompt is not valid", bad.id, bad.class.Name())
}

// prepare makes the nodes of specs ready to run. by is the node that made them.
func (g *liveGraph) prepare(by *runNode, specs nodebus.Nodes, ids map[string]int32, same *choices) (added []*runNode, err error) {
	made := madeBy(by, g)
	added = make([]*runNode, len(specs))
	for k := range specs {
		if added[k], err = g.prepareNode(g.displayed(made, specs, ids, k), &specs[k], ids); err != nil {
			return nil, fmt.Errorf("node %q made at run time: %w", specs[k].ID, err)
		}
	}
	for _, n := range added { // links can be checked only when all nodes exist
		if err := g.checkLinks(n, added, same); err != nil {
			return nil, fmt.Errorf("node %q made at run time: %w", n.plan.id, err)
		}
	}
	return added, nil
}

// madeBy returns the origin of nodes that node by makes.
func madeBy(by *runNode, g *liveGraph) *origin {
	p := by.plan
	if p.made != nil {
		return &origin{parentID: p.id, real: p.made.real, realID: p.made.realID, displayID: p.made.displayID, up: p.made}
	}
	return &origin{parentID: p.id, real: g.plan.byID[p.id], realID: p.id, displayID: p.id}
}

// prepareNode makes one node ready to run. Its literals are Go values, which are
// checked when the node runs.
func (g *liveGraph) prepareNode(made *origin, spec *nodebus.NodeSpec, ids map[string]int32) (*runNode, error) {
	c, ok := g.reg.Class(spec.Class)
	if !ok {
		return nil, fmt.Errorf("class %q: %w", spec.Class, ErrNotFound)
	}
	p := &planNode{id: spec.ID, made: made, class: c, ports: c.portsOf(spec, nil), sound: true}
	p.args = make([]arg, len(p.ports))
	g.intermediate = g.intermediate || c.schema.Intermediate
	ports := 0 // inputs of spec that are ports
	for k := range p.ports {
		f := &p.ports[k]
		a := &p.args[k]
		*a = arg{src: fixed, val: notGiven}
		v, given := spec.Inputs[f.Name]
		if given && !f.isSet() {
			ports++
		}
		switch l, isLink := v.(nodebus.Link); {
		case f.isSet():
		case given && isLink:
			src, err := g.find(ids, l.Node)
			if err != nil {
				return nil, &nodebus.InputError{Input: f.Name, Err: fmt.Errorf("links to node %q: %w", l.Node, err)}
			}
			*a = arg{src: src, slot: int32(l.Slot)}
		case given:
			a.val = v
		case f.Default != nil:
			a.val = f.defaultValue
			a.share(f)
		case f.Kind == PortRequired:
			return nil, &nodebus.InputError{Input: f.Name, Err: errRequired}
		}
	}
	return &runNode{plan: p, outs: make([]any, len(c.outputs))}, g.addUndeclared(p, spec, ids, ports)
}

// classOf returns the class of node i, which may be a node that is being added.
func (g *liveGraph) classOf(added []*runNode, i int32) *Class {
	if k := int(i) - g.size(); k >= 0 {
		return added[k].plan.class
	}
	return g.at(i).plan.class
}

// checkLinks checks the links of a node against the classes of its sources.
func (g *liveGraph) checkLinks(n *runNode, added []*runNode, same *choices) error {
	for k := range n.plan.args {
		a := &n.plan.args[k]
		if a.src < 0 {
			continue
		}
		f := &n.plan.ports[k]
		class := g.classOf(added, a.src)
		id := func() string {
			if k := int(a.src) - g.size(); k >= 0 {
				return added[k].plan.id
			}
			return g.at(a.src).plan.id
		}
		if a.slot < 0 || int(a.slot) >= len(class.outputs) {
			return &nodebus.InputError{Input: f.Name, Err: fmt.Errorf("links to output %d of node %q (%s), which has %d", a.slot, id(), class.Name(), len(class.outputs))}
		}
		if out := &class.outputs[a.slot].Port; !linkable(out, &f.Port, same.equal) {
			return &nodebus.InputError{Input: f.Name, Err: fmt.Errorf("needs %s, and output %d of node %q gives %s", f.Type, a.slot, id(), out.Type)}
		}
	}
	return nil
}

// choices remembers which pairs of drop-downs have the same choices. The method
// Options is foreign code and must not be called under a lock. Therefore equal only
// notes the question, and compare answers it later without a lock.
type choices struct {
	known map[choicePair]bool
	open  []choicePair
}

type choicePair struct{ out, in *Port }

// equal reports whether two ports have the same choices. If the answer is not known
// yet, equal notes the question and returns true.
func (c *choices) equal(out, in *Port) bool {
	pair := choicePair{out, in}
	is, known := c.known[pair]
	if !known && !slices.Contains(c.open, pair) {
		c.open = append(c.open, pair)
	}
	return is || !known
}

// compare answers the open questions. The caller must not hold a lock.
func (c *choices) compare() {
	if c.known == nil {
		c.known = map[choicePair]bool{}
	}
	for _, p := range c.open {
		c.known[p] = sameChoices(p.out, p.in)
	}
	c.open = nil
}

var errDeadlock = errors.New("nodebus: deadlock: nodes wait, but no node runs")

// cycleError returns the error of a run whose nodes wait for each other in a cycle.
// It names the first node of the cycle that was made at run time, because only such
// nodes can close a cycle. mu is held.
func (r *run) cycleError() error {
	ring := r.sched.Cycle()
	if len(ring) == 0 {
		return errDeadlock
	}
	blame := ring[0]
	for _, i := range ring {
		if r.graph.at(i).plan == nil {
			continue
		}
		blame = i
		if r.graph.at(i).plan.made != nil {
			break
		}
	}
	e := r.nodeError(blame, &nodebus.NodeError{Err: ErrCycle})
	if made := r.graph.at(blame).plan.made; made != nil {
		e.RealID = made.displayID
		if i, ok := r.plan.byID[e.RealID]; ok {
			e.RealClass = r.graph.at(i).plan.class.Name()
		}
	}
	return e
}
