package flow

import (
	"encoding/binary"
	"reflect"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// settle gives the inputs of a class their flat names, and joins them to the inputs that they
// belong to. The names in fields are as declared.
func (c *Class) settle(fields []field, prefix string, parent *field) {
	for i := range fields {
		f := &fields[i]
		c.own(f, prefix, f.Name, parent)
		switch d := f.dyn; {
		case d == nil:
		case f.Grow != nil:
			names := f.Grow.names()
			d.elements = make([]field, len(names))
			for k, name := range names {
				e := &d.elements[k]
				*e = *d.element
				e.Default, e.defaultValue = nil, nil // there is an element only if the prompt has it
				if k >= f.Grow.Min {
					e.Kind = PortOptional
				}
				c.own(e, f.Name+".", name, f)
			}
		case f.Cases != nil:
			keys := make([]any, len(f.Cases))
			for k := range f.Cases {
				keys[k] = f.Cases[k].Key
				c.settle(d.cases[k], f.Name+".", f)
			}
			f.Choices, f.elem = func() []any { return keys }, reflect.TypeFor[string]()
		}
	}
}

func (c *Class) own(f *field, prefix, name string, parent *field) {
	f.parent, f.local, f.Name, f.number = parent, name, prefix+name, c.fields
	c.fields++
	c.takesList = c.takesList || f.List
	c.lazy = c.lazy || f.Lazy
	c.rest = c.rest || f.Rest
	f.copies = f.dyn == nil && mayCopy(f.elem)
	c.copies = c.copies || f.copies
	if f.dyn != nil {
		c.dynamic = true
		if e := f.dyn.element; e != nil {
			c.takesList = c.takesList || e.List
			c.lazy = c.lazy || e.Lazy
			e.copies = mayCopy(e.elem)
			c.copies = c.copies || e.copies
		}
	}
}

// shapes holds the live ports of a prompt. Nodes with the same inputs share them.
type shapes struct {
	known map[shape][]field
	count int  // of all ports in known
	full  bool // count is more than shapesMax
}

type shape struct {
	class *Class
	ports string // the numbers of the fields, and the names that nobody declares
}

// shapesMax bounds the memory of live ports: a port is much larger than its name in the prompt.
// All inputs of a class with dynamic inputs count, also those that the class declares: each
// shape has its own copy of them.
const shapesMax = 250_000

// portsOf returns the inputs that a node has. For a class without dynamic inputs these are the
// inputs of the class. Otherwise they follow from the names of the inputs of spec, and from its
// choices. If a growing input lacks required names, only the first of them is in the result.
// known may be nil: then there is no limit, and the result is not shared.
func (c *Class) portsOf(spec *nodebus.NodeSpec, known *shapes) []field {
	if !c.dynamic {
		return c.inputs
	}
	l := lister{in: spec.Inputs, found: make([]*field, 0, len(c.inputs)+len(spec.Inputs))}
	l.add(c.inputs)
	if c.rest {
		l.addOthers(c, spec)
	}
	if known == nil {
		return l.ports()
	}
	at := shape{c, l.key()}
	if ports, ok := known.known[at]; ok {
		return ports
	}
	known.count += len(l.found) + len(l.others)
	if known.full = known.full || known.count > shapesMax; known.full {
		return nil
	}
	if known.known == nil {
		known.known = map[shape][]field{}
	}
	ports := l.ports()
	known.known[at] = ports
	return ports
}

// lister finds the declared fields that a node has.
type lister struct {
	in     nodebus.Inputs
	found  []*field
	rest   *field   // takes others
	others []string // the inputs that the class does not declare
}

func (l *lister) add(declared []field) {
	for i := range declared {
		f := &declared[i]
		switch d := f.dyn; {
		case d == nil:
			l.found = append(l.found, f)
		case f.Grow != nil:
			l.addElements(d.elements)
		case f.Cases != nil:
			l.found = append(l.found, f)
			if k := f.caseOf(l.in[f.Name]); k >= 0 {
				l.add(d.cases[k])
			}
		}
	}
}

func (l *lister) addElements(elements []field) {
	lacks := false
	for k := range elements {
		e := &elements[k]
		_, given := l.in[e.Name]
		if given || e.Kind == PortRequired && !lacks {
			l.found = append(l.found, e)
			lacks = lacks || !given
		}
	}
}

// addOthers finds the inputs that the class does not declare.
func (l *lister) addOthers(c *Class, spec *nodebus.NodeSpec) {
	names := map[string]bool{}
	for _, f := range l.found {
		names[f.Name] = !f.isSet()
	}
	l.rest = &c.inputs[slices.IndexFunc(c.inputs, func(f field) bool { return f.Rest })]
	for _, name := range spec.InputNames() {
		if !names[name] && !c.isBelow(name) {
			l.others = append(l.others, name)
		}
	}
}

// key returns a text that is different for different ports.
func (l *lister) key() string {
	key := make([]byte, 0, 4*len(l.found))
	for _, f := range l.found {
		key = binary.AppendUvarint(key, uint64(f.number)+1)
	}
	key = append(key, 0)
	for _, name := range l.others {
		key = value.AppendText(key, name)
	}
	return string(key)
}

func (l *lister) ports() []field {
	ports := make([]field, 0, len(l.found)+len(l.others))
	for _, f := range l.found {
		ports = append(ports, *f)
	}
	for _, name := range l.others {
		f := *l.rest.dyn.element
		f.Name, f.local, f.parent, f.Kind = name, name, l.rest, PortOptional
		f.Default, f.defaultValue = nil, nil
		ports = append(ports, f)
	}
	return ports
}

// specOf returns the node of a [Class.Call], with the order of its inputs in the prompt.
func (c *Class) specOf(ctx *nodebus.Context, in nodebus.Inputs) *nodebus.NodeSpec {
	spec := &nodebus.NodeSpec{ID: ctx.UniqueID(), Inputs: in}
	if !c.rest {
		return spec
	}
	if n := nodeOf(ctx); n != nil {
		spec.OrderInputs(n.InputNames()...)
	}
	return spec
}

// nodeOf returns the node of a [Class.Call] as the prompt has it; nil if it does not have it.
func nodeOf(ctx *nodebus.Context) *nodebus.NodeSpec {
	kind, find := "PROMPT", positionOf
	if p := ctx.Place(); p.RealID != "" && p.RealID != p.UniqueID {
		kind, find = "DYNPROMPT", scan // which are new in each call
	}
	nodes, _ := ctx.Hidden(kind).(nodebus.Nodes)
	if i := find(nodes, ctx.UniqueID()); i >= 0 {
		return &nodes[i]
	}
	return nil
}

// isBelow reports whether an input of this name is below a dynamic input of the class.
func (c *Class) isBelow(name string) bool {
	if !c.dynamic || !strings.Contains(name, ".") {
		return false
	}
	return slices.ContainsFunc(c.inputs, func(f field) bool {
		return (f.Grow != nil || f.Cases != nil) && len(name) > len(f.Name) && name[len(f.Name)] == '.' && strings.HasPrefix(name, f.Name)
	})
}

// InputsOf returns the inputs that a node has, without those that the executor sets. For a class without
// dynamic inputs, they are the Inputs of its Schema. In the place of an input that grows, there
// are the inputs that spec gives for it, and the first required input that spec lacks. The
// inputs of a choice follow their drop-down. In the place of a Rest, there are the inputs that
// the class does not declare. The names are as in the prompt, for example "images.image0".
func (c *Class) InputsOf(spec nodebus.NodeSpec) []Port {
	var ports []Port
	for _, f := range c.portsOf(&spec, nil) {
		if !f.isSet() {
			ports = append(ports, f.Port)
		}
	}
	return ports
}
