package flow

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/pyfmt"
	"github.com/nodebus/nodebus/internal/value"
)

// makeFinite replaces each NaN and infinity in a prompt that was accepted with null. No
// node uses them: Prepare refuses the inputs that are used. Queues, stores and listings
// then need no care. makeFinite returns an error for a value, a Meta or an Extra without a
// JSON form.
func makeFinite(p *nodebus.Prompt) *nodebus.ValidationError {
	extra, changed, err := finite(p.Extra)
	switch {
	case err != nil:
		return promptError("invalid_extra_data", "Extra has no JSON form", err.Error())
	case changed:
		p.Extra = extra.(map[string]any)
	}
	owned := false
	for i := range p.Nodes {
		if name, bad := notJSON(&p.Nodes[i]); bad {
			return invalidNode(&p.Nodes[i], name+" of a node is not JSON", "")
		}
		in, changed, err := finiteInputs(p.Nodes[i].Inputs)
		if err != nil {
			return invalidNode(&p.Nodes[i], "An input value has no JSON form", ", "+err.Error())
		}
		if !changed {
			continue
		}
		if !owned {
			p.Nodes, owned = slices.Clone(p.Nodes), true
		}
		p.Nodes[i].Inputs = in
	}
	return nil
}

// notJSON returns the name of a member of a node that is not JSON, if there is one.
func notJSON(n *nodebus.NodeSpec) (name string, bad bool) {
	if len(n.Meta) > 0 && !json.Valid(n.Meta) {
		return "_meta", true
	}
	for name, text := range n.Extra {
		if !json.Valid(text) {
			return name, true
		}
	}
	return "", false
}

// finite does the same as value.Finite. A panic of a MarshalJSON is an error.
func finite(v any) (shown any, changed bool, err error) {
	err = nodebus.Protect(func() (err error) {
		shown, changed, err = value.Finite(v)
		return err
	})
	return shown, changed, err
}

// finiteInputs returns in, or a copy if a value must change.
func finiteInputs(in nodebus.Inputs) (_ nodebus.Inputs, changed bool, err error) {
	own := in
	for name, v := range in {
		if _, isLink := v.(nodebus.Link); isLink {
			continue
		}
		shown, replaced, err := finite(v)
		if err != nil {
			return nil, false, fmt.Errorf("input %s, %T: %w", name, v, err)
		}
		if !replaced {
			continue
		}
		if !changed {
			own, changed = maps.Clone(in), true
		}
		own[name] = shown
	}
	return own, changed, nil
}

// usable reports a literal that an input cannot have, because JSON cannot represent it:
// queues, records and clients could not show the prompt.
func (c *checker) usable(f *field, received any) bool {
	v := value.Unwrap(received)
	shown, changed, err := finite(v)
	switch {
	case err != nil:
		c.formless(f.Name, received, err)
		return false
	case !changed:
		return true
	}
	text := "NaN and infinities are not possible"
	if _, err := value.Coerce(f.Type, v); err != nil { // a text that clients know
		text = err.Error()
	}
	c.fail("invalid_input_type", fmt.Sprintf("Failed to convert an input value to a %s value", f.Type),
		fmt.Sprintf("%s, %s, %s", f.Name, value.Shorten(pyfmt.Str(v)), text),
		map[string]any{"input_name": f.Name, "input_config": f.config(), "received_value": shown, "exception_message": text})
	return false
}

// formless reports a literal without a JSON form, which only a Go program can submit.
func (c *checker) formless(name string, received any, err error) {
	c.fail("invalid_input_type", "The input value has no JSON form", fmt.Sprintf("%s, %T: %v", name, received, err),
		map[string]any{"input_name": name, "exception_message": err.Error()})
}
