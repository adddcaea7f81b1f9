package jsonenc

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Read decodes JSON into v, as json.Unmarshal does. Its error is for users of clients: it has
// the words of JSON, no name of a Go type, and the place of a mistake. what is the name of the
// value in the error; if it is empty, only the members of the value have names.
func Read(data []byte, v any, what string) error {
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	var e *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%s, at %s", strings.TrimPrefix(err.Error(), "json: "), placeOf(data, syntax.Offset))
	case errors.As(err, &e) && e.Type != nil && isElement(reflect.TypeOf(v), e):
		name := e.Field
		switch {
		case name == "":
			name = cmp.Or(what, "the list")
		case what != "":
			name = fmt.Sprintf("%q of %s", name, what)
		}
		return fmt.Errorf("each element of %s must be %s, but one is %s", name, wanted(e), given(e.Value))
	}
	return errors.New(Misfit(what, err))
}

// placeOf returns the line and the column of a byte, which counts from 1.
func placeOf(data []byte, offset int64) string {
	before := data[:min(max(offset-1, 0), int64(len(data)))]
	line := bytes.Count(before, []byte{'\n'})
	return fmt.Sprintf("line %d, column %d", line+1, len(before)-bytes.LastIndexByte(before, '\n'))
}

// isElement reports whether e is about an element of a list or of a map, and not about the
// list or the map itself. t is the type that was decoded.
func isElement(t reflect.Type, e *json.UnmarshalTypeError) bool {
	path := strings.Split(e.Field, ".")
	if e.Field == "" {
		path = nil
	}
	for {
		switch {
		case t.Kind() == reflect.Pointer:
			t = t.Elem()
		case len(path) == 0:
			return t != e.Type && (t.Kind() == reflect.Slice || t.Kind() == reflect.Map)
		case t.Kind() == reflect.Slice || t.Kind() == reflect.Map:
			t = t.Elem()
		case t.Kind() == reflect.Struct:
			f, ok := fieldNamed(t, path[0])
			if !ok {
				return false
			}
			t, path = f.Type, path[1:]
		default:
			return false
		}
	}
}

// fieldNamed returns the field of t with this name in JSON.
func fieldNamed(t reflect.Type, name string) (reflect.StructField, bool) {
	return t.FieldByNameFunc(func(s string) bool {
		f, _ := t.FieldByName(s)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return cmp.Or(tag, s) == name
	})
}
