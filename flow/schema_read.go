package flow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nodebus/nodebus"
)

// entryJSON is an entry of /object_info. Members that only a front end reads are loose: a
// program may have written anything.
type entryJSON struct {
	Input struct {
		Required, Optional, Hidden members
	}
	InputOrder struct {
		Required, Optional, Hidden []string
	} `json:"input_order"`
	IsInputList loose[bool] `json:"is_input_list"`

	Output           []json.RawMessage
	OutputIsList     loose[[]bool]          `json:"output_is_list"`
	OutputName       loose[[]loose[string]] `json:"output_name"`
	OutputTooltips   loose[[]loose[string]] `json:"output_tooltips"`
	OutputMatchtypes loose[[]loose[string]] `json:"output_matchtypes"`

	Name        string
	DisplayName loose[string] `json:"display_name"`
	Description loose[string]
	Category    loose[string]
	Module      loose[string] `json:"python_module"`
	OutputNode  loose[bool]   `json:"output_node"`

	Intermediate loose[bool]     `json:"has_intermediate_output"`
	Search       loose[[]string] `json:"search_aliases"`
	Essentials   loose[string]   `json:"essentials_category"`

	Deprecated, Experimental loose[bool]
}

// info returns what the entry says about the class beside its ports.
func (e *entryJSON) info() nodebus.Info {
	return nodebus.Info{
		Name: e.Name, Title: e.DisplayName.v, Category: e.Category.v, Description: e.Description.v, Output: e.OutputNode.v,
		Intermediate: e.Intermediate.v, Deprecated: e.Deprecated.v, Experimental: e.Experimental.v,
		Search: e.Search.v, Essentials: e.Essentials.v, Module: e.Module.v,
	}
}

// UnmarshalJSON reads an entry of /object_info, as [Schema.MarshalJSON] or ComfyUI writes it,
// with classes of either kind. [NewClass] makes a class of the schema.
//
// MarshalJSON then writes what was read, with these exceptions: members that Schema does not
// have are lost. A choice that is neither text, number nor truth value is lost. Hidden inputs
// become plain strings, and required inputs come before optional ones. A description that is
// not text becomes "". The name of an output that is not text becomes its type. A drop-down with
// several choices gets the object multi_select, without which no front end draws it.
//
// An input of a kind that Schema does not have, and a growing input or a drop-down with cases
// that is not complete, is an input whose Type is the name of the kind, and whose options are
// kept. The same is true for a drop-down whose choices come from an address. If is_input_list
// is true, every input has List.
func (s *Schema) UnmarshalJSON(data []byte) error {
	var e entryJSON
	if err := json.Unmarshal(data, &e); err != nil {
		return fmt.Errorf("nodebus: not an entry of /object_info: %w", err)
	}
	read := Schema{Info: e.info()}
	for _, group := range []struct {
		kind  PortKind
		ports members
		order []string
	}{
		{PortRequired, e.Input.Required, e.InputOrder.Required},
		{PortOptional, e.Input.Optional, e.InputOrder.Optional},
		{PortHidden, e.Input.Hidden, e.InputOrder.Hidden},
	} {
		ports, err := readInputs(group.kind, group.ports.inOrder(group.order), 0)
		if err != nil {
			return fmt.Errorf("nodebus: class %q: %w", e.Name, err)
		}
		read.Inputs = append(read.Inputs, ports...)
	}
	if e.IsInputList.v {
		takeLists(read.Inputs)
	}
	for i := range e.Output {
		p, err := e.output(i)
		if err != nil {
			return fmt.Errorf("nodebus: class %q: output %d: %w", e.Name, i, err)
		}
		read.Outputs = append(read.Outputs, p)
	}
	*s = read
	return nil
}

// takeLists makes every input a List: inputs that stand for others have lists inside.
func takeLists(ports []Port) {
	for i := range ports {
		p := &ports[i]
		switch {
		case p.Grow != nil:
			p.Grow.Element.List = true
		case p.Cases != nil:
			for k := range p.Cases {
				takeLists(p.Cases[k].Inputs)
			}
		default:
			p.List = p.Kind != PortHidden
		}
	}
}

// output returns output number i.
func (e *entryJSON) output(i int) (p Port, err error) {
	if p.Type, p.Choices, err = readType(e.Output[i]); err != nil {
		return p, err
	}
	p.Name = at(e.OutputName.v, i).v
	p.List = at(e.OutputIsList.v, i)
	if p.Name == "" {
		p.Name = p.Type
	}
	if tip := at(e.OutputTooltips.v, i).v; tip != "" {
		p.Options = []PortOption{{"tooltip", tip}}
	}
	if id := at(e.OutputMatchtypes.v, i).v; id != "" {
		p.Match = &Match{ID: id}
	}
	return p, nil
}

// at returns element i of a list, or a zero value if the list is shorter.
func at[T any](list []T, i int) (v T) {
	if i < len(list) {
		v = list[i]
	}
	return v
}

// readInputs reads inputs of one kind. depth says how many inputs they are inside.
func readInputs(kind PortKind, all members, depth int) (ports []Port, err error) {
	for _, m := range all {
		p := Port{Name: m.name, Kind: kind}
		if kind == PortHidden {
			p.Type, err = readHidden(m.value)
		} else {
			err = p.read(m.value, depth)
		}
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", m.name, err)
		}
		ports = append(ports, p)
	}
	return ports, nil
}

// readHidden reads the name of the value of a hidden input: a text, or a list that contains
// the text.
func readHidden(spec json.RawMessage) (kind string, err error) {
	var list []json.RawMessage
	if json.Unmarshal(spec, &list) == nil && len(list) > 0 {
		spec = list[0]
	}
	if json.Unmarshal(spec, &kind) != nil || kind == "" {
		return "", errors.New("a hidden input is not the name of a value")
	}
	return kind, nil
}

// read reads [type, options]. As in ComfyUI, the options may be missing.
func (p *Port) read(spec json.RawMessage, depth int) (err error) {
	var list []json.RawMessage
	if json.Unmarshal(spec, &list) != nil {
		list = []json.RawMessage{spec}
	}
	if len(list) == 0 {
		return errors.New("the declaration is empty; write a type")
	}
	if p.Type, p.Choices, err = readType(list[0]); err != nil {
		return err
	}
	var options members
	if len(list) > 1 && options.UnmarshalJSON(list[1]) != nil {
		options = nil // only a front end reads what is not an object
	}
	p.readOptions(options, depth)
	return nil
}

// readType reads the type of a port: its name, or the choices of a drop-down.
func readType(spec json.RawMessage) (typ string, choices func() []any, err error) {
	if json.Unmarshal(spec, &typ) == nil && typ != "" {
		return typ, nil, nil
	}
	if list, _ := readChoices(spec); list != nil {
		return "COMBO", list, nil
	}
	return "", nil, fmt.Errorf("the type is %s; write a name or a list of choices", shortJSON(spec))
}

// readChoices returns the choices of a drop-down; nil if spec is not a list. all is true if
// every element of the list is a choice.
func readChoices(spec json.RawMessage) (choices func() []any, all bool) {
	var list []json.RawMessage
	if json.Unmarshal(spec, &list) != nil || list == nil {
		return nil, false
	}
	values := []any{}
	for _, e := range list {
		switch v := readScalar(e).(type) {
		case string, bool:
			values = append(values, v)
		case json.Number:
			switch n, _ := numberOf(string(v)); n.(type) {
			case int64:
				values = append(values, n)
			default:
				if f, err := v.Float64(); err == nil {
					values = append(values, f)
				}
			}
		}
	}
	return func() []any { return slices.Clone(values) }, len(values) == len(list)
}

// readScalar returns null, a truth value, a text or a number; otherwise the JSON text.
func readScalar(text json.RawMessage) (v any) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil
	}
	switch v.(type) {
	case nil, bool, string, json.Number:
		return v
	}
	var short bytes.Buffer
	_ = json.Compact(&short, text) // the decoder has read it
	return json.RawMessage(short.Bytes())
}

func shortJSON(text json.RawMessage) string {
	if len(text) > 40 {
		return string(text[:40]) + "…"
	}
	return string(text)
}
