package flow

import (
	"encoding/json"
	"reflect"
	"slices"

	"github.com/nodebus/nodebus/internal/value"
)

// Nodes may modify what their fields hold. A literal or a default is the same value in every
// call, and a default even in every prompt. So each call has a copy of a value that has parts
// behind pointers. A value that comes over a link is not copied: it may be large, or unique.

// The sources of an arg that is not linked.
const (
	fixed  int32 = -1 // calls share the value
	copied int32 = -2 // each call has a copy of the value
)

// mayCopy reports whether copyOf may return something else than the value, for a value of type t.
func mayCopy(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Interface, reflect.Slice, reflect.Map:
		return true
	case reflect.Pointer:
		return t.Elem().Kind() != reflect.Struct || isData(t.Elem())
	case reflect.Array:
		return mayCopy(t.Elem())
	case reflect.Struct:
		return isData(t) && slices.ContainsFunc(reflect.VisibleFields(t), func(sf reflect.StructField) bool {
			return len(sf.Index) == 1 && mayCopy(sf.Type)
		})
	}
	return false
}

// isData reports whether a struct has only what encoding/json reads into it. Any other struct
// may have a lock, or point to itself: nobody but its package can copy it.
func isData(t reflect.Type) bool {
	for i := range t.NumField() {
		if sf := t.Field(i); !sf.IsExported() || sf.Tag.Get("json") == "-" {
			return false
		}
	}
	return !value.Decodes(t)
}

// copyOf returns a copy of v that has its own pointers, slices and maps, except those inside a
// struct that is not data. v has a JSON form, so that it has no circles.
func copyOf(v any) any {
	switch v := v.(type) {
	case nil, bool, int, int64, uint64, float64, string, json.Number:
		return v
	}
	return copyValue(reflect.ValueOf(v)).Interface()
}

func copyValue(v reflect.Value) reflect.Value {
	t := v.Type()
	if !mayCopy(t) {
		return v
	}
	own := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Array:
		for i := range v.Len() {
			own.Index(i).Set(copyValue(v.Index(i)))
		}
		return own
	case reflect.Struct:
		for i := range v.NumField() {
			own.Field(i).Set(copyValue(v.Field(i)))
		}
		return own
	}
	if v.IsNil() {
		return v
	}
	switch t.Kind() {
	case reflect.Interface:
		own.Set(copyValue(v.Elem()))
	case reflect.Pointer:
		own.Set(reflect.New(t.Elem()).Convert(t))
		own.Elem().Set(copyValue(v.Elem()))
	case reflect.Slice:
		own.Set(reflect.MakeSlice(t, v.Len(), v.Len()))
		if reflect.Copy(own, v); !mayCopy(t.Elem()) {
			break
		}
		for i := range v.Len() {
			own.Index(i).Set(copyValue(v.Index(i)))
		}
	case reflect.Map:
		own.Set(reflect.MakeMapWithSize(t, v.Len()))
		for at := v.MapRange(); at.Next(); {
			own.SetMapIndex(at.Key(), copyValue(at.Value()))
		}
	}
	return own
}

// clone returns a copy of p that shares nothing with p that p's owner may modify.
func (p Port) clone() Port {
	p.Default = copyOf(p.Default)
	p.Options = slices.Clone(p.Options)
	for i := range p.Options {
		p.Options[i].Value = copyOf(p.Options[i].Value)
	}
	if p.Grow != nil {
		g := *p.Grow
		g.Element, g.Names = g.Element.clone(), slices.Clone(g.Names)
		p.Grow = &g
	}
	p.Cases = slices.Clone(p.Cases)
	for i := range p.Cases {
		p.Cases[i].Inputs = clonePorts(p.Cases[i].Inputs)
	}
	if p.Match != nil {
		p.Match = &Match{ID: p.Match.ID, Types: slices.Clone(p.Match.Types)}
	}
	return p
}

func clonePorts(ports []Port) []Port {
	own := slices.Clone(ports)
	for i := range own {
		own[i] = own[i].clone()
	}
	return own
}
