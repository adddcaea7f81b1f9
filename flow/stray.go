package flow

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nodebus/nodebus"
)

// declares returns a function that reports whether an input is a port of the node.
func (n *planNode) declares() func(name string) bool {
	is := func(name string) bool {
		return slices.ContainsFunc(n.ports, func(f field) bool { return f.Name == name && !f.isSet() })
	}
	if !n.class.dynamic {
		return is
	}
	names := make(map[string]bool, len(n.ports)) // a prompt may give very many
	for i := range n.ports {
		names[n.ports[i].Name] = !n.ports[i].isSet()
	}
	return func(name string) bool { return names[name] }
}

// strays notes a linked input that is not a port. If it is not below a dynamic input, each call
// of the node fails, as in ComfyUI.
func (n *planNode) strays(name string) {
	if (n.stray == "" || name < n.stray) && !n.class.isBelow(name) {
		n.stray = name
	}
}

// addUndeclared adds the inputs of a node made at run time that are not ports.
func (g *liveGraph) addUndeclared(n *planNode, spec *nodebus.NodeSpec, ids map[string]int32) error {
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
			n.strays(name)
		}
		n.extra = append(n.extra, extraArg{name, a})
	}
	return nil
}

// checkStrays returns an error if in has a link that is neither a port nor below a dynamic
// input.
func (c *Class) checkStrays(ports []field, in nodebus.Inputs) error {
	n := planNode{class: c, ports: ports}
	declared := n.declares()
	for name, v := range in {
		if _, isLink := v.(nodebus.Link); isLink && !declared(name) {
			n.strays(name)
		}
	}
	if n.stray == "" {
		return nil
	}
	return n.strayError()
}

// strayError is the error of a call with a link that the class does not declare.
func (n *planNode) strayError() error {
	return &nodebus.InputError{Input: n.stray, Err: &strayError{n.class, n.stray}}
}

type strayError struct {
	class *Class
	input string
}

func (e *strayError) Error() string {
	for i := range e.class.inputs {
		if f := &e.class.inputs[i]; f.Grow != nil && f.Name == e.input {
			return fmt.Sprintf("is an input of class %s that grows, so nothing can be linked to it directly; link %s", e.class.Name(), f.dyn.elements[0].Name)
		}
	}
	return fmt.Sprintf("is linked, but class %s has no input of this name; remove the link or correct the name. A class takes any input with a field tagged in:\",rest\"", e.class.Name())
}

// ExceptionType returns the type of the exception in ComfyUI, where the call has an unexpected
// argument.
func (*strayError) ExceptionType() string { return "TypeError" }

// call calls the node's code.
func (t *turn) call(ctx *nodebus.Context, args, outs []any) (nodebus.UI, error) {
	n := t.n.plan
	if n.stray != "" {
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

// isLinked reports whether v is the link of a lazy input below a dynamic input, whose value the
// Runtime knows.
func (f *field) isLinked(v any, rt nodebus.Runtime) bool {
	_, isLink := v.(nodebus.Link)
	return isLink && f.Lazy && f.parent != nil && rt != nil
}

var errLinkedCase = errors.New("is linked, but it decides which inputs the node has; give one of its choices as a literal")
