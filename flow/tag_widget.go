package flow

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/nodebus/nodebus/internal/value"
)

// hints reads the tag widget. The tag lists options that only a front end understands, as
// name=value. A name without a value means true. A front end reads some options of a
// drop-down with several choices from an object of their own.
func (f *field) hints(t reflect.Type, sf reflect.StructField) (all []PortOption) {
	tag, ok := sf.Tag.Lookup("widget")
	if !ok {
		return nil
	}
	inner := map[string]any{}
	for rest, more := tag, true; more; {
		var name, text string
		var v any = true
		if at := strings.IndexAny(rest, ",="); at >= 0 && rest[at] == '=' {
			name = rest[:at]
			if v, rest, more = cutJSON(rest[at+1:]); v == nil {
				text, rest, more = strings.Cut(rest, ",")
				v = text
			}
		} else {
			name, rest, more = strings.Cut(rest, ",")
		}
		switch {
		case name == "":
			panic(mistake(t, sf.Name, "tag `widget:%q` has an option without a name; write name=value, or a name for true", tag))
		case strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{"):
			panic(mistake(t, sf.Name, "tag `widget:%q` has the value %s, which begins as JSON but is none; correct it, or write a text in double quotes", tag, text))
		}
		if f.Multi && (name == "placeholder" || name == "chip") {
			inner[name] = v
			continue
		}
		all = append(all, PortOption{name, v})
	}
	if len(inner) > 0 {
		all = append(all, PortOption{"multi_select", inner})
	}
	return all
}

// cutJSON returns the JSON value at the beginning of text, which may contain commas, and what comes
// after the comma behind the value. more is false if there is no comma. If text does not begin
// with such a value, cutJSON returns nil and text.
func cutJSON(text string) (v any, rest string, more bool) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return nil, text, false
	}
	rest = strings.TrimLeft(text[dec.InputOffset():], " ")
	after, more := strings.CutPrefix(rest, ",")
	if rest != "" && !more {
		return nil, text, false
	}
	if v == nil {
		v = json.RawMessage("null")
	}
	return value.Numbers(v), after, more
}
