package flow

import (
	"cmp"
	"reflect"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// outputsOf reads the outputs from the type that Run returns.
func outputsOf(t, out reflect.Type) (outs []field, ui []int, onlyUI bool) {
	switch out {
	case reflect.TypeFor[nodebus.UI]():
		return nil, nil, true
	case nothing:
		return nil, nil, false
	}
	if !isResultStruct(out) {
		return []field{outputOf(t, "", out, nil)}, nil, false
	}
	for i := range out.NumField() {
		sf := out.Field(i)
		if sf.Type == reflect.TypeFor[nodebus.UI]() {
			ui = sf.Index
			continue
		}
		if sf.IsExported() {
			checkTags(t, sf, resultTags)
		}
		name, ok := sf.Tag.Lookup("out")
		if !ok {
			if sf.IsExported() {
				panic(mistake(t, out.Name()+"."+sf.Name, "is neither an output nor a UI; give it a tag `out:\"name\"`, or make it unexported"))
			}
			continue
		}
		if !sf.IsExported() {
			panic(mistake(t, out.Name()+"."+sf.Name, "has a tag `out` but is unexported; begin its name with a capital"))
		}
		f := outputOf(t, cmp.Or(name, snake(sf.Name)), sf.Type, sf.Index)
		f.setMatch(t, sf)
		if tip, ok := sf.Tag.Lookup("tip"); ok {
			f.Options = append(f.Options, PortOption{"tooltip", tip})
		}
		outs = append(outs, f)
	}
	return outs, ui, len(outs) == 0
}

// nothing is the result of a node that has no outputs and shows nothing.
var nothing = reflect.TypeFor[struct{}]()

// isResultStruct reports whether out is a struct of several outputs: one of its
// fields has a tag `out` or the type UI. It is true for struct{}, which has no outputs.
func isResultStruct(out reflect.Type) bool {
	if out == nothing {
		return true
	}
	if out.Kind() != reflect.Struct {
		return false
	}
	for i := range out.NumField() {
		sf := out.Field(i)
		if _, ok := sf.Tag.Lookup("out"); ok || sf.Type == reflect.TypeFor[nodebus.UI]() {
			return true
		}
	}
	return false
}

func outputOf(t reflect.Type, name string, typ reflect.Type, index []int) field {
	f := field{index: index, elem: typ}
	if value.IsGeneric(typ, "Out") {
		v, _ := typ.FieldByName("Value")
		f.elem, f.special = v.Type, true
	}
	if value.IsGeneric(f.elem, "List") {
		f.List, f.elem = true, f.elem.Elem()
	}
	if f.Type, f.Choices = portType(f.elem), choicesOf(t, "of the result", f.elem); f.Choices != nil {
		f.Type = "COMBO"
	}
	if f.Type == "" {
		panic(mistake(t, "of the result", "type %s has no name to connect by; give it a named type or a method PortType() string", f.elem))
	}
	f.Name = cmp.Or(name, f.Type)
	return f
}
