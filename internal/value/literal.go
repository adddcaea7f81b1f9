package value

import (
	"encoding/json"
	"maps"
	"reflect"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// Literal converts a coerced literal to t, the type of the node's field. A type that reads
// literals itself does so. null is the zero value of a struct or an array.
func Literal(t reflect.Type, v any) (any, error) {
	v, _ = numbersAt(v, 0, true)
	dst := reflect.New(t).Elem()
	if v == nil && (t.Kind() == reflect.Struct || t.Kind() == reflect.Array) {
		return dst.Interface(), nil
	}
	if err := Assign(dst, v); err != nil {
		if Decodes(t) {
			return nil, err
		}
		kind := reflect.ValueOf(v).Kind()
		if kind != reflect.Map && kind != reflect.Slice {
			return nil, err
		}
		enc, _ := json.Marshal(v) // it came from JSON
		switch bad := jsonenc.Read(enc, dst.Addr().Interface(), "the object"); {
		case bad == nil:
		case kind == reflect.Map:
			return nil, bad
		default:
			return nil, err
		}
	}
	return dst.Interface(), nil
}

// Numbers returns decoded JSON whose numbers are Go numbers: an int, a uint64 above the range
// of int, or a float64 if the number has a fraction or an exponent. It returns a copy of the
// lists and objects that have such numbers; v itself is not written to.
func Numbers(v any) any {
	v, _ = numbersAt(v, 0, false)
	return v
}

// numbersAt also copies the lists and objects without numbers if copies is true.
func numbersAt(v any, depth int, copies bool) (_ any, changed bool) {
	if depth > keyDepth { // a value that nobody has decoded may contain itself
		return v, false
	}
	switch v := v.(type) {
	case json.Number:
		return number(v), true
	case []any:
		own := v
		for i, e := range v {
			if n, is := numbersAt(e, depth+1, copies); is {
				if !changed {
					own, changed = append([]any(nil), v...), true
				}
				own[i] = n
			}
		}
		if copies && !changed {
			own = append([]any{}, v...)
		}
		return own, changed || copies
	case map[string]any:
		own := v
		for k, e := range v {
			if n, is := numbersAt(e, depth+1, copies); is {
				if !changed {
					own, changed = maps.Clone(v), true
				}
				own[k] = n
			}
		}
		if copies && !changed {
			own = make(map[string]any, len(v))
			maps.Copy(own, v)
		}
		return own, changed || copies
	}
	return v, false
}
