package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// Class is a kind of node. A Class never changes; it is safe for concurrent use.
type Class struct {
	schema  Schema
	inputs  []field
	outputs []field
	code    code
	maker   string // the Go type or the function of the nodes, for messages

	takesList                            bool     // some input is a List: the node gets all elements in one call
	lazy                                 bool     // some input is Lazy
	copies                               bool     // some input has copies
	plainOuts                            bool     // no output is a List or an Out
	validates, checksLinks, fingerprints bool     // the code has these methods
	usesID                               bool     // the result may depend on the unique id
	dynamic, rest                        bool     // some input stands for others; some input takes what nobody declares
	fields                               int      // number of fields; see field.number
	private                              []string // hidden inputs whose values other prompts must not see
}

// code is the code of a class. ports are the inputs of a node, and args holds one argument
// for each. An argument is a value, a getter, or notGiven; the argument of a hidden input is
// ignored.
type code interface {
	// run calls the node. It stores the outputs in outs.
	run(ctx *nodebus.Context, ports []field, args, outs []any) (nodebus.UI, error)
	// validate calls the node's validators. types maps the linked inputs to the types of
	// their sources.
	validate(ctx *nodebus.Context, ports []field, args []any, types map[string]string) error
	// fingerprint calls the method Fingerprint of the node.
	fingerprint(ctx *nodebus.Context, ports []field, args []any) (string, error)
}

// complete sets what follows from the schema and the inputs and outputs of the class.
func (c *Class) complete(info nodebus.Info) {
	info.Title = cmp.Or(info.Title, info.Name)
	info.Module, info.Search = cmp.Or(info.Module, coreModule), slices.Clone(info.Search)
	info.PriceBadge = slices.Clone(info.PriceBadge)
	for i := range c.inputs {
		if f := &c.inputs[i]; f.Kind == PortHidden {
			c.keyed(f.Type)
		}
	}
	c.plainOuts = !slices.ContainsFunc(c.outputs, func(f field) bool { return f.List || f.special })
	c.schema = Schema{Info: info, Inputs: portsOf(c.inputs), Outputs: portsOf(c.outputs)}
	c.settle(c.inputs, "", nil)
}

// keyed notes the hidden inputs that are part of the cache key. As in ComfyUI,
// PROMPT, DYNPROMPT, EXTRA_PNGINFO and COMFY_USAGE_SOURCE are not part of the key: otherwise
// almost every key would be new, and the cache would be useless.
func (c *Class) keyed(kind string) {
	switch kind {
	case "UNIQUE_ID":
		c.usesID = true
	case "PROMPT_ID", "AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG":
		c.private = append(c.private, kind)
	default:
		if _, known := hiddenKinds[kind]; !known { // the host may give it as a secret
			c.private = append(c.private, kind)
		}
	}
}

// Name returns the name of the class.
func (c *Class) Name() string { return c.schema.Name }

// Schema returns the description of the class. Callers share the result: do not
// modify it.
func (c *Class) Schema() Schema { return c.schema }

// Call calls the node once. It is for executors outside this package. Call sets the
// inputs, takes the hidden inputs from ctx, runs the node and splits its result into
// outputs. Any output may be an input of another Call.
//
//   - If in does not contain an input, the input has its default. An optional input
//     without a default keeps the value of the registered node, usually zero.
//   - A lazy input is the value in in. If in does not contain it, or has a [nodebus.Link]
//     for it, the Runtime of ctx fetches the value when the node asks for it. An optional one
//     that the node in the prompt of ctx does not have either is not given.
//   - A literal may have the form {"__value__": literal}, as in a prompt.
//   - The inputs below a dynamic input have flat names, as in a prompt: "images.image0". What
//     nobody declares has the order of the prompt of ctx, or else is sorted by name.
//   - An input that the class does not declare is ignored. If it is a [nodebus.Link], Call
//     returns an InputError.
//   - A [nodebus.List] input takes a slice; a List output is a []any.
//   - An input with Port.Raw takes its [nodebus.Link], after the source has run.
//   - An [nodebus.Out] output becomes its value. If the Out has a From, the Runtime
//     evaluates that output. If it has a Graph only, the Runtime runs the graph's output
//     nodes.
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
	ports := c.inputs
	if c.dynamic {
		ports = c.portsOf(c.specOf(ctx, in), nil)
	}
	if err := c.checkStrays(ports, in); err != nil {
		return Result{}, err
	}
	args := make([]any, len(ports))
	for i := range ports {
		f := &ports[i]
		switch v, given := in[f.Name]; {
		case f.isSet():
		case given && f.isLinked(v, rt):
			args[i] = f.fetch(rt)
		case given:
			if args[i], err = f.argument(v); err != nil {
				return Result{}, &nodebus.InputError{Input: f.Name, Err: err}
			}
		case f.Lazy && rt != nil && !f.isLeftOut(ctx):
			args[i] = f.fetch(rt)
		case f.Default != nil:
			args[i] = copyOf(f.defaultValue)
		case f.Kind == PortOptional || f.Lazy || f.isOwn():
			args[i] = notGiven
		default:
			return Result{}, &nodebus.InputError{Input: f.Name, Err: errRequired}
		}
	}
	res.Outputs = make([]any, len(c.outputs))
	if res.UI, err = c.code.run(ctx, ports, args, res.Outputs); err != nil {
		return Result{}, err
	}
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

// isLeftOut reports whether the prompt of a Call has the node, but not this input.
func (f *field) isLeftOut(ctx *nodebus.Context) bool {
	if f.Kind != PortOptional {
		return false
	}
	n := nodeOf(ctx)
	if n == nil {
		return false
	}
	_, has := n.Inputs[f.Name]
	return !has
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
			return copyOf(f.defaultValue), nil
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
	case v == nil: // the zero value of a struct
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
	if b, ok := val.(*nodebus.BlockedError); ok {
		return b, nil
	}
	if f.special {
		var err error
		if val, err = settleOut(ctx, f, val); err != nil {
			return nil, err
		}
	}
	if _, blocked := val.(*nodebus.BlockedError); blocked || !f.List {
		return val, nil
	}
	list := value.ListOf(val, f.elem)
	if !f.special {
		return list, nil
	}
	all := make([]any, 0, len(list))
	for i, e := range list {
		port, isOut := e.(outPort)
		e, err := settleOut(ctx, f, e)
		switch {
		case err != nil:
			return nil, fmt.Errorf("element %d: %w", i, err)
		case isOut && port.Any().From != (nodebus.Link{}):
			all = append(all, value.ListOf(e, f.elem)...)
		default:
			all = append(all, e)
		}
	}
	return all, nil
}

// settleOut returns what an Out stands for: its value, or a *nodebus.BlockedError. It returns
// any other val unchanged.
func settleOut(ctx *nodebus.Context, f *field, val any) (any, error) {
	port, ok := val.(outPort)
	if !ok {
		return val, nil
	}
	out := port.Any()
	switch {
	case out.Blocked != nil:
		return blockOf(f.Name, out.Blocked)
	case out.Graph != nil && out.From == (nodebus.Link{}):
		if err := evalBeside(ctx, out.Graph); err != nil {
			return nil, fmt.Errorf("output %q: %w", f.Name, err)
		}
	case out.From != (nodebus.Link{}):
		v, err := nodebus.Eval[any](ctx, out.Graph, out.From)
		if err != nil {
			return nil, fmt.Errorf("output %q: %w", f.Name, err)
		}
		return v, nil
	}
	return out.Value, nil
}

// evalBeside runs a graph beside a call of [Class.Call].
func evalBeside(ctx *nodebus.Context, g *nodebus.Graph) error {
	rt := ctx.Runtime()
	if rt == nil {
		return errors.New("this executor does not run graphs made by nodes")
	}
	_, err := rt.Eval(ctx, g)
	return err
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

// sampleArgs returns the arguments of a node before it runs: its literals, but not its linked
// and lazy inputs.
func (n *planNode) sampleArgs() []any {
	args := make([]any, len(n.args))
	for i := range n.args {
		if a := &n.args[i]; a.src >= 0 || n.ports[i].Lazy {
			args[i] = notGiven
		} else {
			args[i] = n.literal(i, a.value())
		}
	}
	return args
}

// sampleContext returns a context for the code of a node before it runs.
func (n *planNode) sampleContext(ctx context.Context, call nodebus.CallInfo) *nodebus.Context {
	call.Place = n.place()
	return nodebus.NewContext(ctx, call)
}

// linkable reports whether an output may be linked to an input. same compares the
// choices of two drop-downs.
func linkable(out, in *Port, same func(out, in *Port) bool) bool {
	switch {
	case out.Type == in.Type && (in.Choices == nil || in.Combo):
		return true
	case out.Type == "*" || in.Type == "*" || out.Match != nil || in.Match != nil:
		return true
	case in.Choices != nil && !in.Combo: // the type of this drop-down is its choices
		return out.Choices != nil && same(out, in)
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
	given, _ := out.ListChoices()
	taken, _ := in.ListChoices()
	return slices.Equal(given, taken)
}
