package jsonenc

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
)

// Text returns the text of an error. Where it has the text of an error of encoding/json that
// names Go types, it has the words of JSON instead: users of clients may read it.
func Text(err error) string {
	text := err.Error()
	if e := (*json.UnmarshalTypeError)(nil); errors.As(err, &e) && e != nil {
		return strings.ReplaceAll(text, e.Error(), Misfit("the JSON", e))
	}
	return text
}

// Worded returns err, or an error with another [Text].
func Worded(err error) error {
	if text := Text(err); text != err.Error() {
		return errors.New(text)
	}
	return err
}

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

// placeOf returns the line and the column of a byte, which counts from 1, in the text before
// [Plain] has changed it.
func placeOf(data []byte, offset int64) string {
	before := data[:min(max(offset-1, 0), int64(len(data)))]
	before = Words(before)
	line := bytes.Count(before, []byte{'\n'})
	return fmt.Sprintf("line %d, column %d", line+1, len(before)-bytes.LastIndexByte(before, '\n'))
}

// isElement reports whether e is about an element of the list or the map that t has at the
// place of e.
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

func fieldNamed(t reflect.Type, name string) (reflect.StructField, bool) {
	return t.FieldByNameFunc(func(s string) bool {
		f, _ := t.FieldByName(s)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return cmp.Or(tag, s) == name
	})
}

// Misfit returns why encoding/json could not decode a value, called what, into a Go type.
// The text is for users of a client, so it has the words of JSON and no name of a Go type.
func Misfit(what string, err error) string {
	var e *json.UnmarshalTypeError
	switch {
	case errors.As(err, &e) && e.Type != nil:
		switch {
		case e.Field == "":
			what = cmp.Or(what, "the JSON")
		case what == "":
			what = e.Field
		default:
			what = fmt.Sprintf("%q of %s", e.Field, what)
		}
		return what + " must be " + wanted(e) + ", but it is " + given(e.Value)
	case strings.HasPrefix(err.Error(), "json: invalid use of ,string struct tag"):
		return cmp.Or(what, "the JSON") + " does not fit: it must have a number or a boolean within quotes"
	}
	return cmp.Or(what, "the JSON") + " does not fit: " + strings.TrimPrefix(err.Error(), "nodebus: ")
}

// wanted returns what a value must be. If a number is of the right kind and too large, it
// returns the range.
func wanted(e *json.UnmarshalTypeError) string {
	name := KindOf(e.Type)
	number, ok := strings.CutPrefix(e.Value, "number ")
	switch {
	case !ok:
		return name
	case name == aNumber:
		return "a smaller number"
	case name != aWhole || strings.ContainsAny(number, ".eE"):
		return name
	}
	lowest, highest := int64(0), uint64(math.MaxUint64)>>(64-e.Type.Bits())
	if e.Type.Kind() <= reflect.Int64 {
		highest /= 2
		lowest = -int64(highest) - 1
	}
	return fmt.Sprintf("%s from %d to %d", name, lowest, highest)
}

// given returns what a value is. A number can have any length, so a long one is cut.
func given(value string) string {
	const long = 40
	number, ok := strings.CutPrefix(value, "number ")
	switch {
	case ok && len(number) > long:
		return number[:long] + "…"
	case ok:
		return number
	}
	switch value {
	case "bool":
		return aBoolean
	case "array":
		return aList
	case "object":
		return anObject
	case "null":
		return value
	}
	return "a " + value
}

// The names of the kinds of JSON.
const (
	aBoolean = "a boolean"
	aNumber  = "a number"
	aWhole   = "a whole number"
	aList    = "a list"
	anObject = "an object"
)

// KindOf returns what a value must be so that encoding/json decodes it into a t, in the
// words of JSON.
func KindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[json.Number]():
		return aNumber
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return "a string"
	}
	switch k := t.Kind(); k {
	case reflect.Pointer:
		return KindOf(t.Elem())
	case reflect.Bool:
		return aBoolean
	case reflect.String:
		return "a string"
	case reflect.Float32, reflect.Float64:
		return aNumber
	case reflect.Array:
		return aList
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "a string of base64"
		}
		return aList
	case reflect.Struct, reflect.Map:
		return anObject
	default:
		if k >= reflect.Int && k <= reflect.Uintptr {
			return aWhole
		}
	}
	return "another value"
}
