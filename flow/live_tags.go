package flow

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/nodebus/nodebus/internal/value"
)

// dynamicFieldOf reads a field that stands for other inputs. is is false for any other field.
func dynamicFieldOf(t reflect.Type, sf reflect.StructField, index []int) (f field, is bool) {
	_, grows := sf.Tag.Lookup("grow")
	name, flags, _ := strings.Cut(sf.Tag.Get("in"), ",")
	all := strings.Split(flags, ",")
	rest := slices.Contains(all, "rest")
	if _, is := sf.Tag.Lookup("choice"); is {
		panic(mistake(t, sf.Name, "tag `choice` belongs to the fields of a struct that is the type of an input; write Mode Mode, and in the struct Mode the fields with the tag"))
	}
	f = field{index: index, elem: sf.Type}
	f.Name, f.Kind = cmp.Or(name, snake(sf.Name)), PortRequired
	if slices.Contains(all, "optional") {
		f.Kind = PortOptional
	}
	switch {
	case grows && sf.Tag.Get("hidden") != "":
		panic(mistake(t, sf.Name, "has the tags `grow` and `hidden`; remove one of them: the executor sets one value"))
	case grows && rest:
		panic(mistake(t, sf.Name, "has a tag `grow` and the flag rest; remove one of them: an input either grows or takes what nobody declares"))
	case grows:
		f.setGrow(t, sf)
	case rest:
		f.setRest(t, sf, name, all)
	case isUnion(sf.Type):
		f.setCases(t, sf, all)
	default:
		return field{}, false
	}
	return f, true
}

// elementOf describes one of the inputs that a field stands for: the field's tags are about it.
func (f *field) elementOf(t reflect.Type, sf reflect.StructField, name string) *field {
	elem := sf.Type
	switch {
	case value.IsGeneric(elem, "List"):
		panic(mistake(t, sf.Name, "a List is one input; for inputs that are lists write []%s", elem))
	case elem.Kind() == reflect.Slice && value.IsGeneric(elem.Elem(), "Named"):
		elem = elem.Elem().Field(1).Type
	case elem.Kind() == reflect.Slice, elem.Kind() == reflect.Map && elem.Key().Kind() == reflect.String:
		elem = elem.Elem()
	default:
		panic(mistake(t, sf.Name, "stands for several inputs, which %s cannot hold; change the type to []%[1]s, map[string]%[1]s or []nodebus.Named[%[1]s]", elem))
	}
	sf.Type = elem
	e := fieldOf(t, sf, nil)
	e.Name = name
	return &e
}

// setGrow reads the tag grow.
func (f *field) setGrow(t reflect.Type, sf reflect.StructField) {
	tag := sf.Tag.Get("grow")
	g := &Grow{Prefix: f.Name, Min: 1, Max: 10}
	for i, part := range strings.Split(tag, ",") {
		key, text, given := strings.Cut(part, "=")
		n, err := strconv.Atoi(text)
		switch {
		case !given && i == 0:
			g.Prefix = cmp.Or(part, f.Name)
		case key == "names":
			g.Names = strings.Split(text, "|")
		case key == "min" && err == nil:
			g.Min = n
		case key == "max" && err == nil:
			g.Max = n
		default:
			panic(mistake(t, sf.Name, "tag `grow:%q` has %q, which is none of a prefix, names=a|b, min=1, max=10", tag, part))
		}
	}
	if g.Names != nil {
		g.Prefix, g.Max = "", 0
	}
	if wrong := g.wrong(); wrong != "" {
		panic(mistake(t, sf.Name, "tag `grow:%q` %s", tag, wrong))
	}
	e := f.elementOf(t, sf, cmp.Or(g.Prefix, f.Name))
	e.force()
	f.dyn = &dynamic{element: e}
	g.Element, f.Grow = e.Port, g
}

// setRest reads a field that takes all inputs that nobody declares.
func (f *field) setRest(t reflect.Type, sf reflect.StructField, name string, flags []string) {
	if name != "" {
		panic(mistake(t, sf.Name, "tag `in` has the name %q and the flag rest; remove the name: a rest field takes inputs of any name", name))
	}
	for _, tag := range []string{"default", "hidden", "match"} {
		if _, has := sf.Tag.Lookup(tag); has {
			panic(mistake(t, sf.Name, "has the flag rest and a tag `%s`; remove the tag: nobody declares these inputs", tag))
		}
	}
	if len(flags) > 1 {
		panic(mistake(t, sf.Name, "tag `in` has flags beside rest; write in:\",rest\""))
	}
	sf.Tag = reflect.StructTag(strings.Replace(string(sf.Tag), `in:",rest"`, "", 1))
	f.Rest, f.Kind = true, PortOptional
	f.dyn = &dynamic{element: f.elementOf(t, sf, f.Name)}
	e := f.dyn.element
	f.Type, f.List, f.Lazy, f.Min, f.Max, f.Options = e.Type, e.List, e.Lazy, e.Min, e.Max, e.Options
}

// isUnion reports whether t is a struct that has a field for each choice.
func isUnion(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if _, is := t.Field(i).Tag.Lookup("choice"); is {
			return true
		}
	}
	return false
}

// casesDepth bounds how many choices may be inside each other.
const casesDepth = 16

// setCases reads a struct with a field for each choice.
func (f *field) setCases(t reflect.Type, sf reflect.StructField, flags []string) {
	for _, flag := range flags {
		if flag != "" && flag != "optional" {
			panic(mistake(t, sf.Name, "tag `in` has the flag %q, which a drop-down of structs does not have; remove it", flag))
		}
	}
	if len(f.index) > 2*casesDepth {
		panic(mistake(t, sf.Name, "its choices are inside each other more than %d times; does a struct contain itself?", casesDepth))
	}
	for _, tag := range []string{"default", "min", "max", "step", "options", "type", "multiline", "hidden", "match"} {
		if _, has := sf.Tag.Lookup(tag); has {
			panic(mistake(t, sf.Name, "has a tag `%s`, which a drop-down of structs does not have; remove it. The first choice is the default", tag))
		}
	}
	if tip, ok := sf.Tag.Lookup("tip"); ok {
		f.Options = append(f.Options, PortOption{"tooltip", tip})
	}
	f.Options = append(f.Options, f.hints(t, sf)...)
	f.dyn = &dynamic{}
	for i := range sf.Type.NumField() {
		inside(sf.Type, t, sf.Name, func() { f.addCase(sf.Type, sf.Type.Field(i), i) })
	}
}

func (f *field) addCase(t reflect.Type, sf reflect.StructField, i int) {
	key, has := sf.Tag.Lookup("choice")
	switch {
	case !has && (!sf.IsExported() || sf.Tag.Get("in") == "-"):
		return
	case !has:
		panic(mistake(t, sf.Name, "has no tag `choice`, but other fields of the struct have it; add it, or a tag `in:\"-\"`"))
	case !sf.IsExported():
		panic(mistake(t, sf.Name, "has a tag `choice` but is unexported; begin its name with a capital"))
	case sf.Type.Kind() != reflect.Pointer || sf.Type.Elem().Kind() != reflect.Struct:
		panic(mistake(t, sf.Name, "is a choice, which must be a pointer to a struct with its inputs, not %s; write *struct{} if it has none", sf.Type))
	case slices.ContainsFunc(f.Cases, func(c Case) bool { return c.Key == key }):
		panic(mistake(t, sf.Name, "tag `choice:%q` comes twice; write another name", key))
	case key == "":
		panic(mistake(t, sf.Name, "has an empty tag `choice`; write the name that users choose"))
	}
	checkTags(t, sf, []string{"choice", "in"})
	var inner []field
	inside(sf.Type.Elem(), t, sf.Name, func() { inner = fieldsOf(sf.Type.Elem(), append(slices.Clone(f.index), i)) })
	one := Case{Key: key, Inputs: portsOf(inner)}
	if wrong := one.wrong(f.Name); wrong != "" {
		panic(mistake(t, sf.Name, "%s", wrong))
	}
	f.dyn.cases, f.dyn.pointers = append(f.dyn.cases, inner), append(f.dyn.pointers, i)
	f.Cases = append(f.Cases, one)
}

// checkLive panics if a static input has a name that a dynamic input may have.
func checkLive(t reflect.Type, inputs []field) {
	rests := 0
	for i := range inputs {
		f := &inputs[i]
		if f.Rest {
			if rests++; rests > 1 {
				panic(mistake(t, t.FieldByIndex(f.index).Name, "is a second field with the flag rest; remove one of them"))
			}
		}
		for k := range inputs {
			if d := &inputs[k]; (d.Grow != nil || d.Cases != nil) && strings.HasPrefix(f.Name, d.Name+".") {
				panic(mistake(t, t.FieldByIndex(f.index).Name, "its name %q looks like an input below %q; rename it with a tag `in:\"name\"`", f.Name, d.Name))
			}
		}
	}
}

// setMatch reads the tag match: an id, and the types that are possible.
func (f *field) setMatch(t reflect.Type, sf reflect.StructField) {
	tag, has := sf.Tag.Lookup("match")
	if !has {
		return
	}
	parts := strings.Split(tag, ",")
	if slices.Contains(parts, "") {
		panic(mistake(t, sf.Name, "tag `match:%q` has an empty part; write an id, and then the possible types, as in match:\"T,IMAGE,MASK\"", tag))
	}
	if _, has := sf.Tag.Lookup("type"); has {
		panic(mistake(t, sf.Name, "has the tags `match` and `type`; write the types behind the id, as in match:\"T,IMAGE,MASK\""))
	}
	f.Match, f.Type, f.Choices = &Match{ID: parts[0], Types: parts[1:]}, matchType, nil
}
