package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/pyfmt"
	"github.com/nodebus/nodebus/internal/value"
)

// checker checks one node of a prompt, without its sources. It applies the rules of
// execution semantics, section 4.2, to each input.
type checker struct {
	pl       *planner
	node     *planNode
	spec     *nodebus.NodeSpec
	consumer *pathStep // the node that needs this node; nil for an output
	keep     bool      // write coerced literals back into the prompt
	owned    bool      // the map of inputs is a copy that belongs to the prompt and may be modified
	found    []nodebus.Problem
	bytes    int               // the memory of found
	more     int               // problems that found leaves out
	raised   *nodebus.Problem  // what ComfyUI reports as an exception; the check of the node then ends
	given    int               // number of declared inputs that the prompt contains
	types    map[string]string // types of the source outputs, by name of the linked input
}

// check checks the inputs and sets the args of the node. It calls foreign code; if
// that panics, the check of this node ends with one problem, as in ComfyUI.
func (c *checker) check() (found []nodebus.Problem) {
	var p *nodebus.PanicError
	if err := nodebus.Protect(func() error { found = c.checkInputs(); return nil }); errors.As(err, &p) {
		return []nodebus.Problem{c.exception(fmt.Sprint(p.Value), "panic")}
	}
	if len(found) > 0 && c.more > 0 {
		found = append(found, problem(moreProblems, "More problems", fmt.Sprintf("… and %d more problems of the node", c.more), map[string]any{moreProblems: c.more}))
	}
	return found
}

func (c *checker) checkInputs() (found []nodebus.Problem) {
	if c.spec.Inputs == nil {
		return []nodebus.Problem{c.exception("'inputs'", "KeyError")}
	}
	ports := c.node.ports
	args := c.pl.slab[:len(ports):len(ports)]
	c.pl.slab = c.pl.slab[len(ports):]
	for i := range ports {
		f := &ports[i]
		args[i] = arg{src: fixed, val: notGiven}
		if f.isSet() {
			continue
		}
		if p, broken := c.input(f, &args[i]); broken {
			return c.only(p) // ComfyUI also stops here
		}
		if c.raised != nil {
			return c.only(*c.raised)
		}
		args[i].share(f)
	}
	c.node.args = args
	if p, broken := c.undeclared(); broken {
		return c.only(p)
	}
	if len(c.found) == 0 {
		c.custom()
	}
	return c.found
}

// only returns a problem that hides all others of the node.
func (c *checker) only(p nodebus.Problem) []nodebus.Problem {
	c.more = 0
	return []nodebus.Problem{p}
}

func (c *checker) fail(typ, message, details string, extra map[string]any) {
	if len(c.found) >= problemsMax || c.bytes > problemBytesMax {
		c.more++
		return
	}
	p := problem(typ, message, details, extra)
	c.bytes += boundProblem(&p)
	c.found = append(c.found, p)
}

// input checks one input. broken is true for a broken link; the check of the node
// then ends.
func (c *checker) input(f *field, a *arg) (p nodebus.Problem, broken bool) {
	v, given := c.spec.Inputs[f.Name]
	switch {
	case given:
		c.given++
	case f.Kind == PortRequired:
		c.missing(f)
		return p, false
	default:
		if f.Default != nil {
			a.val = f.defaultValue
		}
		return p, false
	}
	list, isList := v.([]any)
	link, isLink := v.(nodebus.Link)
	switch {
	case isLink:
		return c.link(f, a, link)
	case isList && f.parent != nil && f.parent.Rest: // any list that is not a link
		c.literal(f, a, v)
	case isList && len(list) == 2:
		return c.exception(c.badLink(f.Name, list), "KeyError"), true
	case isList:
		c.fail("bad_linked_input", "Bad linked input, must be a length-2 list of [node_id, slot_index]", f.Name,
			map[string]any{"input_name": f.Name, "input_config": f.config(), "received_value": v})
	default:
		c.literal(f, a, v)
	}
	return p, false
}

func (c *checker) badLink(name string, list []any) string {
	return fmt.Sprintf("input %s links to %s, which is not [node id, output number]", name, value.Shorten(pyfmt.Repr(list)))
}

func (c *checker) link(f *field, a *arg, l nodebus.Link) (p nodebus.Problem, broken bool) {
	src, ok := c.pl.byID[l.Node]
	if !ok {
		return c.exception(fmt.Sprintf("input %s links to node '%s', which does not exist", f.Name, l.Node), "KeyError"), true
	}
	from := c.pl.nodes[src].class
	if l.Slot < 0 || l.Slot >= len(from.outputs) {
		return c.exception(fmt.Sprintf("input %s links to output %d of node '%s' (%s), which has %d",
			f.Name, l.Slot, l.Node, from.Name(), len(from.outputs)), "IndexError"), true
	}
	out := &from.outputs[l.Slot].Port
	if f.Cases != nil {
		c.linkedCase(f, out, l)
		return p, false
	}
	if c.node.class.checksLinks {
		if c.types == nil {
			c.types = map[string]string{}
		}
		c.types[f.Name] = out.Type
	} else if f.Kind != PortHidden && !linkable(out, &f.Port, sameChoices) {
		received, wanted := out.config()[0], f.config()[0]
		c.fail("return_type_mismatch", "Return type mismatch between linked nodes",
			fmt.Sprintf("%s, received_type(%s) mismatch input_type(%s)", f.Name, pyfmt.Str(received), pyfmt.Str(wanted)),
			map[string]any{"input_name": f.Name, "input_config": f.config(), "received_type": received, "linked_node": l})
		return p, false
	}
	a.src, a.slot, a.val = src, int32(l.Slot), nil
	return p, false
}

// literal coerces a literal and checks it against the limits. If the input takes a
// list, literal does so for each element.
func (c *checker) literal(f *field, a *arg, received any) {
	if !c.usable(f, received) {
		return
	}
	v, _ := value.Normal(value.Unwrap(received))
	var elems []any
	isList := false
	if f.List {
		elems, isList = value.Elements(v, f.elem)
	}
	if !isList {
		if v, ok := c.element(f, &a.val, v, v); ok {
			c.write(f.Name, received, v)
		}
		return
	}
	list := make(value.List, len(elems))
	for i, e := range elems {
		if _, ok := c.element(f, &list[i], v, e); !ok {
			return
		}
	}
	a.val = list
	c.write(f.Name, received, v)
}

// write stores a coerced literal in the prompt, for the record and for queues that
// store prompts: after decoding, the prompt must have the same meaning. write
// modifies a copy of the map of inputs, because the caller may use the original map
// for other prompts at the same time.
func (c *checker) write(name string, received, v any) {
	if !c.keep { // keep the received form for the record
		var changed bool
		if v, changed = value.Normal(value.Unwrap(received)); !changed && !isGoSlice(received) {
			return
		}
	}
	switch v.(type) {
	case nil, bool, int, int64, uint64, float64, string, json.Number:
		if v == received {
			return
		}
	}
	c.own()[name] = value.Literally(v)
}

// own returns the map of inputs as a copy that may be modified.
func (c *checker) own() nodebus.Inputs {
	if !c.owned {
		c.spec.Inputs, c.owned = maps.Clone(c.spec.Inputs), true
	}
	return c.spec.Inputs
}

// isGoSlice reports whether v is a slice of a type other than []any. A program may
// submit such a slice as a literal without wrapping it.
func isGoSlice(v any) bool {
	_, isList := v.([]any)
	return !isList && reflect.ValueOf(v).Kind() == reflect.Slice
}

// undeclared collects the inputs that the class does not declare.
func (c *checker) undeclared() (p nodebus.Problem, broken bool) {
	if c.given == len(c.spec.Inputs) {
		return p, false
	}
	declared := c.node.declares()
	for _, name := range c.spec.InputNames() {
		if declared(name) {
			continue
		}
		v := c.spec.Inputs[name]
		a := arg{src: fixed}
		if l, ok := v.(nodebus.Link); ok {
			src, ok := c.pl.byID[l.Node]
			if !ok {
				return c.exception(fmt.Sprintf("input %s links to node '%s', which does not exist", name, l.Node), "KeyError"), true
			}
			a = arg{src: src, slot: int32(l.Slot)}
		} else if v, changed, err := value.Finite(v); err != nil {
			c.formless(name, c.spec.Inputs[name], err)
		} else {
			if changed {
				c.own()[name] = v
			}
			a.val = c.undeclaredLiteral(name, v)
		}
		c.node.addExtra(name, a)
	}
	slices.SortFunc(c.node.extra, func(a, b extraArg) int { return strings.Compare(a.name, b.name) })
	return p, false
}

// undeclaredLiteral returns the literal of an undeclared input. The record keeps the
// literal as received, unless JSON would change it: after decoding, a bare list that
// looks like a link would be a link, so undeclaredLiteral wraps it.
func (c *checker) undeclaredLiteral(name string, received any) any {
	v, changed := value.Normal(value.Unwrap(received))
	list, isList := received.([]any)
	looksLinked := false
	if isList && len(list) == 2 {
		_, isString := list[0].(string)
		_, isNumber := value.Compare(list[1], 0)
		_, isText := list[1].(json.Number) // findLinks has looked at those
		looksLinked = isString && isNumber && !isText
	}
	if _, wrapped := received.(map[string]any); changed && isList && !looksLinked && !wrapped {
		c.own()[name] = v
	} else if changed || looksLinked {
		c.own()[name] = value.Literally(v)
	}
	lit, _ := value.Literal(reflect.TypeFor[any](), v)
	return lit
}

// custom calls the node's own validation methods and reports their error for each
// input that the error concerns.
func (c *checker) custom() {
	class := c.node.class
	if !class.validates && !class.checksLinks || c.pl.gone != nil {
		return
	}
	err := c.ask()
	if err == nil {
		return
	}
	if c.pl.gone = context.Cause(c.pl.ctx); c.pl.gone != nil {
		return // the error says nothing about the prompt
	}
	for _, err := range joined(err) {
		c.refused(err)
	}
}

// refused reports one failing result of the node's own validation.
func (c *checker) refused(err error) {
	const typ, message = "custom_validation_failed", "Custom validation failed for node"
	text := errorText(err)
	about, one := asError[*nodebus.InputError](err)
	if one {
		text = errorText(about.Err)
	}
	told := false
	for i := range c.node.ports {
		f := &c.node.ports[i]
		if _, given := c.spec.Inputs[f.Name]; !given || f.isSet() || one && !f.concerns(about.Input) {
			continue
		}
		details := f.Name
		if text != "" {
			details += " - " + text
		}
		c.fail(typ, message, details, map[string]any{"input_name": f.Name})
		told = true
	}
	if !told { // the error is about no given input
		c.fail(typ, message, text, map[string]any{})
	}
}

// ask calls the node's validators with its literals.
func (c *checker) ask() error {
	ctx := c.node.sampleContext(c.pl.ctx, nodebus.CallInfo{Job: c.pl.job()})
	defer ctx.End()
	return c.node.class.code.validate(ctx, c.node.ports, c.node.sampleArgs(), c.types)
}

// exception returns a problem that ComfyUI reports as an exception. The problem
// belongs to the node itself; its extra data describes the consumer's input that led
// to the node.
func (c *checker) exception(text, typ string) nodebus.Problem {
	if c.consumer == nil {
		return problem(
			"exception_during_validation", "Exception when validating node", text,
			map[string]any{"exception_type": typ, "traceback": []string{}})
	}
	extra := map[string]any{
		"exception_message": text, "exception_type": typ, "traceback": []string{},
		"input_name": "", "input_config": nil, "linked_node": nil,
	}
	by := &c.pl.nodes[c.consumer.node]
	if at := c.consumer.next - 1; at < len(by.args) {
		f := &by.ports[at]
		extra["input_name"], extra["input_config"] = f.Name, f.config()
		extra["linked_node"] = nodebus.Link{Node: c.spec.ID, Slot: int(by.args[at].slot)}
	}
	return problem("exception_during_inner_validation", "Exception when validating inner node", text, extra)
}
