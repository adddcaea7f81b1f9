package flow

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// The types of dynamic inputs on the wire.
const (
	growType  = "COMFY_AUTOGROW_V3"
	casesType = "COMFY_DYNAMICCOMBO_V3"
	matchType = "COMFY_MATCHTYPE_V3"
)

// dynamicConfig returns the type of a dynamic port, and the option that describes what it
// stands for. typ is "" for any other port.
func (p *Port) dynamicConfig() (typ, option string, v json.RawMessage, err error) {
	var o jsonObject
	switch {
	case p.Grow != nil:
		input, err := inputsJSON([]Port{p.Grow.Element})
		if err != nil {
			return "", "", nil, err
		}
		o.add("input", input)
		if p.Grow.Names != nil {
			o.add("names", p.Grow.Names)
			o.add("min", p.Grow.Min)
		} else {
			o.add("prefix", p.Grow.Prefix)
			o.add("min", p.Grow.Min)
			o.add("max", p.Grow.Max)
		}
		v, err = o.MarshalJSON()
		return growType, "template", v, err
	case p.Cases != nil:
		all := make([]jsonObject, len(p.Cases))
		for i := range p.Cases {
			inputs, err := inputsJSON(p.Cases[i].Inputs)
			if err != nil {
				return "", "", nil, fmt.Errorf("choice %s: %w", p.Cases[i].Key, err)
			}
			all[i].add("key", p.Cases[i].Key)
			all[i].add("inputs", inputs)
		}
		v, err = json.Marshal(all)
		return casesType, "options", v, err
	case p.Match != nil:
		types := strings.Join(p.Match.Types, ",")
		if types == "" {
			types = "*"
		}
		o.add("template_id", p.Match.ID)
		o.add("allowed_types", types)
		v, err = o.MarshalJSON()
		return matchType, "template", v, err
	}
	return "", "", nil, nil
}

// inputsJSON returns inputs in the form of the member input of an entry of /object_info.
func inputsJSON(ports []Port) (all jsonObject, err error) {
	for _, kind := range []PortKind{PortRequired, PortOptional} {
		var o jsonObject
		count := 0
		for i := range ports {
			if p := &ports[i]; p.Kind == kind || p.Kind == "" && kind == PortRequired {
				config, err := p.configJSON()
				if err != nil {
					return all, fmt.Errorf("input %s: %w", p.Name, err)
				}
				o.add(p.Name, config)
				count++
			}
		}
		if count > 0 || kind == PortRequired {
			all.add(string(kind), o)
		}
	}
	return all, nil
}

// matchTypes returns the member output_matchtypes: for each output the id of its Match, or
// null. It returns nil if no output has a Match.
func matchTypes(outputs []Port) (ids []any) {
	for i := range outputs {
		if m := outputs[i].Match; m != nil {
			if ids == nil {
				ids = make([]any, len(outputs))
			}
			ids[i] = m.ID
		}
	}
	return ids
}

// takesList reports whether an input, or an input that it stands for, takes a whole list.
func takesList(p Port) bool {
	return p.List || p.Grow != nil && takesList(p.Grow.Element) || slices.ContainsFunc(p.Cases, func(c Case) bool {
		return slices.ContainsFunc(c.Inputs, takesList)
	})
}
