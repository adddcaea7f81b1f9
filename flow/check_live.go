package flow

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/pyfmt"
)

// missing reports a required input that the prompt does not have. The ports of the node have
// only the first missing name of an input that grows: missing reports all of them.
func (c *checker) missing(f *field) {
	report := func(f *field) {
		c.fail("required_input_missing", "Required input is missing", f.last(), map[string]any{"input_name": f.Name})
	}
	if !f.isElement() {
		report(f)
		return
	}
	for i := range f.parent.dyn.elements {
		e := &f.parent.dyn.elements[i]
		if _, given := c.spec.Inputs[e.Name]; !given && e.Kind == PortRequired {
			report(e)
		}
	}
}

// linkedCase reports a link to a drop-down that decides which inputs the node has. In ComfyUI
// such a node fails when it runs.
func (c *checker) linkedCase(f *field, out *Port, l nodebus.Link) {
	received := out.config()[0]
	c.fail("return_type_mismatch", "Return type mismatch between linked nodes",
		fmt.Sprintf("%s, received_type(%s) mismatch input_type(%s): the input %v", f.Name, pyfmt.Str(received), casesType, errLinkedCase),
		map[string]any{"input_name": f.Name, "input_config": f.config(), "received_type": received, "linked_node": l})
}

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

// addExtra adds an input that is not a port. If it is linked and not below a dynamic input, each
// call of the node fails, as in ComfyUI.
func (n *planNode) addExtra(name string, a arg) {
	n.extra = append(n.extra, extraArg{name, a})
	n.stray = n.stray || a.src >= 0 && !n.class.isBelow(name)
}

// checkStrays returns an error if in has a link that is neither a port nor below a dynamic
// input.
func (c *Class) checkStrays(ports []field, in nodebus.Inputs) error {
	var links []string
	for name, v := range in {
		if _, isLink := v.(nodebus.Link); isLink {
			links = append(links, name)
		}
	}
	if links == nil {
		return nil
	}
	declared := (&planNode{class: c, ports: ports}).declares()
	slices.Sort(links)
	for _, name := range links {
		if !declared(name) && !c.isBelow(name) {
			return &nodebus.InputError{Input: name, Err: &strayError{c, name}}
		}
	}
	return nil
}

// strayError is the error of a call with a link that the class does not declare.
func (n *planNode) strayError() error {
	i := slices.IndexFunc(n.extra, func(a extraArg) bool { return a.src >= 0 && !n.class.isBelow(a.name) })
	return &nodebus.InputError{Input: n.extra[i].name, Err: &strayError{n.class, n.extra[i].name}}
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

// isLinked reports whether v is the link of a lazy input, whose value the Runtime knows.
func (f *field) isLinked(v any, rt nodebus.Runtime) bool {
	_, isLink := v.(nodebus.Link)
	return isLink && f.Lazy && rt != nil
}

var errLinkedCase = errors.New("is linked, but it decides which inputs the node has; give one of its choices as a literal")
