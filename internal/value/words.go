package value

import (
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// The texts of this file reach the users of clients, who know ports and JSON, but no Go types.

// misfit returns the error of a value that a field of type t cannot hold.
func misfit(t reflect.Type, v any) error {
	want, got := wanted(t, v), describe(v)
	if v != nil && want == got { // two types of the program: only their names tell them apart
		return fmt.Errorf("needs %s, got another type with this name: %s instead of %s", want, reflect.TypeOf(v), t)
	}
	return fmt.Errorf("needs %s, got %s", want, got)
}

// wanted returns what a field of type t needs. If v is a number that is only too large or too
// small, it returns the range.
func wanted(t reflect.Type, v any) string {
	zero := reflect.Zero(t)
	n := reflect.ValueOf(v)
	whole := v != nil && (n.CanInt() || n.CanUint() || n.CanFloat() && n.Float() == math.Trunc(n.Float()))
	switch bits := uint64(math.MaxUint64); {
	case whole && zero.CanInt():
		highest := bits >> (64 - t.Bits()) / 2
		return fmt.Sprintf("%s from %d to %d", Words(t), -int64(highest)-1, highest)
	case whole && zero.CanUint():
		return fmt.Sprintf("%s from 0 to %d", Words(t), bits>>(64-t.Bits()))
	case v != nil && n.CanFloat() && t.Kind() == reflect.Float32:
		return fmt.Sprintf("a number of at most %g", math.MaxFloat32)
	}
	return Words(t)
}

// Words returns what values of type t are, for users of clients.
func Words(t reflect.Type) string {
	for t.Kind() == reflect.Pointer && !hasPortType(t) {
		t = t.Elem()
	}
	switch k := t.Kind(); {
	case isEmpty(t):
		return "any value"
	case Decodes(t) || hasPortType(t):
		return named(t)
	case k == reflect.String || k == reflect.Bool || k >= reflect.Int && k <= reflect.Float64:
		return jsonenc.KindOf(t)
	case t.Name() != "":
		return named(t)
	case k == reflect.Slice && IsBytes(t):
		return "bytes"
	case k == reflect.Slice || k == reflect.Array:
		if isEmpty(t.Elem()) {
			return "a list"
		}
		return "a list of " + plural(Words(t.Elem()))
	case k == reflect.Map || k == reflect.Struct:
		return "an object"
	case k == reflect.Func:
		return "a function"
	case k == reflect.Chan:
		return "a channel"
	}
	return "another value"
}

// plural returns the plural of what Words returns.
func plural(words string) string {
	_, noun, _ := strings.Cut(words, " ") // without the article
	if noun == "" {
		return words
	}
	noun, of, is := strings.Cut(noun, " of ")
	if noun += "s"; is {
		noun += " of " + of
	}
	return noun
}

func named(t reflect.Type) string {
	if name := PortType(t); name != "" {
		return "a value of type " + name
	}
	return "another value"
}

// describe returns what a value is, and the value if it is short.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		if len(v) > 40 {
			return fmt.Sprintf("a string of %d bytes", len(v))
		}
		return fmt.Sprintf("the string %q", v)
	case bool:
		return fmt.Sprint(v)
	case int, int64, uint64, float64:
		return fmt.Sprint("the number ", v)
	}
	return Words(reflect.TypeOf(v))
}
