package flow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/pyfmt"
	"github.com/nodebus/nodebus/internal/value"
)

// setDynamic makes the fields that an input of a class made at run time stands for. of returns
// the field of a port; for a port that is itself dynamic, it calls setDynamic. The port must
// have passed wrongDynamic.
func (f *field) setDynamic(of func(Port) field) {
	switch {
	case f.Grow != nil:
		g := *f.Grow
		e := of(g.Element)
		e.force()
		g.Element = e.Port
		f.Grow, f.dyn = &g, &dynamic{element: &e}
	case f.Cases != nil:
		f.dyn, f.Cases = &dynamic{}, slices.Clone(f.Cases)
		for i := range f.Cases {
			inner := make([]field, len(f.Cases[i].Inputs))
			for k, p := range f.Cases[i].Inputs {
				inner[k] = of(p)
			}
			f.dyn.cases = append(f.dyn.cases, inner)
			f.Cases[i].Inputs = portsOf(inner)
		}
	case f.Rest:
		p := f.Port
		p.Rest, p.Kind = false, PortOptional
		e := of(p)
		f.dyn = &dynamic{element: &e}
	}
}

// wrongDynamic says what is wrong with what a port stands for, and the mend; "" if nothing is.
func (p *Port) wrongDynamic() string {
	kinds := 0
	for _, is := range []bool{p.Grow != nil, p.Cases != nil, p.Rest} {
		if is {
			kinds++
		}
	}
	switch {
	case kinds == 0:
		return ""
	case kinds > 1:
		return "has two of Grow, Cases and Rest; keep one"
	case p.Kind == PortHidden:
		return "is hidden, but stands for other inputs; choose one"
	case p.Grow != nil:
		e := &p.Grow.Element
		if e.Grow != nil || e.Cases != nil || e.Rest || e.Kind == PortHidden {
			return "has a Grow whose Element is not an ordinary input; write one with a Type"
		}
		if wrong := p.Grow.wrong(); wrong != "" {
			return "has a Grow that " + wrong
		}
	case p.Cases != nil:
		for i := range p.Cases {
			c := &p.Cases[i]
			if c.Key == "" || slices.ContainsFunc(p.Cases[:i], func(o Case) bool { return o.Key == c.Key }) {
				return fmt.Sprintf("has the choice %q, which is empty or comes twice; write another", c.Key)
			}
			if wrong := c.wrong(p.Name); wrong != "" {
				return fmt.Sprintf("has the choice %q, whose %s", c.Key, wrong)
			}
			for k := range c.Inputs {
				if wrong := c.Inputs[k].wrongDynamic(); wrong != "" {
					return fmt.Sprintf("has the choice %q, whose input %q %s", c.Key, c.Inputs[k].Name, wrong)
				}
			}
		}
	}
	return ""
}

// wrong says what is wrong with the inputs of a choice, and the mend; "" if nothing is. name is
// the name of the drop-down.
func (c *Case) wrong(name string) string {
	names := map[string]bool{name: true}
	for i := range c.Inputs {
		in := &c.Inputs[i]
		switch {
		case in.Kind == PortHidden:
			return fmt.Sprintf("input %q is hidden; declare it beside the drop-down", in.Name)
		case in.Rest:
			return fmt.Sprintf("input %q takes all others; declare it beside the drop-down", in.Name)
		case names[in.Name]:
			return fmt.Sprintf("input %q has the name of the drop-down or of another input of the choice; rename it", in.Name)
		case in.Name == "" || strings.Contains(in.Name, "."):
			return fmt.Sprintf("input %q has no name, or a dot in it; rename it", in.Name)
		}
		names[in.Name] = true
	}
	return ""
}

// growMax is the largest number of inputs that one input may stand for.
const growMax = 100

// wrong says what is wrong with the names and limits, and the mend; "" if nothing is.
func (g *Grow) wrong() string {
	if g.Names != nil {
		if len(g.Names) == 0 || len(g.Names) > growMax {
			return fmt.Sprintf("has %d names; write 1 to %d", len(g.Names), growMax)
		}
		for i, name := range g.Names {
			if name == "" || strings.Contains(name, ".") || slices.Contains(g.Names[:i], name) {
				return fmt.Sprintf("has the name %q, which is empty, has a dot or comes twice; write another", name)
			}
		}
		if g.Min < 0 || g.Min > len(g.Names) {
			return fmt.Sprintf("has the min %d; write 0 to %d, the number of names", g.Min, len(g.Names))
		}
		return ""
	}
	switch {
	case g.Prefix == "" || strings.Contains(g.Prefix, "."):
		return fmt.Sprintf("has the prefix %q, which is empty or has a dot; write another", g.Prefix)
	case g.Max < 1 || g.Max > growMax:
		return fmt.Sprintf("has the max %d; write 1 to %d", g.Max, growMax)
	case g.Min < 0 || g.Min > g.Max:
		return fmt.Sprintf("has the min %d; write 0 to %d, the max", g.Min, g.Max)
	}
	return ""
}

// force marks an input whose type has a widget as one that shows a socket instead. An input
// that grows has no room for a widget.
func (f *field) force() {
	switch f.Type {
	case "INT", "FLOAT", "STRING", "BOOLEAN", "COMBO":
	default:
		return
	}
	if f.option("forceInput") != nil {
		return
	}
	at := len(f.Options)
	if f.Lazy {
		at-- // lazy is the last option
	}
	f.Options = slices.Insert(f.Options, at, PortOption{"forceInput", true})
}

// newTree returns the inputs of a call of a function before they have values: nothing is
// linked to the inputs that grow. declared are the inputs of the class.
func newTree(declared []field) nodebus.Inputs {
	in := make(nodebus.Inputs, len(declared))
	plant(in, declared)
	return in
}

func plant(in nodebus.Inputs, declared []field) {
	for i := range declared {
		if f := &declared[i]; f.Grow != nil || f.Rest {
			in[f.last()] = []nodebus.Named[any]{}
		}
	}
}

// put stores the value of a live port in the inputs of a function. An input that grows and a
// rest field are a []nodebus.Named[any]. A drop-down with cases is a nodebus.Inputs that has the
// choice under the last name of the drop-down, and each input of the choice under its name; an
// optional one that is not given is nil. Ports must be stored in their order.
func (f *field) put(in nodebus.Inputs, v any) error {
	if f.parent != nil {
		in = f.parent.holder(in)
	}
	switch {
	case f.isElement():
		list, _ := in[f.parent.local].([]nodebus.Named[any])
		in[f.parent.local] = append(list, nodebus.Named[any]{Name: f.local, Value: v})
	case f.Cases != nil:
		k := f.caseOf(v)
		if k < 0 {
			return f.unknownCase(v)
		}
		inner := nodebus.Inputs{}
		for i := range f.dyn.cases[k] {
			inner[f.dyn.cases[k][i].local] = nil
		}
		plant(inner, f.dyn.cases[k])
		inner[f.local] = f.Cases[k].Key
		in[f.local] = inner
	default:
		in[f.last()] = v
	}
	return nil
}

// holder returns the object that has the inputs below a dynamic input; for an input that grows
// and for a rest field, the object that has the list.
func (f *field) holder(in nodebus.Inputs) nodebus.Inputs {
	if f.parent != nil {
		in = f.parent.holder(in)
	}
	if f.Cases == nil {
		return in
	}
	inner, _ := in[f.local].(nodebus.Inputs)
	return inner
}

// unknownCase is the error of a choice that does not exist.
func (f *field) unknownCase(v any) error {
	return &nodebus.InputError{Input: f.Name, Err: fmt.Errorf("'%s' is not in %s", value.Shorten(pyfmt.Str(v)), describeList(f.Choices()))}
}

// names returns the names of the inputs that a growing input may stand for.
func (g *Grow) names() []string {
	if g.Names != nil {
		return g.Names
	}
	names := make([]string, g.Max)
	for k := range names {
		names[k] = g.Prefix + strconv.Itoa(k)
	}
	return names
}
