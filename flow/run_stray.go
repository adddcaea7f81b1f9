package flow

import (
	"fmt"
	"maps"
	"slices"

	"github.com/nodebus/nodebus"
)

// addUndeclared adds the inputs of a node made at run time that are not ports. ports is the
// number of inputs that are ports.
func (g *liveGraph) addUndeclared(n *planNode, spec *nodebus.NodeSpec, ids map[string]int32, ports int) error {
	for k := 0; n.class.dynamic && k < len(n.ports); k++ {
		if n.ports[k].Cases != nil && n.args[k].src >= 0 {
			return &nodebus.InputError{Input: n.ports[k].Name, Err: errLinkedCase}
		}
	}
	if ports == len(spec.Inputs) {
		return nil
	}
	declared := n.declares()
	for _, name := range slices.Sorted(maps.Keys(spec.Inputs)) {
		l, isLink := spec.Inputs[name].(nodebus.Link)
		if declared(name) || !isLink && !n.class.dynamic {
			continue
		}
		a := arg{src: -1, val: spec.Inputs[name]}
		if isLink {
			src, err := g.find(ids, l.Node)
			if err != nil {
				return &nodebus.InputError{Input: name, Err: fmt.Errorf("links to node %q: %w", l.Node, err)}
			}
			a = arg{src: src, slot: int32(l.Slot)}
		}
		n.addExtra(name, a)
	}
	return nil
}

// call calls the node's code.
func (t *turn) call(ctx *nodebus.Context, args, outs []any) (nodebus.UI, error) {
	n := t.n.plan
	if n.stray {
		return nil, n.strayError()
	}
	return n.class.code.run(ctx, n.ports, t.bind(ctx, args), outs)
}

// blockedStray reports whether a linked input that the class does not declare is blocked. The
// node is then not called.
func (w *worker) blockedStray() bool {
	for k := range w.n.plan.extra {
		a := &w.n.plan.extra[k]
		if a.src < 0 || w.n.plan.class.isBelow(a.name) {
			continue
		}
		if outs := w.r.node(a.src).outs; int(a.slot) < len(outs) && a.slot >= 0 {
			if _, blocked := outs[a.slot].(*nodebus.BlockedError); blocked {
				return true
			}
		}
	}
	return false
}

// linkOf returns the link of an input.
func (t *turn) linkOf(port int) nodebus.Link {
	a := &t.n.plan.args[port]
	return nodebus.Link{Node: t.w.r.node(a.src).plan.id, Slot: int(a.slot)}
}
