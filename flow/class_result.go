package flow

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

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
	outs, ui = fieldsOfResult(t, out, nil)
	return outs, ui, len(outs) == 0
}

// fieldsOfResult reads the outputs and the UI of a struct and of the structs that it embeds.
func fieldsOfResult(t, out reflect.Type, index []int) (outs []field, ui []int) {
	for i := range out.NumField() {
		sf := out.Field(i)
		at := append(slices.Clone(index), i)
		if sf.Type == reflect.TypeFor[nodebus.UI]() {
			ui = at
			continue
		}
		if promotes(sf) {
			more, shown := fieldsOfResult(t, sf.Type, at)
			if outs = append(outs, more...); shown != nil {
				ui = shown
			}
			continue
		}
		if sf.IsExported() {
			checkTags(t, sf, resultTags)
		}
		where := strings.TrimPrefix(out.Name()+"."+sf.Name, ".")
		name, ok := sf.Tag.Lookup("out")
		switch {
		case !ok && sf.Anonymous && sf.Type.Kind() == reflect.Pointer && hasOuts(sf.Type.Elem()):
			panic(mistake(t, where, "is an embedded pointer, so that the fields of %s are no outputs; embed %[1]s itself", sf.Type.Elem()))
		case !ok && sf.IsExported():
			panic(mistake(t, where, "is neither an output nor a UI; give it a tag `out:\"name\"`, or make it unexported"))
		case !ok:
			continue
		case !sf.IsExported():
			panic(mistake(t, where, "has a tag `out` but is unexported; begin its name with a capital"))
		}
		f := outputOf(t, cmp.Or(name, snake(sf.Name)), sf.Type, at)
		f.setMatch(t, sf)
		if tip, ok := sf.Tag.Lookup("tip"); ok {
			f.Options = append(f.Options, PortOption{"tooltip", tip})
		}
		outs = append(outs, f)
	}
	return outs, ui
}

// promotes reports whether the outputs of an embedded struct are outputs of the struct around it.
func promotes(sf reflect.StructField) bool {
	_, is := sf.Tag.Lookup("out")
	return !is && sf.Anonymous && sf.Type.Kind() == reflect.Struct && sf.Type != nothing && isResultStruct(sf.Type)
}

// nothing is the result of a node that has no outputs and shows nothing.
var nothing = reflect.TypeFor[struct{}]()

// isResultStruct reports whether out is a struct of several outputs: one of its fields, or of
// the fields of an embedded struct, has a tag `out` or the type UI. It is true for struct{}, which has no outputs.
func isResultStruct(out reflect.Type) bool {
	if out == nothing {
		return true
	}
	if out.Kind() != reflect.Struct {
		return false
	}
	for i := range out.NumField() {
		sf := out.Field(i)
		if _, ok := sf.Tag.Lookup("out"); ok || sf.Type == reflect.TypeFor[nodebus.UI]() || promotes(sf) {
			return true
		}
		if sf.Anonymous && sf.Type.Kind() == reflect.Pointer && hasOuts(sf.Type.Elem()) {
			return true // a mistake
		}
	}
	return false
}

// hasOuts reports whether a field of t itself has a tag `out`.
func hasOuts(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if _, has := t.Field(i).Tag.Lookup("out"); has {
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
	if f.Type, f.Choices = value.PortType(f.elem), choicesOf(t, "of the result", f.elem); f.Choices != nil {
		f.Type = "COMBO"
	}
	if f.Type == "" && name == "" && underlying(typ).Kind() == reflect.Struct {
		panic(mistake(t, "of the result", "type %s has no name to connect by; give the fields that are outputs a tag `out:\"name\"`, or give it a named type or a method PortType() string", f.elem))
	}
	if f.Type == "" {
		panic(mistake(t, "of the result", "type %s has no name to connect by; give it a named type or a method PortType() string", f.elem))
	}
	f.Name = cmp.Or(name, f.Type)
	return f
}
