package flow

import (
	"cmp"
	"slices"
)

// fieldOfPort returns the field of an input of a class made at run time. The port must have
// passed the checks.
func fieldOfPort(p Port) field {
	p.complete()
	f := field{Port: p, elem: elemOf(&p)}
	if p.Default != nil {
		f.defaultValue, _ = f.take(p.Default) // the check has done the same
	}
	f.setDynamic(fieldOfPort)
	return f
}

// complete sets what follows from other members, and adds the options that clients need.
func (p *Port) complete() {
	p.Kind = cmp.Or(p.Kind, PortRequired)
	switch {
	case p.Match != nil:
		p.Type = matchType
	case p.Choices != nil:
		p.Type, p.Combo = "COMBO", p.Combo || p.Multi
	case p.Rest:
		p.Type, p.Kind = cmp.Or(p.Type, "*"), PortOptional
	}
	p.Options = slices.Clip(p.Options)
	add := func(name string, v any, is bool) {
		if is && !slices.ContainsFunc(p.Options, func(o PortOption) bool { return o.Name == name }) {
			p.Options = append(p.Options, PortOption{name, v})
		}
	}
	add("default", p.Default, p.Default != nil)
	add("min", p.Min, p.Min != nil)
	add("max", p.Max, p.Max != nil)
	add("rawLink", true, p.Raw)
	add("lazy", true, p.Lazy)
}
