package flow

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// Call calls the node once. It is for executors outside this package. Call sets the
// inputs, takes the hidden inputs from ctx, runs the node and splits its result into
// outputs. Any output may be an input of another Call.
//
//   - If in does not contain an input, the input has its default. An optional input
//     without a default keeps the value of the registered node, usually zero.
//   - A lazy input is the value in in. If in does not contain it, the Runtime of ctx
//     fetches the value when the node asks for it.
//   - A literal may have the form {"__value__": literal}, as in a prompt.
//   - A [nodebus.List] input takes a slice; a List output is a []any.
//   - An [nodebus.Out] output becomes its value. If the Out has a From, the Runtime
//     evaluates that output.
//   - A blocked output is the [*nodebus.BlockedError] that [nodebus.Block] made. A
//     Call with such an input returns that error.
//
// The error is a [*nodebus.NodeError] that names the node. It wraps the error of the
// node, an [*nodebus.InputError], or a [*nodebus.PanicError]. Call is safe for
// concurrent use.
func (c *Class) Call(ctx *nodebus.Context, in nodebus.Inputs) (res Result, err error) {
	defer func() {
		if err != nil {
			res, err = Result{}, c.failure(ctx, err)
		}
	}()
	err = nodebus.Protect(func() error { res, err = c.call(ctx, in); return err })
	return res, err
}

func (c *Class) call(ctx *nodebus.Context, in nodebus.Inputs) (res Result, err error) {
	rt := ctx.Runtime()
	args := make([]any, len(c.inputs))
	for i := range c.inputs {
		f := &c.inputs[i]
		switch v, given := in[f.Name]; {
		case f.Kind == PortHidden:
		case given:
			if args[i], err = f.argument(v); err != nil {
				return Result{}, &nodebus.InputError{Input: f.Name, Err: err}
			}
		case f.Lazy && rt != nil:
			args[i] = f.fetch(rt)
		case f.Default != nil:
			args[i] = f.Default
		case f.Kind == PortOptional || f.Lazy:
			args[i] = notGiven
		default:
			return Result{}, &nodebus.InputError{Input: f.Name, Err: errRequired}
		}
	}
	out, err := c.run(ctx, args)
	if err != nil {
		return Result{}, err
	}
	res.Outputs = make([]any, len(c.outputs))
	res.UI = c.split(out, res.Outputs)
	for i := range c.outputs {
		if res.Outputs[i], err = settle(ctx, &c.outputs[i], res.Outputs[i]); err != nil {
			return Result{}, err
		}
	}
	return res, nil
}

var errRequired = errors.New("is required")

// argument converts the input v of Call to an argument of the node.
func (f *field) argument(v any) (any, error) {
	b, stopped := v.(*nodebus.BlockedError)
	switch {
	case stopped && f.Lazy:
		return getter(func(context.Context) (any, error) { return nil, b }), nil
	case stopped:
		return nil, b
	}
	return f.literal(v), nil
}

// fetch returns the argument of a lazy input that the Runtime knows. If the input is not
// connected, the Runtime answers nil.
func (f *field) fetch(rt nodebus.Runtime) getter {
	return func(ctx context.Context) (any, error) {
		v, err := rt.Input(ctx, f.Name)
		b, stopped := v.(*nodebus.BlockedError)
		switch {
		case err != nil:
			return nil, err
		case stopped:
			return nil, b
		case v != nil:
			return f.literal(v), nil
		case f.Default != nil:
			return f.defaultValue, nil
		case f.Kind == PortOptional && f.List:
			return value.List{}, nil
		case f.Kind == PortOptional:
			return reflect.Zero(f.elem).Interface(), nil
		}
		return nil, nil
	}
}

// literal converts v if v has a form that only literals of a prompt have: an object with
// the one key __value__, or an object where the field holds another type. A literal that
// does not fit stays as it is; setting the field then fails.
func (f *field) literal(v any) any {
	m, isObject := v.(map[string]any)
	inner, wrapped := m["__value__"]
	switch wrapped = wrapped && (f.List || len(m) == 1); {
	case wrapped:
	case isObject && f.elem.Kind() != reflect.Interface && f.elem.Kind() != reflect.Map:
		inner = v
	default:
		return v
	}
	convert := func(v any) any {
		if lit, err := value.Literal(f.elem, v); err == nil {
			return lit
		}
		return v
	}
	elems, isList := value.Elements(inner, f.elem)
	if !f.List || !isList {
		return convert(inner)
	}
	list := make(value.List, len(elems))
	for i, e := range elems {
		list[i] = convert(e)
	}
	return list
}

// settle converts an output field of the node's result to a value that may be an
// input of another node.
func settle(ctx *nodebus.Context, f *field, val any) (any, error) {
	if f.special {
		out := val.(outPort).Any()
		switch {
		case out.Blocked != nil:
			return blockOf(f.Name, out.Blocked)
		case out.Graph != nil || out.From != (nodebus.Link{}):
			v, err := nodebus.Eval[any](ctx, out.Graph, out.From)
			if err != nil {
				return nil, fmt.Errorf("output %q: %w", f.Name, err)
			}
			out.Value = v
		}
		val = out.Value
	}
	if f.List {
		return value.ListOf(val, f.elem), nil
	}
	return val, nil
}

// failure wraps err in a NodeError for the node of ctx.
func (c *Class) failure(ctx *nodebus.Context, err error) *nodebus.NodeError {
	e := &nodebus.NodeError{Place: ctx.Place(), Class: c.Name(), RealClass: c.Name(), Index: ctx.Index(), Err: err}
	if e.RealID == e.UniqueID {
		return e
	}
	nodes, _ := ctx.Hidden("PROMPT").(nodebus.Nodes)
	for i := range nodes {
		if nodes[i].ID == e.RealID {
			e.RealClass = nodes[i].Class
		}
	}
	return e
}

// blockOf returns err as a BlockedError. It returns an error if err was not made by
// [nodebus.Block].
func blockOf(output string, err error) (*nodebus.BlockedError, error) {
	b, ok := err.(*nodebus.BlockedError) //nolint:errorlint // nothing is wrapped around it
	if !ok {
		return nil, fmt.Errorf("output %q: Blocked is %w; use Block for a reason", output, err)
	}
	return b, nil
}

// getter is the argument of a lazy input: Lazy calls it when the node asks for the
// value.
type getter func(context.Context) (any, error)

// notGiven is the argument of a missing input: the field keeps the value of the
// prototype.
var notGiven any = new(struct{ _ byte })

// run creates a node and calls its method Run. args has one argument for every
// input.
//
// If Run receives a copy of the node, nothing can keep the node itself, and a later call
// uses its memory again. A node whose Run panics or ends its goroutine is not used again.
func (c *Class) run(ctx *nodebus.Context, args []any) (any, error) {
	node := c.used.Get()
	if node == nil {
		node = c.newNode()
	}
	fields := reflect.ValueOf(node).Elem()
	if err := c.fill(fields, ctx, args); err != nil {
		return nil, err
	}
	out, err := c.body(ctx, node)
	if c.copied {
		fields.Set(c.proto) // so that the node does not keep its inputs in memory
		c.used.Put(node)
	}
	return out, err
}

// newNode returns a pointer to a copy of the registered node.
func (c *Class) newNode() any {
	node := reflect.New(c.typ)
	node.Elem().Set(c.proto)
	return node.Interface()
}

// fill sets the inputs of a new node.
func (c *Class) fill(node reflect.Value, ctx *nodebus.Context, args []any) error {
	for i := range c.inputs {
		f := &c.inputs[i]
		dst := node.FieldByIndex(f.index)
		var err error
		switch v := args[i]; {
		case f.Kind == PortHidden:
			err = value.Assign(dst, ctx.Hidden(f.Type))
		case v == notGiven:
		case f.Lazy:
			bindLazy(dst, v)
		case f.List:
			err = fillList(dst, v)
		default:
			err = assignFast(dst, v)
		}
		if err != nil {
			return &nodebus.InputError{Input: f.Name, Err: err}
		}
	}
	return nil
}

func bindLazy(dst reflect.Value, v any) {
	get, ok := v.(getter)
	if !ok {
		get = func(context.Context) (any, error) { return v, nil }
	}
	dst.Addr().Interface().(lazyPort).Bind(get)
}

func fillList(dst reflect.Value, v any) error {
	port := dst.Addr().Interface().(listPort)
	return port.SetValues(value.ListOf(v, dst.Type().Elem()))
}

// assignFast is value.Assign with a fast path for the common types.
func assignFast(dst reflect.Value, v any) error {
	switch v := v.(type) {
	case int:
		if dst.Kind() == reflect.Int {
			dst.SetInt(int64(v))
			return nil
		}
	case float64:
		if dst.Kind() == reflect.Float64 {
			dst.SetFloat(v)
			return nil
		}
	case string:
		if dst.Kind() == reflect.String {
			dst.SetString(v)
			return nil
		}
	}
	return value.Assign(dst, v)
}

// split copies the outputs of a result to outs and returns the UI.
func (c *Class) split(out any, outs []any) (ui nodebus.UI) {
	if !c.multi {
		if c.ui != nil {
			return out.(nodebus.UI)
		}
		outs[0] = out
		return nil
	}
	v := reflect.ValueOf(out)
	for i := range c.outputs {
		outs[i] = v.FieldByIndex(c.outputs[i].index).Interface()
	}
	if c.ui != nil {
		ui, _ = v.FieldByIndex(c.ui).Interface().(nodebus.UI)
	}
	return ui
}

// sample returns a node whose literals and id are set, but not its linked and lazy
// inputs.
func (class *Class) sample(job *nodebus.Job, n *planNode) (any, error) {
	node := class.newNode()
	args := make([]any, len(n.args))
	for i, a := range n.args {
		if args[i] = a.val; a.src >= 0 || class.inputs[i].Lazy {
			args[i] = notGiven
		}
	}
	ctx := nodebus.NewContext(context.Background(), nodebus.CallInfo{Place: n.place(), Job: job})
	return node, class.fill(reflect.ValueOf(node).Elem(), ctx, args)
}

// linkable reports whether an output may be linked to an input. same compares the
// choices of two drop-downs.
func linkable(out, in *Port, same func(out, in *Port) bool) bool {
	switch {
	case out.Type == in.Type && (in.choices == nil || in.newForm):
		return true
	case out.Type == "*" || in.Type == "*":
		return true
	case in.choices != nil && !in.newForm: // the type of this drop-down is its choices
		return out.choices != nil && same(out, in)
	}
	ins := strings.Split(in.Type, ",")
	for o := range strings.SplitSeq(out.Type, ",") {
		o = strings.TrimSpace(o)
		for _, i := range ins {
			if i = strings.TrimSpace(i); o == i || o == "*" || i == "*" {
				return true
			}
		}
	}
	return false
}

func sameChoices(out, in *Port) bool {
	given, _ := out.Choices()
	taken, _ := in.Choices()
	return slices.Equal(given, taken)
}
