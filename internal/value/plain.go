package value

import "reflect"

// plain returns the basic value that a pointer points to, or the elements of a slice of basic
// values. ok is false for any other value, and for slices of bytes and long slices: they are
// data, and not what somebody has typed or chosen.
func plain(v any) (_ any, ok bool) {
	switch rv := reflect.ValueOf(v); {
	case rv.Kind() == reflect.Pointer && !rv.IsNil():
		return Basic(rv.Elem().Interface())
	case rv.Kind() == reflect.Pointer:
		return nil, isBasic(rv.Type().Elem())
	case rv.Kind() == reflect.Slice && isBasic(rv.Type().Elem()) && !IsBytes(rv.Type()) && rv.Len() <= plainMost:
		all := make([]any, rv.Len())
		for i := range all {
			all[i], _ = Basic(rv.Index(i).Interface())
		}
		return all, true
	}
	return nil, false
}

// plainMost is the length of the longest slice that plain returns.
const plainMost = 1000

func isBasic(t reflect.Type) bool {
	_, ok := Basic(reflect.Zero(t).Interface())
	return ok
}
