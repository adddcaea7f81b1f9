package flow

import (
	"cmp"
	"reflect"
	"strconv"
	"strings"
	"unicode"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// fieldsOf returns the inputs of a node's struct, including the fields of embedded
// structs.
func fieldsOf(t reflect.Type, index []int) (fields []field) {
	for i := range t.NumField() {
		sf := t.Field(i)
		at := append(append([]int(nil), index...), i)
		if sf.Anonymous && sf.Type.Kind() == reflect.Struct && sf.Tag.Get("in") == "" && !isUnion(sf.Type) {
			inside(sf.Type, t, sf.Name, func() { fields = append(fields, fieldsOf(sf.Type, at)...) })
			continue
		}
		if sf.Tag.Get("in") == "-" {
			continue
		}
		checkEmbedded(t, sf)
		if !sf.IsExported() {
			checkUnexported(t, sf)
			continue
		}
		checkTags(t, sf, inputTags)
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
		f.setHidden(t, sf, h)
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
	checkGeneric(t, sf, f.elem)
	if isUnion(underlying(f.elem)) {
		panic(mistake(t, sf.Name, "has choices inside of %s; write %s: its pointers are nil if an optional input is not given", sf.Type, underlying(f.elem)))
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
		case "raw":
			f.setRaw(t, sf)
		default:
			panic(mistake(t, sf.Name, "tag `in` has %q after the name, which is not one of optional, force, combo, unchecked, raw, rest", flag))
		}
	}
	f.checkType(t, sf)
	f.setLimits(t, sf)
	return f
}

// setType sets the port type and the choices of the field.
func (f *field) setType(t reflect.Type, sf reflect.StructField) {
	f.Type = value.PortType(f.elem)
	if tag, ok := sf.Tag.Lookup("type"); ok {
		f.Type = tag
	}
	if f.setChoices(t, sf); f.Choices != nil {
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
		v, err := f.parse(tag, s)
		if err != nil {
			panic(mistake(t, sf.Name, "tag `%s:%q` is %v; write a value of type %s", tag, s, err, f.elem))
		}
		f.Options = append(f.Options, PortOption{tag, v})
		return v, true
	}
	numeric := func(tag string) any {
		v, ok := parse(tag)
		if ok && (f.Multi || !isNumber(f.elem)) {
			panic(mistake(t, sf.Name, "tag `%s` is for numbers; remove it, or change the type %s", tag, f.elem))
		}
		return v
	}
	force := f.Options
	f.Options = nil
	if f.Default, _ = parse("default"); f.Default != nil {
		f.defaultValue, _ = f.literalOf(f.Default) // cannot fail: parse has checked the value
	}
	f.Min, f.Max = numeric("min"), numeric("max")
	numeric("step")
	f.checkLimits(t, sf)
	f.checkDefault(t, sf)
	if tag, ok := sf.Tag.Lookup("multiline"); ok {
		is, err := strconv.ParseBool(tag)
		if err != nil {
			panic(mistake(t, sf.Name, "tag `multiline:%q` is %v; write true or false", tag, plainNumError(err)))
		}
		if is {
			f.Options = append(f.Options, PortOption{"multiline", true})
		}
	}
	if tip, ok := sf.Tag.Lookup("tip"); ok {
		f.Options = append(f.Options, PortOption{"tooltip", tip})
	}
	f.Options = append(f.Options, f.hints(t, sf)...)
	f.Options = append(f.Options, force...)
	if f.Lazy {
		f.Options = append(f.Options, PortOption{"lazy", true})
	}
	if f.Raw {
		f.Options = append(f.Options, PortOption{"rawLink", true})
	}
}

var linkType = reflect.TypeFor[nodebus.Link]()

// setRaw makes the field an input that receives its link instead of a value.
func (f *field) setRaw(t reflect.Type, sf reflect.StructField) {
	if sf.Type != linkType {
		panic(mistake(t, sf.Name, "tag `in` has the flag raw, which gives a nodebus.Link, but the field is a %s; change its type", sf.Type))
	}
	f.Raw = true
	if _, ok := sf.Tag.Lookup("type"); !ok {
		f.Type = "*"
	}
}

// checkGeneric panics if the field has a type of package nodebus that an input cannot have.
func checkGeneric(t reflect.Type, sf reflect.StructField, elem reflect.Type) {
	for _, name := range []string{"Lazy", "List"} {
		if base := underlying(elem); elem.Kind() == reflect.Pointer && value.IsGeneric(base, name) {
			panic(mistake(t, sf.Name, "is a pointer to a %s; write %[1]s[%s], which needs no pointer", name, valueOf(base)))
		}
	}
	if value.IsGeneric(underlying(elem), "Out") {
		panic(mistake(t, sf.Name, "has the type %s, which only a result has; write the type of its Value", elem))
	}
}

// literals has a literal of each port type that converts literals.
var literals = map[string]any{"INT": int64(1), "FLOAT": 1.0, "STRING": "1", "BOOLEAN": true}

// checkType panics if the field cannot hold any value of the types in its tag.
func (f *field) checkType(t reflect.Type, sf reflect.StructField) {
	if _, tagged := sf.Tag.Lookup("type"); !tagged || f.Raw || f.Choices != nil || value.Decodes(f.elem) {
		return // what a type with methods of its own takes depends on the text
	}
	var err error
	for typ := range strings.SplitSeq(f.Type, ",") {
		lit, known := literals[strings.TrimSpace(typ)]
		if !known {
			return
		}
		if _, err = value.Literal(f.elem, lit); err == nil {
			return
		}
	}
	panic(mistake(t, sf.Name, "tag `type:%q` gives values that the field cannot hold: it %v; change the type of the field, or the tag", f.Type, err))
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
