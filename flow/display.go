package flow

import (
	"errors"
	"fmt"

	"github.com/nodebus/nodebus"
)

// displayed returns the origin of node k of specs, which a node of origin made has made. As
// in ComfyUI, clients show the node on the node that its spec names, or else on the node that
// made it; if that node is itself made at run time, where clients show that node.
func (g *liveGraph) displayed(made *origin, specs nodebus.Nodes, adding map[string]int32, k int) *origin {
	id := specs[k].DisplayID()
	if id == "" {
		return made
	}
	own := *made
	own.displayID = id
	for range specs { // nodes that are being added may name each other, even in a ring
		i, ok := adding[own.displayID]
		if !ok {
			break
		}
		next := specs[int(i)-g.size()].DisplayID()
		if next == "" {
			next = made.displayID
		}
		own.displayID = next
	}
	if _, ring := adding[own.displayID]; ring {
		own.displayID = made.displayID
	}
	if i, ok := g.byID[own.displayID]; ok {
		own.displayID = g.at(i).plan.made.displayID
	}
	return &own
}

// source returns the node that out refers to; -1 if out is zero.
func (g *liveGraph) source(adding map[string]int32, out nodebus.Link) (int32, error) {
	if out == (nodebus.Link{}) {
		return -1, nil
	}
	src, err := g.find(adding, out.Node)
	switch {
	case errors.Is(err, ErrNotFound):
		return 0, fmt.Errorf("the result is output %d of node %q, which was not added to the graph: %w", out.Slot, out.Node, err)
	case err != nil:
		return 0, fmt.Errorf("the result is output %d of node %q: %w", out.Slot, out.Node, err)
	}
	return src, nil
}

// checkSlot returns an error if node src, which out refers to, does not have that output.
func (g *liveGraph) checkSlot(added []*runNode, src int32, out nodebus.Link) error {
	if src < 0 {
		return nil
	}
	class := g.classOf(added, src)
	if out.Slot < 0 || out.Slot >= len(class.outputs) {
		return fmt.Errorf("the result is output %d of node %q (%s), which has %d", out.Slot, out.Node, class.Name(), len(class.outputs))
	}
	return nil
}

// runBeside adds a graph whose output nodes run although the node takes nothing from them.
func (t *turn) runBeside(g *nodebus.Graph) error {
	nodes := g.Nodes()
	shows := len(nodes) == 0
	for i := range nodes {
		class, ok := t.w.r.local.reg.Class(nodes[i].Class)
		shows = shows || !ok || class.schema.Output // an unknown class has an error of its own
	}
	if !shows {
		return errNothingRuns
	}
	_, err := t.w.r.addGraph(t.n, g, nodebus.Link{})
	return err
}

var errNothingRuns = errors.New("the graph has no output node, and nothing is taken from it, so that no node of it would run; set From, or add a node whose class has Info.Output")
