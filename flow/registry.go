package flow

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// Registry holds the node classes of a program. The zero value is an empty registry
// that is ready to use. It is safe for concurrent use.
type Registry struct {
	mu       sync.RWMutex
	classes  map[string]*Class
	replaced map[string]*Replacement // by the name of the old class
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{} }

// Register adds a node class to r. It panics if the program has a mistake, for
// example a name that is used twice or an invalid tag. The panic text names the
// place of the mistake and the correction.
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

// Class returns the class with this name. ok is false if there is none.
func (r *Registry) Class(name string) (*Class, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	c, ok := r.classes[name]
	return c, ok
}

// Classes yields all classes, sorted by name.
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

// Class is a registered kind of node. A Class never changes; it is safe for
// concurrent use.
type Class struct {
	schema  Schema
	typ     reflect.Type  // the node's struct
	proto   reflect.Value // a value of typ: new nodes are copies of it
	inputs  []field
	outputs []field
	ui      []int                                             // index of the field of type UI in the result; see reflect.Value.FieldByIndex
	multi   bool                                              // the result is a struct with several outputs
	body    func(ctx *nodebus.Context, node any) (any, error) // calls Run
	used    sync.Pool                                         // pointers to nodes that a call may use again, if copied

	takesList                            bool     // some input is a List: the node gets all elements in one call
	lazy                                 bool     // some input is Lazy
	copied                               bool     // Run receives a copy of the node
	plainOuts                            bool     // no output is a List or an Out
	validates, checksLinks, fingerprints bool     // the node has the method Validate, ValidateLinks or Fingerprint
	usesID                               bool     // the result may depend on the unique id
	private                              []string // hidden inputs whose values other prompts must not see
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
			panic(mistake(t, sf, "its input has the name %q, as has the input of field %s; rename one of them with a tag `in:\"name\"`", f.Name, other))
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
	info.Module = cmp.Or(info.Module, "nodes")
	info.Output = info.Output || onlyUI
	_, c.copied = t.MethodByName("Run")
	_, c.validates = reflect.New(t).Interface().(nodebus.Validator)
	_, c.checksLinks = reflect.New(t).Interface().(linkTypeValidator)
	_, c.fingerprints = reflect.New(t).Interface().(nodebus.Fingerprinter)
	c.schema = Schema{Info: info, Inputs: portsOf(c.inputs), Outputs: portsOf(c.outputs)}
	return c
}

// keyed notes the hidden inputs that are part of the cache key. As in ComfyUI,
// PROMPT, DYNPROMPT and EXTRA_PNGINFO are not part of the key: otherwise almost
// every key would be new, and the cache would be useless.
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

// Name returns the name of the class.
func (c *Class) Name() string { return c.schema.Name }

// Schema returns the description of the class. Callers share the result: do not
// modify it.
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

// isResultStruct reports whether out is a struct of several outputs: one of its
// fields has a tag `out` or the type UI.
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

// isPlural reports whether rest, which follows a capital letter, is only an s: URLs is a
// word with a plural, and not UR followed by Ls.
func isPlural(rest []rune) bool {
	return rest[0] == 's' && (len(rest) == 1 || unicode.IsUpper(rest[1]))
}

// snake converts a Go name to the form of input names: OnTrue becomes on_true,
// HTTPClient becomes http_client, and URLs becomes urls.
func snake(name string) string {
	var b strings.Builder
	rs := []rune(name)
	for i, r := range rs {
		if unicode.IsUpper(r) {
			after := i > 0 && !unicode.IsUpper(rs[i-1])
			before := i > 0 && i+1 < len(rs) && unicode.IsLower(rs[i+1]) && !isPlural(rs[i+1:])
			if (after || before) && rs[i-1] != '_' {
				b.WriteByte('_')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
