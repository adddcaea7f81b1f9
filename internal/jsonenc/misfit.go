package jsonenc

import (
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
)

// Text returns the text of an error for users of clients: where encoding/json has written the
// names of Go types, Text writes the words of JSON.
func Text(err error) string {
	text := err.Error()
	if e := (*json.UnmarshalTypeError)(nil); errors.As(err, &e) && e != nil {
		return strings.ReplaceAll(text, e.Error(), Misfit("the JSON", e))
	}
	return text
}

// Worded returns err if its text is [Text] already; otherwise a new error with that text, which
// wraps nothing.
func Worded(err error) error {
	if text := Text(err); text != err.Error() {
		return errors.New(text)
	}
	return err
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
