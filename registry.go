package nodebus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"sync"
)

// Registry holds the classes a program knows. The zero value is empty and ready
// to use; it is safe for concurrent use.
type Registry struct {
	mu      sync.RWMutex
	classes map[string]*Class
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{} }

// Register adds a node. It panics on a mistake in the program, such as a name
// used twice or a tag that makes no sense, with a sentence that says where it
// is and how to mend it.
func Register[Out any](r *Registry, proto Node[Out], info Info) {
	c := newClass(proto, reflect.TypeFor[Out](), info)
	c.run = func(ctx *Context, node any) (any, error) {
		return node.(Node[Out]).Run(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.classes == nil {
		r.classes = map[string]*Class{}
	}
	if old := r.classes[c.Name()]; old != nil {
		panic(fmt.Sprintf("nodebus: node %s: the name %q is taken by %s; set Info.Name to another", c.typ, c.Name(), old.typ))
	}
	r.classes[c.Name()] = c
}

// Class finds a class by name.
func (r *Registry) Class(name string) (*Class, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	c, ok := r.classes[name]
	return c, ok
}

// Classes yields all classes, by name.
func (r *Registry) Classes() iter.Seq[*Class] {
	return func(yield func(*Class) bool) {
		r.mu.RLock()
		all := maps.Clone(r.classes)
		r.mu.RUnlock()
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if !yield(all[name]) {
				return
			}
		}
	}
}

// Class is a registered kind of node. It does not change, and is safe for
// concurrent use.
type Class struct {
	schema  Schema
	typ     reflect.Type  // the struct
	proto   reflect.Value // of typ
	inputs  []field
	outputs []field
	ui      []int // index of the field of type UI in the result
	multi   bool  // the result is a struct of outputs
	run     func(ctx *Context, node any) (any, error)

	takesList               bool // some input is a List: one call for all
	lazy                    bool // some input is Lazy
	plainOuts               bool // outputs are values as they are: no List, no Out
	validates, fingerprints bool
	usesID                  bool // what it gives may depend on its unique id
}

func newClass(proto any, out reflect.Type, info Info) *Class {
	v := reflect.ValueOf(proto)
	if proto == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		panic("nodebus: Register: the node is nil; give a value of its type")
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		panic(fmt.Sprintf("nodebus: node %s: is not a struct; its inputs are the fields of one", v.Type()))
	}
	t := v.Type()
	c := &Class{typ: t, proto: v, inputs: fieldsOf(t, nil)}
	names := map[string]string{}
	for _, f := range c.inputs {
		sf := t.FieldByIndex(f.index).Name
		if other, twice := names[f.Name]; twice && f.Kind != Hidden {
			panic(mistake(t, sf, "its input is called %q like that of field %s; name one of them with a tag `in:\"name\"`", f.Name, other))
		}
		names[f.Name] = sf
		c.takesList = c.takesList || f.List
		c.lazy = c.lazy || f.Lazy
		c.usesID = c.usesID || f.Type == "UNIQUE_ID" && f.Kind == Hidden
	}
	var onlyUI bool
	c.outputs, c.ui, onlyUI = outputsOf(t, out)
	c.multi = isResultStruct(out)
	c.plainOuts = !slices.ContainsFunc(c.outputs, func(f field) bool { return f.List || f.special })
	if out == reflect.TypeFor[UI]() {
		c.ui = []int{}
	}
	info.Name = orDefault(info.Name, t.Name())
	if info.Name == "" {
		panic(fmt.Sprintf("nodebus: node %s: has no name; set Info.Name", t))
	}
	info.Title = orDefault(info.Title, info.Name)
	info.Output = info.Output || onlyUI
	_, c.validates = reflect.New(t).Interface().(Validator)
	_, c.fingerprints = reflect.New(t).Interface().(Fingerprinter)
	c.schema = Schema{Info: info, Inputs: portsOf(c.inputs), Outputs: portsOf(c.outputs)}
	return c
}

func portsOf(fields []field) []Port {
	ports := make([]Port, len(fields))
	for i, f := range fields {
		ports[i] = f.Port
	}
	return ports
}

// Name is the name of the class.
func (c *Class) Name() string { return c.schema.Name }

// Schema describes the class. The result is shared: do not modify it.
func (c *Class) Schema() Schema { return c.schema }

// Result is what a node gave: its outputs in order, and what it shows.
type Result struct {
	Outputs []any
	UI      UI
}

// Call calls the node once, for executors of one's own: it sets the inputs,
// the hidden ones from ctx, runs the node and takes its result apart. A List
// input takes a []any. An input that is not in in is its default, or zero if it
// is optional. A lazy input is the value in in, or is fetched through the
// context's Runtime when the node asks. An error is a [*NodeError] that says
// which node it was, around what the node returned, an [*InputError], or the
// [*PanicError] of its panic.
func (c *Class) Call(ctx *Context, in Inputs) (res Result, err error) {
	defer func() {
		if err != nil {
			res, err = Result{}, ctx.nodeError(c, err)
		}
	}()
	defer catch(&err)
	args := make([]any, len(c.inputs))
	for i := range c.inputs {
		f := &c.inputs[i]
		switch v, given := in[f.Name]; {
		case f.Kind == Hidden:
		case given:
			args[i] = v
		case f.Lazy && ctx.rt != nil:
			args[i] = getter(func(gctx context.Context) (any, error) { return ctx.rt.Input(gctx, f.Name) })
		case f.Default != nil:
			args[i] = f.Default
		case f.Kind == Optional || f.Lazy:
			args[i] = absent
		default:
			return Result{}, &InputError{f.Name, errRequired}
		}
	}
	out, err := c.invoke(ctx, args)
	if err != nil {
		return Result{}, err
	}
	res.Outputs = make([]any, len(c.outputs))
	res.UI = c.split(out, res.Outputs)
	return res, nil
}

var errRequired = errors.New("is required")

// getter is an argument that is fetched when a Lazy asks for it.
type getter func(context.Context) (any, error)

// absent is the argument of an input that is not given: the field stays zero.
var absent any = new(struct{ _ byte })

// invoke makes the node and runs it. args has an argument for every input.
func (c *Class) invoke(ctx *Context, args []any) (any, error) {
	node := reflect.New(c.typ)
	if err := c.fill(node.Elem(), ctx, args); err != nil {
		return nil, err
	}
	return c.run(ctx, node.Interface())
}

// fill sets the fields of a fresh node.
func (c *Class) fill(node reflect.Value, ctx *Context, args []any) error {
	node.Set(c.proto)
	for i := range c.inputs {
		f := &c.inputs[i]
		dst := node.FieldByIndex(f.index)
		var err error
		switch v := args[i]; {
		case f.Kind == Hidden:
			err = assign(dst, ctx.hidden(f.Type))
		case v == absent:
		case f.Lazy:
			bindLazy(dst, v)
		case f.List:
			err = fillList(dst, v)
		default:
			err = assignFast(dst, v)
		}
		if err != nil {
			return &InputError{f.Name, err}
		}
	}
	return nil
}

func bindLazy(dst reflect.Value, v any) {
	get, ok := v.(getter)
	if !ok {
		get = func(context.Context) (any, error) { return v, nil }
	}
	dst.Addr().Interface().(lazyPort).bind(get)
}

func fillList(dst reflect.Value, v any) error {
	return dst.Addr().Interface().(listPort).fill(listOf(v))
}

// assignFast is assign, with the common types set without a comparison of types.
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
	return assign(dst, v)
}

// split takes a result apart: the outputs go to outs, the UI is returned.
func (c *Class) split(out any, outs []any) (ui UI) {
	if !c.multi {
		if c.ui != nil {
			return out.(UI)
		}
		outs[0] = out
		return nil
	}
	v := reflect.ValueOf(out)
	for i := range c.outputs {
		outs[i] = v.FieldByIndex(c.outputs[i].index).Interface()
	}
	if c.ui != nil {
		ui, _ = v.FieldByIndex(c.ui).Interface().(UI)
	}
	return ui
}

// grapher is a Runtime that knows the nodes made at run time.
type grapher interface{ graph() Nodes }

// hidden is the value of a hidden input.
func (c *Context) hidden(kind string) any {
	p := c.env.prompt
	switch kind { // see hiddenKinds
	case "UNIQUE_ID":
		return c.UniqueID()
	case "PROMPT_ID":
		return p.ID
	case "PROMPT":
		return p.Nodes
	case "DYNPROMPT":
		if live, ok := c.rt.(grapher); ok {
			return live.graph()
		}
		return p.Nodes
	case "EXTRA_PNGINFO":
		return p.Extra["extra_pnginfo"]
	}
	if s, ok := p.Secrets[kind]; ok {
		return s
	}
	return ""
}
