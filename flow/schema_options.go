package flow

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/nodebus/nodebus/internal/value"
)

// maxNesting bounds how many drop-downs with cases may be inside each other.
const maxNesting = 16

// readOptions sets the options of an input, and what follows from them.
func (p *Port) readOptions(options members, depth int) {
	if own := p.readDynamic(options, depth); own != "" {
		options = options.without(own)
	} else if p.Type == "COMBO" && p.Choices == nil {
		// choices that come from an address are not known here
		choices, all := readChoices(options.get("options"))
		if all && (len(choices()) > 0 || !options.has("remote")) {
			p.Choices, p.Combo = choices, true
			options = options.without("options")
		}
	}
	for _, m := range options {
		v := readScalar(m.value)
		p.Options = append(p.Options, PortOption{m.name, v})
		if v == nil {
			continue
		}
		switch m.name {
		case "lazy":
			p.Lazy = v == true
		case "rawLink":
			p.Raw = v == true && p.Choices == nil
		case "multiselect":
			p.Multi = v == true && p.Choices != nil
		case "min":
			p.Min = p.readLimit(v)
		case "max":
			p.Max = p.readLimit(v)
		case "default":
			p.Default = readDefault(v)
		}
	}
}

// readLimit returns a limit; nil if it limits nothing: it is too big for a float64, or the
// input is not a number.
func (p *Port) readLimit(v any) any {
	n, isNumber := v.(json.Number)
	if !isNumber || p.Choices != nil || p.Type == "STRING" || p.Type == "BOOLEAN" {
		return nil
	}
	if limit, ok := numberOf(string(n)); ok {
		return limit
	}
	return nil
}

// readDefault returns a default as a Go value.
func readDefault(v any) any {
	switch v := v.(type) {
	case json.Number:
		n, ok := numberOf(string(v))
		if _, big := n.(json.Number); big || !ok {
			return nil // no input holds it
		}
		return n
	case json.RawMessage:
		list := jsonOrText(string(v))
		return value.Numbers(list)
	}
	return v
}

// readDynamic reads what a dynamic input stands for. own is the option that says it; "" if
// the input is not dynamic, or if the option is not complete.
func (p *Port) readDynamic(options members, depth int) (own string) {
	if depth > maxNesting {
		return ""
	}
	switch p.Type {
	case "COMFY_AUTOGROW_V3":
		if p.Grow = readGrow(options.get("template"), depth); p.Grow == nil {
			return ""
		}
		p.Type, own = "", "template"
	case "COMFY_DYNAMICCOMBO_V3":
		if p.Cases = readCases(options.get("options"), depth); p.Cases == nil {
			return ""
		}
		p.Type, own = "", "options"
	case "COMFY_MATCHTYPE_V3":
		var template struct {
			ID    string `json:"template_id"`
			Types string `json:"allowed_types"`
		}
		if json.Unmarshal(options.get("template"), &template) != nil || template.ID == "" {
			return ""
		}
		p.Match, own = &Match{ID: template.ID}, "template"
		if template.Types != "*" && template.Types != "" {
			p.Match.Types = strings.Split(template.Types, ",")
		}
	}
	return own
}

// readGrow reads the template of a growing input; nil if it is not complete. What is missing
// or out of range gets the value that it has in ComfyUI.
func readGrow(text json.RawMessage, depth int) *Grow {
	var template struct {
		Input    struct{ Required, Optional members }
		Prefix   string
		Names    []string
		Min, Max *int
	}
	if json.Unmarshal(text, &template) != nil {
		return nil
	}
	ports := readBoth(template.Input.Required, template.Input.Optional, depth)
	if len(ports) != 1 || ports[0].Grow != nil || ports[0].Cases != nil || template.Names == nil && template.Prefix == "" {
		return nil
	}
	g := &Grow{Element: ports[0], Prefix: template.Prefix, Min: 1, Max: 10}
	if template.Max != nil {
		g.Max = min(max(*template.Max, 1), growMax)
	}
	if template.Names != nil {
		g.Names, g.Prefix, g.Max = template.Names[:min(len(template.Names), growMax)], "", 0
	}
	if template.Min != nil {
		g.Min = max(*template.Min, 0)
	}
	if g.Min = min(g.Min, max(g.Max, len(g.Names))); g.wrong() != "" {
		return nil
	}
	return g
}

// readCases reads the choices of a drop-down with cases; nil if they are not complete.
func readCases(text json.RawMessage, depth int) (cases []Case) {
	var options []struct {
		Key    *string
		Inputs struct{ Required, Optional members }
	}
	if json.Unmarshal(text, &options) != nil {
		return nil
	}
	keys := map[string]bool{}
	for _, o := range options {
		if o.Key == nil || keys[*o.Key] {
			return nil
		}
		keys[*o.Key] = true
		cases = append(cases, Case{Key: *o.Key, Inputs: readBoth(o.Inputs.Required, o.Inputs.Optional, depth)})
	}
	return cases
}

// readBoth reads the inputs inside a dynamic input.
func readBoth(required, optional members, depth int) []Port {
	return append(readInputs(PortRequired, required, depth+1), readInputs(PortOptional, optional, depth+1)...)
}

// members is a JSON object whose members keep their order. A name that comes twice has the
// last value. null is an object without members.
type members []member

type member struct {
	name  string
	value json.RawMessage
}

// UnmarshalJSON reads an object.
func (m *members) UnmarshalJSON(data []byte) error {
	*m = nil
	dec := json.NewDecoder(bytes.NewReader(data))
	first, err := dec.Token()
	if err != nil || first == nil {
		return err
	}
	if first != json.Delim('{') {
		return errors.New("not an object")
	}
	at := map[string]int{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		text := name.(string) // the decoder returns no other token here
		if i, twice := at[text]; twice {
			(*m)[i].value = value
			continue
		}
		at[text] = len(*m)
		*m = append(*m, member{text, value})
	}
	return nil
}

func (m members) get(name string) json.RawMessage {
	for i := range m {
		if m[i].name == name {
			return m[i].value
		}
	}
	return nil
}

func (m members) has(name string) bool { return m.get(name) != nil }

func (m members) without(name string) members {
	return slices.DeleteFunc(slices.Clone(m), func(e member) bool { return e.name == name })
}

// inOrder returns the members in the order of names, and then the others.
func (m members) inOrder(names []string) members {
	rank := make(map[string]int, len(names))
	for i, name := range names {
		rank[name] = i - len(names)
	}
	sorted := slices.Clone(m)
	slices.SortStableFunc(sorted, func(a, b member) int { return rank[a.name] - rank[b.name] })
	return sorted
}

// loose is a member that counts only if it has the type T.
type loose[T any] struct{ v T }

// UnmarshalJSON ignores a value of another type.
func (l *loose[T]) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &l.v) != nil {
		var zero T
		l.v = zero
	}
	return nil
}
