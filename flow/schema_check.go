package flow

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// schemaChecker checks the schema of a class made at run time. Register checks the same of
// a struct, where the tags are the schema.
type schemaChecker struct{ class string }

func (k *schemaChecker) wrong(port, wrong, mend string, args ...any) error {
	return &SchemaError{Class: k.class, Port: port, Wrong: fmt.Sprintf(wrong, args...), Mend: mend}
}

// fields returns the inputs and outputs of the class. It keeps what the ports point to.
func (k *schemaChecker) fields(ins, outs []Port) (inputs, outputs []field, err error) {
	if k.class == "" {
		return nil, nil, k.wrong("", "has no name", "set Info.Name")
	}
	ports, err := k.inputs("", ins)
	if err != nil {
		return nil, nil, err
	}
	for i := range ports {
		inputs = append(inputs, fieldOfPort(ports[i]))
	}
	for i, p := range outs {
		if err := k.output(cmp.Or(p.Name, strconv.Itoa(i)), &p); err != nil {
			return nil, nil, err
		}
		p.complete()
		p.Kind, p.Name = "", cmp.Or(p.Name, p.Type)
		outputs = append(outputs, field{Port: p, elem: elemOf(&p), special: true})
	}
	return inputs, outputs, nil
}

// inputs checks the inputs of a class, or of a part of one whose names begin with within. It
// returns copies, with limits of the types that the executor compares.
func (k *schemaChecker) inputs(within string, ports []Port) (checked []Port, err error) {
	names := map[string]bool{}
	for i, p := range ports {
		at := within + p.Name
		switch {
		case p.Name == "":
			return nil, k.wrong(within+strconv.Itoa(i), "is an input without a name", "set Port.Name")
		case names[p.Name]:
			return nil, k.wrong(at, "is the name of two inputs", "rename one of them")
		case p.Kind != "" && p.Kind != PortRequired && p.Kind != PortOptional && (p.Kind != PortHidden || within != ""):
			return nil, k.wrong(at, "has the kind %q, which is not possible here", "use PortRequired, PortOptional, or PortHidden for an input of the class itself", p.Kind)
		}
		names[p.Name] = true
		if err := k.input(at, &p); err != nil {
			return nil, err
		}
		checked = append(checked, p)
	}
	return checked, k.apart(within, checked)
}

// input checks an input, and converts its limits.
func (k *schemaChecker) input(at string, p *Port) error {
	if err := k.typed(at, p); err != nil || p.Kind == PortHidden {
		return err
	}
	for _, check := range []func(string, *Port) error{k.choices, k.limits, k.initial, k.options, k.dynamic} {
		if err := check(at, p); err != nil {
			return err
		}
	}
	return nil
}

func (k *schemaChecker) output(at string, p *Port) error {
	switch {
	case p.Kind != "":
		return k.wrong(at, "is an output with the kind %q", "remove Kind: only inputs have one", p.Kind)
	case p.Lazy || p.Default != nil || p.Min != nil || p.Max != nil:
		return k.wrong(at, "is an output with a default, with limits, or lazy", "remove Default, Min, Max and Lazy: only inputs have them")
	}
	if err := k.typed(at, p); err != nil {
		return err
	}
	if p.Grow != nil || p.Cases != nil || p.Rest {
		return k.wrong(at, "is an output that stands for others", "remove Grow, Cases and Rest: only inputs have them")
	}
	for _, check := range []func(string, *Port) error{k.choices, k.options, k.match} {
		if err := check(at, p); err != nil {
			return err
		}
	}
	return nil
}

func (k *schemaChecker) typed(at string, p *Port) error {
	if p.Type == "" && p.Choices == nil && p.Grow == nil && p.Cases == nil && p.Match == nil && !p.Rest {
		return k.wrong(at, "has no type", `set Port.Type, for example "INT", "IMAGE", or "*" for every type`)
	}
	return nil
}

// choices calls the choices once. Later calls may return other choices.
func (k *schemaChecker) choices(at string, p *Port) error {
	if p.Choices == nil {
		if p.Multi {
			return k.wrong(at, "takes several choices but has none", "set Choices, or remove Multi")
		}
		return nil
	}
	if p.Type != "" && p.Type != "COMBO" {
		return k.wrong(at, "has choices and the type %s", "remove Choices, or remove Type: a drop-down has the type COMBO", p.Type)
	}
	list, err := p.ListChoices()
	if err != nil {
		return k.wrong(at, "has choices that fail: %v", "mend the function Choices", err)
	}
	if p.Raw {
		return k.wrong(at, "is a drop-down and has Raw", "remove Raw: a literal has no link")
	}
	for _, c := range list {
		switch c.(type) {
		case nil, string, int64, float64, bool:
		default:
			return k.wrong(at, "has the choice %v of type %T", "give strings, int64, float64, bool or nil", c, c)
		}
	}
	return nil
}

// limits checks Min and Max, and converts them to the types that the executor compares.
func (k *schemaChecker) limits(at string, p *Port) error {
	for _, l := range []struct {
		name  string
		limit *any
	}{{"Min", &p.Min}, {"Max", &p.Max}} {
		if *l.limit == nil {
			continue
		}
		if p.Choices != nil || p.Type == "STRING" || p.Type == "BOOLEAN" {
			return k.wrong(at, "has %s, which is for numbers", "remove the limit, or change the type "+p.Type, l.name)
		}
		n, ok := number(*l.limit)
		if !ok {
			return k.wrong(at, "has the limit %s: %v, which is not a finite number", "write a number", l.name, *l.limit)
		}
		*l.limit = n
	}
	if exceeds(p.Min, p.Max, +1) {
		return k.wrong(at, "has Min %v, which is bigger than Max %v; no value is possible", "change one of them", p.Min, p.Max)
	}
	return nil
}

// initial checks the default against the type and the limits, and converts it. It does not
// check against the choices, because they may change.
func (k *schemaChecker) initial(at string, p *Port) error {
	if p.Default == nil {
		return nil
	}
	v, err := holds(p, p.Default)
	switch {
	case err != nil:
		return k.wrong(at, "has the default %v: %v", "write a default of the type "+p.Type, p.Default, err)
	case p.Unchecked:
	case exceeds(v, p.Min, -1):
		return k.wrong(at, "has the default %v, which is smaller than Min %v", "write a default within the limits", v, p.Min)
	case exceeds(v, p.Max, +1):
		return k.wrong(at, "has the default %v, which is bigger than Max %v", "write a default within the limits", v, p.Max)
	}
	return nil
}

// holds converts a default to the value that a function gets.
func holds(p *Port, v any) (any, error) {
	f := field{Port: *p, elem: elemOf(p)}
	got, err := f.take(v)
	if err != nil || p.Choices == nil || p.List || p.Multi {
		return got, err
	}
	if _, basic := value.Basic(got); !basic {
		return nil, fmt.Errorf("a %T is no choice", v)
	}
	return got, nil
}

// options checks that clients can get the options.
func (k *schemaChecker) options(at string, p *Port) error {
	names := map[string]bool{}
	for _, o := range p.Options {
		switch {
		case o.Name == "":
			return k.wrong(at, "has an option without a name", "set PortOption.Name")
		case names[o.Name]:
			return k.wrong(at, "has the option %s twice", "remove one of them", o.Name)
		}
		names[o.Name] = true
		if _, err := encodeOption(o.Value); err != nil {
			return k.wrong(at, "has the option %s, which has no JSON form: %v", "write a value that encoding/json can encode", o.Name, err)
		}
	}
	if p.Default != nil {
		if _, err := encodeOption(p.Default); err != nil {
			return k.wrong(at, "has a default without a JSON form: %v", "write a value that encoding/json can encode", err)
		}
	}
	return nil
}

// encodeOption returns the JSON form of an option, whose MarshalJSON may be foreign.
func encodeOption(v any) (text []byte, err error) {
	err = nodebus.Protect(func() (err error) { text, err = json.Marshal(v); return err })
	return text, err
}
