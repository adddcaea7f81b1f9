package jsonenc

import (
	"encoding"
	"encoding/json"
	"reflect"
	"sync"
)

// coder holds what [Marshal] needs to know about a type. It does not change once it is in
// coders.
type coder struct {
	kind            reflect.Kind // Invalid if JSON cannot represent the type
	marshals        bool         // the type has a MarshalJSON or a MarshalText
	pointerMarshals bool         // so has a pointer to the type
	number          bool         // the type is json.Number
	bytes           bool         // a slice that is written as base64
	elem            *coder       // of a pointer, slice, array or map
	fields          []field      // of a struct
}

var (
	coders sync.Map // reflect.Type to *coder
	making sync.Mutex

	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	numberType    = reflect.TypeFor[json.Number]()
)

func coderOf(t reflect.Type) *coder {
	if c, ok := coders.Load(t); ok {
		return c.(*coder)
	}
	making.Lock()
	defer making.Unlock()
	m := maker{}
	c := m.coder(t)
	for t, c := range m { // all at once: until here, a coder of m may refer to an unfinished coder
		coders.Store(t, c)
	}
	return c
}

// maker holds the coders that are not in coders yet. A type may refer to itself.
type maker map[reflect.Type]*coder

func (m maker) coder(t reflect.Type) *coder {
	if c, ok := coders.Load(t); ok {
		return c.(*coder)
	}
	if m[t] != nil {
		return m[t]
	}
	c := &coder{kind: t.Kind(), number: t == numberType, marshals: marshals(t)}
	m[t] = c
	c.pointerMarshals = t.Kind() != reflect.Pointer && marshals(reflect.PointerTo(t))
	switch t.Kind() {
	case reflect.Pointer, reflect.Array:
		c.elem = m.coder(t.Elem())
	case reflect.Slice:
		c.elem = m.coder(t.Elem())
		c.bytes = t.Elem().Kind() == reflect.Uint8 && !marshals(reflect.PointerTo(t.Elem()))
	case reflect.Map:
		if !isKey(t.Key()) {
			c.kind = reflect.Invalid
			break
		}
		c.elem = m.coder(t.Elem())
	case reflect.Struct:
		c.fields = fieldsOf(t)
		for i := range c.fields {
			c.fields[i].coder = m.coder(c.fields[i].typ)
		}
	}
	return c
}

func marshals(t reflect.Type) bool { return t.Implements(jsonMarshaler) || t.Implements(textMarshaler) }

// isKey reports whether the keys of a map of this type have a text.
func isKey(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return true
	}
	return t.Implements(textMarshaler)
}
