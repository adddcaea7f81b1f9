package flow

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/pyfmt"
	"github.com/nodebus/nodebus/internal/value"
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

// appendLive appends the inputs of a node of a class with dynamic inputs to its key: the inputs
// that it was given and the defaults of others, sorted by name. Where a node can see the order
// of its inputs, the order is part of the key.
func (k *keys) appendLive(b []byte, n *planNode) (_ []byte, ok bool) {
	all := slices.Clone(n.extra)
	for i := range n.args {
		a, f := &n.args[i], &n.ports[i]
		if f.isSet() || a.src < 0 && a.val == notGiven {
			continue
		}
		all = append(all, extraArg{f.Name, *a})
		if f.parent != nil && f.parent.Rest && f.parent.elem.Kind() != reflect.Map {
			b = value.AppendText(append(b, 'o'), f.Name)
		}
	}
	slices.SortFunc(all, func(a, b extraArg) int { return cmp.Compare(a.name, b.name) })
	b = binary.AppendUvarint(append(b, '+'), uint64(len(all)))
	for i := range all {
		b = value.AppendText(b, all[i].name)
		room := len(b)
		if b, ok = k.appendArg(b, &all[i].arg); ok {
			continue
		}
		at := slices.IndexFunc(n.ports, func(f field) bool { return f.Name == all[i].name })
		if at < 0 || all[i].src >= 0 {
			return b, false
		}
		if b, ok = k.appendSubmitted(b[:room], n, &n.ports[at]); !ok {
			return b, false
		}
	}
	return b, true
}
