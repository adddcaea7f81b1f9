package flow

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
)

// Hooks are functions of a class made at run time that the executor calls before the nodes
// run. A nil *Hooks, and each nil field, means that the class has no such function. The
// inputs of a hook are the literals and defaults of the node: linked and lazy inputs are
// absent. The functions must be safe for concurrent use.
type Hooks struct {
	// Validate checks the inputs when a prompt is submitted; see [nodebus.Validator].
	Validate func(ctx *nodebus.Context, in nodebus.Inputs) error
	// ValidateLinks replaces the check of the types of links. types maps the name of each
	// linked input to the type of the output.
	ValidateLinks func(ctx *nodebus.Context, types map[string]string) error
	// Fingerprint returns a text that becomes part of the cache key; see
	// [nodebus.Fingerprinter]. A class that replaces another class of the same name should
	// have another fingerprint: otherwise the cache may return results of the old class.
	Fingerprint func(ctx *nodebus.Context, in nodebus.Inputs) (string, error)
}

// NewClass returns a class whose inputs and outputs are known only at run time, for example
// because a file, a plugin or another server declares them. [Registry.Add] makes the class
// known to prompts. A node of the class follows the same rules as a node whose class is a
// Go struct: validation, defaults, lists, lazy inputs, cache, and the description that
// clients receive. hooks may be nil.
//
// The executor calls run once for each call of a node, in several goroutines at the same
// time. The map in belongs to the call; its values are shared, and run must not modify
// them. It has an entry for each input that the prompt gives, or that has a default:
//
//   - INT is an int64, or a uint64 above the range of int64. FLOAT is a float64, STRING a
//     string, BOOLEAN a bool. A drop-down is its choice.
//   - A value of another type is what its source has returned, or decoded JSON whose numbers
//     are an int, a uint64 above the range of int, or a float64 if they have a fraction or an
//     exponent. A nil pointer is nil. [nodebus.To] converts such values.
//   - An input with List is a []any.
//   - An input with Lazy is a [nodebus.Lazy] of any. It is absent if the prompt leaves it
//     out. Get returns values of the forms above.
//   - An input with Grow and an input with Rest are a slice of [nodebus.Named] of any, in order.
//   - An input with Cases is a [nodebus.Inputs]: it has the choice under the name of the input
//     itself, and each input of the choice under its own name. An optional one that is absent
//     is nil there.
//   - A hidden input has the value that its Type names. It is absent if there is no such value.
//   - A drop-down with Multi is a []any, and an input with Raw a [nodebus.Link].
//   - An optional input without a default that the prompt leaves out is absent.
//
// run returns a value for each output of the schema, in order. If the output is FLOAT, STRING or
// BOOLEAN, a number, text or truth value of any Go type is converted to float64, string or
// bool. If the output is INT, an int, int64 or uint64 passes unchanged, and another whole number
// becomes an int. A value of an output of any other type passes unchanged. For an output with
// List, run returns any slice or a [nodebus.List]. Each output, and each element of a list, may
// be a [nodebus.Out], for example to block it or to take the result of a graph; if that is a
// list, its elements take the place of the element. The UI of the [Result] is what
// the node shows. An error or a panic of run has the same effect as in the method Run of a struct.
// A cache that keeps results as JSON cannot give back an output of a Go type of the program: the
// node then runs again.
//
// A field of a [Port] that has an option in the description, for example Default, is added
// to Options unless Options has it. A Kind that is empty means required, and an empty name
// of an output is its type. NewClass copies schema. The error is a [*SchemaError].
func NewClass(schema Schema, run func(ctx *nodebus.Context, in nodebus.Inputs) (Result, error), hooks *Hooks) (*Class, error) {
	k := schemaChecker{class: schema.Name}
	if run == nil {
		return nil, k.wrong("", "has no function", "give the function that the nodes call")
	}
	if schema.PriceBadge != nil && !isObject(schema.PriceBadge) {
		return nil, k.wrong("", "has a PriceBadge that is not a JSON object", "write an object, or leave it out")
	}
	c := &Class{maker: "a class made at run time"}
	var err error
	if c.inputs, c.outputs, err = k.fields(clonePorts(schema.Inputs), clonePorts(schema.Outputs)); err != nil {
		return nil, err
	}
	code := &funcCode{call: run, class: c}
	if hooks != nil {
		code.hooks = *hooks
	}
	c.code = code
	c.validates = code.hooks.Validate != nil
	c.checksLinks = code.hooks.ValidateLinks != nil
	c.fingerprints = code.hooks.Fingerprint != nil
	c.complete(schema.Info)
	return c, nil
}

// funcCode is the code of a class whose nodes are calls of a function.
type funcCode struct {
	call  func(ctx *nodebus.Context, in nodebus.Inputs) (Result, error)
	hooks Hooks
	class *Class
}

func (c *funcCode) run(ctx *nodebus.Context, ports []field, args, outs []any) (nodebus.UI, error) {
	in, err := c.collect(ctx, ports, args)
	if err != nil {
		return nil, err
	}
	res, err := c.call(ctx, in)
	if err != nil {
		return nil, err
	}
	if len(res.Outputs) != len(c.class.outputs) {
		return nil, fmt.Errorf("the function of the class returned %d outputs, but its schema has %d; return a value for each, in order", len(res.Outputs), len(c.class.outputs))
	}
	for i := range c.class.outputs {
		f := &c.class.outputs[i]
		if outs[i], err = f.give(res.Outputs[i]); err != nil {
			return nil, fmt.Errorf("output %d (%s): %w", i, f.Name, err)
		}
	}
	return res.UI, nil
}

func (c *funcCode) validate(ctx *nodebus.Context, ports []field, args []any, types map[string]string) error {
	if c.hooks.ValidateLinks != nil {
		if err := c.hooks.ValidateLinks(ctx, types); err != nil {
			return err
		}
	}
	if c.hooks.Validate == nil {
		return nil
	}
	in, err := c.collect(ctx, ports, args)
	if err != nil {
		return err
	}
	return c.hooks.Validate(ctx, in)
}

func (c *funcCode) fingerprint(ctx *nodebus.Context, ports []field, args []any) (string, error) {
	in, err := c.collect(ctx, ports, args)
	if err != nil {
		return "", err
	}
	return c.hooks.Fingerprint(ctx, in)
}

// collect returns the inputs of a call by name.
func (c *funcCode) collect(ctx *nodebus.Context, ports []field, args []any) (in nodebus.Inputs, err error) {
	if c.class.dynamic {
		in = newTree(c.class.inputs)
	} else {
		in = make(nodebus.Inputs, len(ports))
	}
	for i := range ports {
		f := &ports[i]
		v := args[i]
		switch {
		case f.Kind == PortHidden:
			if v = f.hiddenValue(ctx, v); v == notGiven {
				continue
			}
		case v == notGiven:
			continue
		case f.Lazy:
			v = f.lazy(v)
		default:
			if v, err = f.take(v); err != nil {
				return nil, &nodebus.InputError{Input: f.Name, Err: err}
			}
		}
		if !c.class.dynamic {
			in[f.Name] = v
		} else if err := f.put(in, v); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// lazy returns an input that takes the argument v when the node asks for it.
func (f *field) lazy(v any) nodebus.Lazy[any] {
	get, ok := v.(getter)
	if !ok {
		get = func(context.Context) (any, error) { return v, nil }
	}
	var l nodebus.Lazy[any]
	l.Bind(func(ctx context.Context) (any, error) {
		v, err := get(ctx)
		if err != nil || v == nil {
			return nil, err
		}
		return f.take(v)
	})
	return l
}
