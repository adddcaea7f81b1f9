package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/jsonenc"
)

// entryJSON is an entry of /object_info. Its members are loose: ComfyUI passes on whatever a
// class says about itself.
type entryJSON struct {
	Input loose[struct {
		Required, Optional, Hidden loose[members]
	}]
	InputOrder loose[struct {
		Required, Optional, Hidden loose[[]string]
	}] `json:"input_order"`
	IsInputList loose[bool] `json:"is_input_list"`

	Output           json.RawMessage
	OutputIsList     loose[[]bool]          `json:"output_is_list"`
	OutputName       texts                  `json:"output_name"`
	OutputTooltips   loose[[]loose[string]] `json:"output_tooltips"`
	OutputMatchtypes loose[[]loose[string]] `json:"output_matchtypes"`

	Name        loose[string]
	DisplayName loose[string] `json:"display_name"`
	Description loose[string]
	Category    loose[string]
	Module      loose[string] `json:"python_module"`
	OutputNode  loose[bool]   `json:"output_node"`

	APINode      loose[bool]     `json:"api_node"`
	PriceBadge   json.RawMessage `json:"price_badge"`
	Intermediate loose[bool]     `json:"has_intermediate_output"`
	Search       loose[[]string] `json:"search_aliases"`
	Essentials   loose[string]   `json:"essentials_category"`

	Deprecated, Experimental loose[bool]
	DevOnly                  loose[bool] `json:"dev_only"`
}

// info returns what the entry says about the class beside its ports.
func (e *entryJSON) info() nodebus.Info {
	return nodebus.Info{
		Name: e.Name.v, Title: e.DisplayName.v, Category: e.Category.v, Description: e.Description.v, Output: e.OutputNode.v,
		Intermediate: e.Intermediate.v, Deprecated: e.Deprecated.v, Experimental: e.Experimental.v, DevOnly: e.DevOnly.v,
		Search: e.Search.v, Essentials: e.Essentials.v, Module: e.Module.v,
	}
}

// UnmarshalJSON reads an entry of /object_info, as [Schema.MarshalJSON] or ComfyUI writes it,
// with classes of either kind. [NewClass] makes a class of the schema.
//
// MarshalJSON then writes what was read, with these exceptions: members that Schema does not
// have are lost. A choice that is a list or an object is lost. Hidden inputs
// become plain strings, and required inputs come before optional ones. A description that is
// not text becomes "". The name of an output that is not text becomes its type. A drop-down with
// several choices gets the object multi_select, without which no front end draws it.
//
// An input of a kind that Schema does not have, and a growing input or a drop-down with cases
// that is not complete, is an input whose Type is the name of the kind, and whose options are
// kept. The same is true for a drop-down whose choices come from an address. If is_input_list
// is true, every input has List.
//
// UnmarshalJSON refuses only what is not an object, because ComfyUI describes a class whatever
// the class says about itself. An input or output that names no type has an empty Type, and
// two inputs may have the same name: NewClass refuses such a Schema, and says which input is wrong.
// If output is a text and not a list, each letter is the type of an output, as in ComfyUI.
func (s *Schema) UnmarshalJSON(data []byte) error {
	var e entryJSON
	if err := json.Unmarshal(data, &e); err != nil {
		return fmt.Errorf("nodebus: not an entry of /object_info: %w", err)
	}
	read := Schema{Info: e.info()}
	if read.APINode = e.APINode.v; isObject(e.PriceBadge) {
		read.PriceBadge = e.PriceBadge
	}
	in, order := e.Input.v, e.InputOrder.v
	for _, group := range []struct {
		kind  PortKind
		ports members
		order []string
	}{
		{PortRequired, in.Required.v, order.Required.v},
		{PortOptional, in.Optional.v, order.Optional.v},
		{PortHidden, in.Hidden.v, order.Hidden.v},
	} {
		read.Inputs = append(read.Inputs, readInputs(group.kind, group.ports.inOrder(group.order), 0)...)
	}
	if e.IsInputList.v {
		takeLists(read.Inputs)
	}
	for i, spec := range listOrLetters(e.Output) {
		read.Outputs = append(read.Outputs, e.output(i, spec))
	}
	*s = read
	return nil
}

// isObject reports whether text is a JSON object.
func isObject(text json.RawMessage) bool {
	return bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) && json.Valid(text)
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

// output returns output number i, whose type is spec.
func (e *entryJSON) output(i int, spec json.RawMessage) (p Port) {
	p.Type, p.Choices = readType(spec)
	p.Name = at(e.OutputName.v, i)
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
	return p
}

// texts is a list of texts, or a text, whose letters it lists. An element that is not a text
// is "".
type texts struct{ v []string }

// UnmarshalJSON never fails.
func (t *texts) UnmarshalJSON(data []byte) error {
	t.v = nil
	for _, e := range listOrLetters(data) {
		var text loose[string]
		_ = text.UnmarshalJSON(e)
		t.v = append(t.v, text.v)
	}
	return nil
}

// listOrLetters returns the elements of a list, or the letters of a text, as Python does when
// an author writes ("STRING") for ("STRING",). Anything else has no elements.
func listOrLetters(data json.RawMessage) (list []json.RawMessage) {
	var text string
	if json.Unmarshal(data, &list) == nil || json.Unmarshal(data, &text) != nil {
		return list
	}
	for _, letter := range text {
		list = append(list, jsonenc.String(nil, string(letter)))
	}
	return list
}

// at returns element i of a list, or a zero value if the list is shorter.
func at[T any](list []T, i int) (v T) {
	if i < len(list) {
		v = list[i]
	}
	return v
}

// readInputs reads inputs of one kind. depth says how many inputs they are inside.
func readInputs(kind PortKind, all members, depth int) (ports []Port) {
	for _, m := range all {
		p := Port{Name: m.name, Kind: kind}
		if kind == PortHidden {
			p.Type = readHidden(m.value)
		} else {
			p.read(m.value, depth)
		}
		ports = append(ports, p)
	}
	return ports
}

// readHidden reads the name of the value of a hidden input: a text, or a list that begins with
// the text. It returns "" for anything else, which ComfyUI ignores.
func readHidden(spec json.RawMessage) string {
	var list []json.RawMessage
	if json.Unmarshal(spec, &list) == nil && len(list) > 0 {
		spec = list[0]
	}
	var kind loose[string]
	_ = kind.UnmarshalJSON(spec)
	return kind.v
}

// read reads [type, options]. As in ComfyUI, the options may be missing.
func (p *Port) read(spec json.RawMessage, depth int) {
	var list []json.RawMessage
	if json.Unmarshal(spec, &list) != nil {
		list = []json.RawMessage{spec}
	}
	p.Type, p.Choices = readType(at(list, 0))
	var options members
	if options.UnmarshalJSON(at(list, 1)) != nil {
		options = nil // only a front end reads what is not an object
	}
	p.readOptions(options, depth)
}

// readType reads the type of a port: its name, or the choices of a drop-down. The type is ""
// if spec is neither.
func readType(spec json.RawMessage) (typ string, choices func() []any) {
	if json.Unmarshal(spec, &typ) == nil && typ != "" {
		return typ, nil
	}
	if list, _ := readChoices(spec); list != nil {
		return "COMBO", list
	}
	return "", nil
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
		case nil, string, bool:
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
