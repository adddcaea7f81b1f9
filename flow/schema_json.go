package flow

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// MarshalJSON returns the description of the class as an entry of /object_info. It calls
// Choices of drop-downs. If one panics, the error names the input.
func (s Schema) MarshalJSON() ([]byte, error) {
	input, order, err := s.inputsJSON()
	if err != nil {
		return nil, err
	}
	types, lists, names, tips := []any{}, []bool{}, []string{}, []string{}
	for i := range s.Outputs {
		p := &s.Outputs[i]
		typ, _, err := p.Config()
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", p.Name, err)
		}
		types, lists, names = append(types, typ), append(lists, p.List), append(names, p.Name)
		tip, _ := p.option("tooltip").(string)
		tips = append(tips, tip)
	}
	var o jsonObject
	o.add("input", input)
	o.add("input_order", order)
	o.add("is_input_list", s.takesLists())
	o.add("output", types)
	o.add("output_is_list", lists)
	o.add("output_name", names)
	o.add("name", s.Name)
	o.add("display_name", s.Title)
	o.add("description", s.Description)
	o.add("python_module", cmp.Or(s.Module, coreModule))
	o.add("category", s.Category)
	o.add("output_node", s.Output)
	o.add("has_intermediate_output", s.Intermediate)
	if slices.ContainsFunc(tips, func(tip string) bool { return tip != "" }) {
		o.add("output_tooltips", tips)
	}
	if ids := matchTypes(s.Outputs); ids != nil {
		o.add("output_matchtypes", ids)
	}
	if s.Deprecated {
		o.add("deprecated", true)
	}
	if s.Experimental {
		o.add("experimental", true)
	}
	if s.DevOnly {
		o.add("dev_only", true)
	}
	o.add("search_aliases", s.Search)
	if s.Essentials != "" {
		o.add("essentials_category", s.Essentials)
	}
	if s.APINode {
		o.add("api_node", true)
	}
	if s.PriceBadge != nil {
		o.add("price_badge", s.PriceBadge)
	}
	return o.MarshalJSON()
}

// inputsJSON returns the inputs by kind, and the order of their names.
func (s *Schema) inputsJSON() (input, order jsonObject, err error) {
	for _, kind := range []PortKind{PortRequired, PortOptional, PortHidden} {
		var ports jsonObject
		names := []string{}
		for i := range s.Inputs {
			p := &s.Inputs[i]
			if p.Kind == kind && !p.Rest { // clients know nothing of a rest field
				config, err := p.configJSON()
				if err != nil {
					return input, order, fmt.Errorf("input %s: %w", p.Name, err)
				}
				ports.add(p.Name, config)
				names = append(names, p.Name)
			}
		}
		if len(names) > 0 || kind == PortRequired {
			input.add(string(kind), ports)
			order.add(string(kind), names)
		}
	}
	return input, order, nil
}

// coreModule is the default of Info.Module.
const coreModule = "nodes"

// takesLists reports whether some input takes a whole list, so that the node is called once
// for all elements. ComfyUI's classes have one flag for all inputs.
func (s *Schema) takesLists() bool {
	return slices.ContainsFunc(s.Inputs, takesList)
}

// option returns the value of an option; nil if the port does not have it.
func (p *Port) option(name string) any {
	for _, o := range p.Options {
		if o.Name == name {
			return o.Value
		}
	}
	return nil
}

// configJSON returns the input as [type, options], with the options in the order of the
// declaration. A hidden input is the name of the value that the executor sets.
func (p *Port) configJSON() (any, error) {
	if p.Kind == PortHidden {
		return p.Type, nil
	}
	typ, all, err := p.Config()
	if err != nil {
		return nil, err
	}
	var options jsonObject
	for _, o := range p.Options {
		options.add(o.Name, o.Value)
	}
	for _, own := range []string{"multiselect", "options", "multi_select", "template"} {
		if v, ok := all[own]; ok && !slices.ContainsFunc(p.Options, func(o PortOption) bool { return o.Name == own }) {
			options.add(own, v)
		}
	}
	return []any{typ, options}, nil
}

// Config returns the input in the form of the wire: its type, or the choices of a
// drop-down, and its options. If Choices fails, Config returns the error of
// [Port.ListChoices] and an empty list of choices. What an input with Grow, Cases or Match
// stands for is a [json.RawMessage], because its order counts.
func (p Port) Config() (typ any, options map[string]any, err error) {
	options = make(map[string]any, len(p.Options))
	for _, o := range p.Options {
		options[o.Name] = o.Value
	}
	if p.Grow != nil || p.Cases != nil || p.Match != nil {
		typ, option, v, err := p.dynamicConfig()
		options[option] = v
		return typ, options, err
	}
	if p.Choices == nil {
		return p.Type, options, nil
	}
	choices, err := p.ListChoices()
	if choices == nil {
		choices = []any{}
	}
	if p.Multi {
		options["multiselect"] = true
		if options["multi_select"] == nil { // a front end draws several choices only with it
			options["multi_select"] = map[string]any{}
		}
	}
	if p.Combo || p.Multi {
		options["options"] = choices
		return p.Type, options, err
	}
	return choices, options, err
}

// config returns [type, options] for the description of a problem. It ignores an
// error of Choices, which is reported elsewhere.
func (p *Port) config() []any {
	typ, options, _ := p.Config()
	return []any{typ, options}
}

// jsonObject is a JSON object whose members keep their order. The zero value is {}.
type jsonObject struct {
	members []byte
	err     error // the first error
}

// add adds a member.
func (o *jsonObject) add(name string, v any) {
	if o.err != nil {
		return
	}
	text, err := jsonenc.Marshal(v)
	if err != nil {
		o.err = fmt.Errorf("%s: %w", name, err)
		return
	}
	if len(o.members) > 0 {
		o.members = append(o.members, ',')
	}
	o.members = append(jsonenc.String(o.members, name), ':')
	o.members = append(o.members, text...)
}

// MarshalJSON returns the object, or the first error of add.
func (o jsonObject) MarshalJSON() ([]byte, error) {
	return slices.Concat([]byte{'{'}, o.members, []byte{'}'}), o.err
}
