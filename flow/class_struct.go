package flow

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// structCode is the code of a class whose nodes are Go structs.
type structCode struct {
	typ     reflect.Type                                      // the node's struct
	proto   reflect.Value                                     // a value of typ: new nodes are copies of it
	body    func(ctx *nodebus.Context, node any) (any, error) // calls Run
	outputs []field                                           // of the class
	ui      []int                                             // index of the field of type UI in the result; see reflect.Value.FieldByIndex
	multi   bool                                              // the result is a struct with several outputs
	copied  bool                                              // Run receives a copy of the node
	class   *Class                                            // not nil: it has dynamic inputs
	used    sync.Pool                                         // pointers to nodes that a call may use again, if copied
}

// newStructClass reads a class from the struct of its nodes and from out, the type that
// Run returns. body calls Run.
func newStructClass(proto any, out reflect.Type, info nodebus.Info, body func(ctx *nodebus.Context, node any) (any, error)) *Class {
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
	code := &structCode{typ: t, proto: v, body: body}
	c := &Class{inputs: fieldsOf(t, nil), code: code, maker: t.String()}
	checkNames(t, c.inputs)
	askNode(t, c.inputs, code.newNode())
	checkLive(t, c.inputs)
	var onlyUI bool
	c.outputs, code.ui, onlyUI = outputsOf(t, out)
	code.outputs, code.multi = c.outputs, isResultStruct(out)
	if out == reflect.TypeFor[nodebus.UI]() {
		code.ui = []int{}
	}
	info.Name = cmp.Or(info.Name, t.Name())
	if info.Name == "" {
		panic(fmt.Sprintf("nodebus: node %s: has no name; set Info.Name", t))
	}
	if info.PriceBadge != nil && !isObject(info.PriceBadge) {
		panic(fmt.Sprintf("nodebus: node %s: Info.PriceBadge is not a JSON object; write an object, or leave it out", t))
	}
	info.Output = info.Output || onlyUI
	checkMethods(t)
	_, code.copied = t.MethodByName("Run")
	_, c.validates = reflect.New(t).Interface().(nodebus.Validator)
	_, c.checksLinks = reflect.New(t).Interface().(linkTypeValidator)
	_, c.fingerprints = reflect.New(t).Interface().(nodebus.Fingerprinter)
	if c.complete(info); c.dynamic {
		code.class = c
	}
	return c
}

// checkNames panics if two inputs have the same name.
func checkNames(t reflect.Type, inputs []field) {
	names := map[string]string{}
	for i := range inputs {
		f := &inputs[i]
		sf := t.FieldByIndex(f.index).Name
		if other, twice := names[f.Name]; twice && !f.isSet() {
			panic(mistake(t, sf, "its input has the name %q, as has the input of field %s; rename one of them with a tag `in:\"name\"`", f.Name, other))
		}
		names[f.Name] = sf
	}
}

// run creates a node and calls its method Run.
//
// If Run receives a copy of the node, nothing can keep the node itself, and a later call
// uses its memory again. A node whose Run panics or ends its goroutine is not used again.
func (c *structCode) run(ctx *nodebus.Context, ports []field, args, outs []any) (nodebus.UI, error) {
	node := c.used.Get()
	if node == nil {
		node = c.newNode()
	}
	fields := reflect.ValueOf(node).Elem()
	if err := c.fill(fields, ctx, ports, args); err != nil {
		return nil, err
	}
	out, err := c.body(ctx, node)
	if c.copied {
		fields.Set(c.proto) // so that the node does not keep its inputs in memory
		c.used.Put(node)
	}
	if err != nil {
		return nil, err
	}
	return c.split(out, outs), nil
}

// newNode returns a pointer to a copy of the registered node.
func (c *structCode) newNode() any {
	node := reflect.New(c.typ)
	node.Elem().Set(c.proto)
	return node.Interface()
}

// sample returns a new node with these inputs.
func (c *structCode) sample(ctx *nodebus.Context, ports []field, args []any) (any, error) {
	node := c.newNode()
	return node, c.fill(reflect.ValueOf(node).Elem(), ctx, ports, args)
}

func (c *structCode) validate(ctx *nodebus.Context, ports []field, args []any, types map[string]string) error {
	node, err := c.sample(ctx, ports, args)
	if err != nil {
		return err
	}
	if v, ok := node.(linkTypeValidator); ok {
		if err := v.ValidateLinks(ctx, types); err != nil {
			return err
		}
	}
	if v, ok := node.(nodebus.Validator); ok {
		return v.Validate(ctx)
	}
	return nil
}

func (c *structCode) fingerprint(ctx *nodebus.Context, ports []field, args []any) (string, error) {
	node, err := c.sample(ctx, ports, args)
	if err != nil {
		return "", err
	}
	return node.(nodebus.Fingerprinter).Fingerprint(ctx)
}

// fill sets the inputs of a new node.
func (c *structCode) fill(node reflect.Value, ctx *nodebus.Context, ports []field, args []any) error {
	if c.class != nil {
		return c.fillLive(node, ctx, ports, args)
	}
	for i := range ports {
		if err := fillOne(node.FieldByIndex(ports[i].index), ctx, &ports[i], args[i]); err != nil {
			return err
		}
	}
	return nil
}

// fillOne sets an input of a new node.
func fillOne(dst reflect.Value, ctx *nodebus.Context, f *field, v any) (err error) {
	switch {
	case f.Kind == PortHidden:
		err = f.fillHidden(dst, ctx, v)
	case v == notGiven:
	case f.Lazy:
		bindLazy(dst, v)
	case f.List:
		err = fillList(dst, v)
	case f.Multi:
		err = fillMulti(dst, v)
	default:
		err = assignFast(dst, v)
	}
	if err != nil {
		return &nodebus.InputError{Input: f.Name, Err: err}
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
func (c *structCode) split(out any, outs []any) (ui nodebus.UI) {
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
