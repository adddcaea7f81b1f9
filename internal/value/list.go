package value

import (
	"reflect"
	"strings"
	"unicode/utf8"
)

// List is a list of values on its way along a link. It differs from one value
// that happens to be a slice: the elements of a List go on one by one.
type List []any

// Wrap returns a list in the form {"__value__": list}. In a prompt, a plain list
// is an attempt at a link; the wrapped form marks it as a literal.
func Wrap(list any) any { return map[string]any{wrapper: list} }

const wrapper = "__value__"

// Unwrap returns the literal in {"__value__": literal}. It returns any other
// value unchanged.
func Unwrap(v any) any {
	if m, ok := v.(map[string]any); ok {
		if inner, ok := m[wrapper]; ok {
			return inner
		}
	}
	return v
}

// ListOf returns the elements of v if v is a list, and v as the only element
// otherwise. elem is the element type of the list to be filled.
func ListOf(v any, elem reflect.Type) []any {
	if all, ok := Elements(v, elem); ok {
		return all
	}
	return []any{v}
}

// Elements takes a list apart. ok is false if v is one value. A slice that may be
// either is one value if it has the type elem; or, if elem is an interface, if it
// is a slice of bytes or of a named type.
func Elements(v any, elem reflect.Type) (all []any, ok bool) {
	switch v := v.(type) {
	case List:
		return v, true
	case []any:
		return v, true
	}
	list := reflect.ValueOf(v)
	if list.Kind() != reflect.Slice || isElement(list.Type(), elem) {
		return nil, false
	}
	all = make([]any, list.Len())
	for i := range all {
		all[i] = list.Index(i).Interface()
	}
	return all, true
}

func isElement(slice, elem reflect.Type) bool {
	switch {
	case !slice.AssignableTo(elem):
		return false
	case elem.Kind() != reflect.Interface || IsBytes(slice):
		return true
	}
	return slice.Name() != "" && !IsGeneric(slice, "List")
}

// IsBytes reports whether a slice type is one of bytes.
func IsBytes(slice reflect.Type) bool { return slice.Elem().Kind() == reflect.Uint8 }

// IsGeneric reports whether t is an instance of a generic type of package nodebus.
func IsGeneric(t reflect.Type, name string) bool {
	const root = "github.com/nodebus/nodebus"
	return t.PkgPath() == root && strings.HasPrefix(t.Name(), name+"[")
}

// Shorten keeps error texts readable when a literal has megabytes.
func Shorten(s string) string { return Cut(s, 1000) }

// Cut returns s, or the first n bytes of s and an ellipsis. It does not cut a
// character in two.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
