package flow

import (
	"fmt"

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
