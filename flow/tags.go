package flow

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// hiddenKinds lists the values that a `hidden` tag may name, and the Go types of the
// values.
var hiddenKinds = map[string]reflect.Type{
	"UNIQUE_ID":            reflect.TypeFor[string](),
	"PROMPT_ID":            reflect.TypeFor[string](),
	"PROMPT":               reflect.TypeFor[nodebus.Nodes](),
	"DYNPROMPT":            reflect.TypeFor[nodebus.Nodes](), // includes the nodes made at run time
	"EXTRA_PNGINFO":        reflect.TypeFor[any](),
	"AUTH_TOKEN_COMFY_ORG": reflect.TypeFor[string](),
	"API_KEY_COMFY_ORG":    reflect.TypeFor[string](),
}

// mistake returns the text of a panic of Register. It names the place and the
// mistake; the format must also say how to correct it.
func mistake(t reflect.Type, f string, format string, args ...any) string {
	return fmt.Sprintf("nodebus: node %s: field %s: %s", t, f, fmt.Sprintf(format, args...))
}

// fieldsOf returns the inputs of a node's struct, including the fields of embedded
// structs.
func fieldsOf(t reflect.Type, index []int) (fields []field) {
	for i := range t.NumField() {
		sf := t.Field(i)
		at := append(append([]int(nil), index...), i)
		if sf.Anonymous && sf.Type.Kind() == reflect.Struct && sf.Tag.Get("in") == "" && !isUnion(sf.Type) {
			fields = append(fields, fieldsOf(sf.Type, at)...)
			continue
		}
		if !sf.IsExported() || sf.Tag.Get("in") == "-" {
			continue
		}
		f, is := dynamicFieldOf(t, sf, at)
		if !is {
			f = fieldOf(t, sf, at)
		}
		fields = append(fields, f)
	}
	return fields
}

func fieldOf(t reflect.Type, sf reflect.StructField, index []int) field {
	f := field{index: index, elem: sf.Type}
	f.Kind = PortRequired
	name, flags, _ := strings.Cut(sf.Tag.Get("in"), ",")
	f.Name = cmp.Or(name, snake(sf.Name))
	if h, ok := sf.Tag.Lookup("hidden"); ok {
		gives, exists := hiddenKinds[h]
		if !exists {
			panic(mistake(t, sf.Name, "tag `hidden:%q` names an unknown value; use one of UNIQUE_ID, PROMPT, PROMPT_ID, DYNPROMPT, EXTRA_PNGINFO, AUTH_TOKEN_COMFY_ORG, API_KEY_COMFY_ORG", h))
		}
		if !gives.AssignableTo(sf.Type) {
			panic(mistake(t, sf.Name, "tag `hidden:%q` gives a %s, which %s cannot hold; change the type to %[2]s", h, gives, sf.Type))
		}
		f.Kind, f.Type = PortHidden, h
		return f
	}
	if value.IsGeneric(f.elem, "Lazy") {
		f.Lazy, f.elem = true, f.elem.Field(0).Type.Elem()
	}
	if value.IsGeneric(f.elem, "List") {
		f.List, f.elem = true, f.elem.Elem()
	}
	if f.List && value.IsGeneric(f.elem, "Lazy") {
		panic(mistake(t, sf.Name, "a List of Lazy is not possible; write Lazy[List[%s]]", f.elem.Field(0).Type.Elem()))
	}
	f.setType(t, sf)
	for flag := range strings.SplitSeq(flags, ",") {
		switch flag {
		case "":
		case "optional":
			f.Kind = PortOptional
		case "force":
			f.Options = append(f.Options, PortOption{"forceInput", true})
		case "combo":
			f.Combo = true
		case "unchecked":
			f.Unchecked = true
		default:
			panic(mistake(t, sf.Name, "tag `in` has %q after the name, which is not one of optional, force, combo, unchecked, rest", flag))
		}
	}
	f.setLimits(t, sf)
	return f
}

// setType sets the port type and the choices of the field.
func (f *field) setType(t reflect.Type, sf reflect.StructField) {
	f.Type = portType(f.elem)
	f.Choices = choicesOf(f.elem)
	if tag, ok := sf.Tag.Lookup("type"); ok {
		f.Type = tag
	}
	if tag, ok := sf.Tag.Lookup("options"); ok {
		if f.elem.Kind() != reflect.String {
			panic(mistake(t, sf.Name, "tag `options` makes a drop-down, whose field must be a string, not %s", f.elem))
		}
		list := anyOf(strings.Split(tag, ","))
		f.Choices = func() []any { return list }
	}
	if f.Choices != nil {
		f.Type = "COMBO"
	}
	f.setMatch(t, sf)
	if f.Type == "" {
		panic(mistake(t, sf.Name, "type %s has no name to connect by; give it a named type, a method PortType() string, or a tag `type:\"NAME\"`", f.elem))
	}
}

// setLimits reads the tags default, min, max, step, tip, multiline and widget.
func (f *field) setLimits(t reflect.Type, sf reflect.StructField) {
	parse := func(tag string) (any, bool) {
		s, ok := sf.Tag.Lookup(tag)
		if !ok {
			return nil, false
		}
		v, err := parseLiteral(f.elem, s)
		if err != nil {
			panic(mistake(t, sf.Name, "tag `%s:%q` is %v; write a value of type %s", tag, s, err, f.elem))
		}
		f.Options = append(f.Options, PortOption{tag, v})
		return v, true
	}
	numeric := func(tag string) any {
		v, ok := parse(tag)
		if ok && !isNumber(f.elem) {
			panic(mistake(t, sf.Name, "tag `%s` is for numbers; remove it, or change the type %s", tag, f.elem))
		}
		return v
	}
	force := f.Options
	f.Options = nil
	if f.Default, _ = parse("default"); f.Default != nil {
		f.defaultValue, _ = value.Literal(f.elem, f.Default) // cannot fail: parse has checked the value
	}
	f.Min, f.Max = numeric("min"), numeric("max")
	numeric("step")
	f.checkDefault(t, sf)
	if _, ok := sf.Tag.Lookup("multiline"); ok {
		f.Options = append(f.Options, PortOption{"multiline", true})
	}
	if tip, ok := sf.Tag.Lookup("tip"); ok {
		f.Options = append(f.Options, PortOption{"tooltip", tip})
	}
	f.Options = append(f.Options, hints(t, sf)...)
	f.Options = append(f.Options, force...)
	if f.Lazy {
		f.Options = append(f.Options, PortOption{"lazy", true})
	}
}

// checkDefault checks the limits and the default against each other. It does not check against
// the method Options, because the result of Options may change.
func (f *field) checkDefault(t reflect.Type, sf reflect.StructField) {
	text := sf.Tag.Get("default")
	options, isList := sf.Tag.Lookup("options")
	switch {
	case exceeds(f.Min, f.Max, +1):
		panic(mistake(t, sf.Name, "tag `min:%q` is bigger than max, %v; no value is possible", sf.Tag.Get("min"), f.Max))
	case f.Default == nil || f.Unchecked:
	case exceeds(f.Default, f.Min, -1):
		panic(mistake(t, sf.Name, "tag `default:%q` is smaller than min, %v; write a value within the limits", text, f.Min))
	case exceeds(f.Default, f.Max, +1):
		panic(mistake(t, sf.Name, "tag `default:%q` is bigger than max, %v; write a value within the limits", text, f.Max))
	case isList && !slices.Contains(strings.Split(options, ","), text):
		panic(mistake(t, sf.Name, "tag `default:%q` is not in the list %q; write one of its values", text, options))
	}
}

// hints reads the tag widget. The tag lists options that only a front end
// understands, as name=value. A name without a value means true.
func hints(t reflect.Type, sf reflect.StructField) (all []PortOption) {
	tag, ok := sf.Tag.Lookup("widget")
	if !ok {
		return nil
	}
	for hint := range strings.SplitSeq(tag, ",") {
		name, text, given := strings.Cut(hint, "=")
		if name == "" {
			panic(mistake(t, sf.Name, "tag `widget:%q` has an option without a name; write name=value, or a name for true", tag))
		}
		var v any = true
		if given && json.Unmarshal([]byte(text), &v) != nil {
			v = text
		}
		all = append(all, PortOption{name, v})
	}
	return all
}

func isNumber(t reflect.Type) bool {
	v := reflect.New(t).Elem()
	return v.CanInt() || v.CanUint() || v.CanFloat()
}

// parseLiteral parses a tag value as a literal of type t, in its JSON form.
func parseLiteral(t reflect.Type, s string) (any, error) {
	v := reflect.New(t).Elem()
	switch {
	case v.CanInt():
		n, err := strconv.ParseInt(s, 10, t.Bits())
		return n, plainNumError(err)
	case v.CanUint():
		n, err := strconv.ParseUint(s, 10, t.Bits())
		return n, plainNumError(err)
	case v.CanFloat():
		n, err := strconv.ParseFloat(s, t.Bits())
		if math.IsNaN(n) || math.IsInf(n, 0) { // JSON cannot represent it
			return nil, errors.New("not a finite number")
		}
		return n, plainNumError(err)
	case t.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(s)
		return b, plainNumError(err)
	case t.Kind() == reflect.String:
		return s, nil
	}
	return nil, fmt.Errorf("not possible here")
}

func plainNumError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("no such value (%w)", errors.Unwrap(err)) // err is a *strconv.NumError
}

// isPlural reports whether rest, which follows a capital letter, is only an s: URLs is a
// word with a plural, and not UR followed by Ls.
func isPlural(rest []rune) bool {
	return rest[0] == 's' && (len(rest) == 1 || unicode.IsUpper(rest[1]))
}

// snake converts a Go name to the form of input names: OnTrue becomes on_true,
// HTTPClient becomes http_client, and URLs becomes urls.
func snake(name string) string {
	var b strings.Builder
	rs := []rune(name)
	for i, r := range rs {
		if unicode.IsUpper(r) {
			after := i > 0 && !unicode.IsUpper(rs[i-1])
			before := i > 0 && i+1 < len(rs) && unicode.IsLower(rs[i+1]) && !isPlural(rs[i+1:])
			if (after || before) && rs[i-1] != '_' {
				b.WriteByte('_')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
