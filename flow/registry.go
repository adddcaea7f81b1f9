package flow

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// Registry holds the classes a program knows. The zero value is empty and ready
// to use; it is safe for concurrent use.
type Registry struct {
	mu      sync.RWMutex
	classes map[string]*Class
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{} }

// Register adds a node. It panics on a mistake in the program, such as a name that is
// used twice or a tag that makes no sense. The text says where the mistake is and how to
// correct it.
func Register[Out any](r *Registry, proto nodebus.Node[Out], info nodebus.Info) {
	c := newClass(proto, reflect.TypeFor[Out](), info)
	c.body = func(ctx *nodebus.Context, node any) (any, error) {
		return node.(nodebus.Node[Out]).Run(ctx)
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
	ui      []int                                             // index of the field of type UI in the result
	multi   bool                                              // the result is a struct of outputs
	body    func(ctx *nodebus.Context, node any) (any, error) // calls Run

	takesList                            bool     // some input is a List: one call for all
	lazy                                 bool     // some input is Lazy
	plainOuts                            bool     // no output is a List or an Out
	validates, checksLinks, fingerprints bool     // the node has the method
	usesID                               bool     // the result may depend on the unique id
	private                              []string // hidden inputs that other prompts must not see
}

func newClass(proto any, out reflect.Type, info nodebus.Info) *Class {
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
		if other, twice := names[f.Name]; twice && f.Kind != PortHidden {
			panic(mistake(t, sf, "its input is called %q like that of field %s; name one of them with a tag `in:\"name\"`", f.Name, other))
		}
		names[f.Name] = sf
		c.takesList = c.takesList || f.List
		c.lazy = c.lazy || f.Lazy
		if f.Kind == PortHidden {
			c.keyed(f.Type)
		}
	}
	var onlyUI bool
	c.outputs, c.ui, onlyUI = outputsOf(t, out)
	c.multi = isResultStruct(out)
	c.plainOuts = !slices.ContainsFunc(c.outputs, func(f field) bool { return f.List || f.special })
	if out == reflect.TypeFor[nodebus.UI]() {
		c.ui = []int{}
	}
	info.Name = cmp.Or(info.Name, t.Name())
	if info.Name == "" {
		panic(fmt.Sprintf("nodebus: node %s: has no name; set Info.Name", t))
	}
	info.Title = cmp.Or(info.Title, info.Name)
	info.Output = info.Output || onlyUI
	_, c.validates = reflect.New(t).Interface().(nodebus.Validator)
	_, c.checksLinks = reflect.New(t).Interface().(linkTypeValidator)
	_, c.fingerprints = reflect.New(t).Interface().(nodebus.Fingerprinter)
	c.schema = Schema{Info: info, Inputs: portsOf(c.inputs), Outputs: portsOf(c.outputs)}
	return c
}

// keyed notes the hidden inputs that are part of the cache key. The graph and the data
// written into images are not, as in the reference: with them, hardly any result would be
// found again.
func (c *Class) keyed(kind string) {
	switch kind {
	case "UNIQUE_ID":
		c.usesID = true
	case "PROMPT_ID", "AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG":
		c.private = append(c.private, kind)
	}
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

// outputsOf reads the outputs from the type that Run returns.
func outputsOf(t, out reflect.Type) (outs []field, ui []int, onlyUI bool) {
	if out == reflect.TypeFor[nodebus.UI]() {
		return nil, nil, true
	}
	if !isResultStruct(out) {
		return []field{outputOf(t, "", out, nil)}, nil, false
	}
	for i := range out.NumField() {
		sf := out.Field(i)
		if sf.Type == reflect.TypeFor[nodebus.UI]() {
			ui = sf.Index
			continue
		}
		name, ok := sf.Tag.Lookup("out")
		if !ok {
			if sf.IsExported() {
				panic(mistake(t, out.Name()+"."+sf.Name, "is neither an output nor a UI; give it a tag `out:\"name\"`, or make it unexported"))
			}
			continue
		}
		if !sf.IsExported() {
			panic(mistake(t, out.Name()+"."+sf.Name, "has a tag `out` but is unexported; begin its name with a capital"))
		}
		f := outputOf(t, cmp.Or(name, snake(sf.Name)), sf.Type, sf.Index)
		if tip, ok := sf.Tag.Lookup("tip"); ok {
			f.Options = append(f.Options, PortOption{"tooltip", tip})
		}
		outs = append(outs, f)
	}
	return outs, ui, len(outs) == 0
}

// isResultStruct: a struct is several outputs if it says so, by a tag or a UI.
func isResultStruct(out reflect.Type) bool {
	if out.Kind() != reflect.Struct {
		return false
	}
	for i := range out.NumField() {
		sf := out.Field(i)
		if _, ok := sf.Tag.Lookup("out"); ok || sf.Type == reflect.TypeFor[nodebus.UI]() {
			return true
		}
	}
	return false
}

func outputOf(t reflect.Type, name string, typ reflect.Type, index []int) field {
	f := field{index: index, elem: typ}
	if value.IsGeneric(typ, "Out") {
		v, _ := typ.FieldByName("Value")
		f.elem, f.special = v.Type, true
	}
	if value.IsGeneric(f.elem, "List") {
		f.List, f.elem = true, f.elem.Elem()
	}
	if f.Type, f.choices = portType(f.elem), choicesOf(f.elem); f.choices != nil {
		f.Type = "COMBO"
	}
	if f.Type == "" {
		panic(mistake(t, "of the result", "type %s has no name to connect by; give it a named type or a method PortType() string", f.elem))
	}
	f.Name = cmp.Or(name, f.Type)
	return f
}
