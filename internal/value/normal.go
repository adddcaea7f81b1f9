package value

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Normal returns a literal in a form that JSON carries without a change, as far as JSON
// can: whole floats get a fraction (1 would come back as an int), and other Go integers
// become an int, or a uint64 above the range of int. Values of named types, slices and
// maps of Go types, and bytes stay as they are; JSON does not carry their types. changed
// is false if v is in that form already. Lists and objects of v are not written to.
func Normal(v any) (normal any, changed bool) { return normalAt(v, 0) }

func normalAt(v any, depth int) (normal any, changed bool) {
	switch v := v.(type) {
	case nil, bool, string, int, json.Number:
		return v, false
	case float64:
		return normalFloat(v, 64)
	case float32:
		return normalFloat(float64(v), 32)
	case int8, int16, int32, int64:
		return int(reflect.ValueOf(v).Int()), true
	case uint, uint8, uint16, uint32, uint64:
		n := reflect.ValueOf(v).Uint()
		if n <= math.MaxInt {
			return int(n), true
		}
		_, is := v.(uint64)
		return n, !is
	case []any:
		return normalList(v, depth)
	case map[string]any:
		return normalMap(v, depth)
	}
	return v, false
}

func normalFloat(f float64, bits int) (any, bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return f, bits == 32
	}
	text := strconv.FormatFloat(f, 'g', -1, bits)
	if strings.ContainsAny(text, ".e") {
		if bits == 64 {
			return f, false
		}
		return json.Number(text), true
	}
	return json.Number(text + ".0"), true
}

func normalList(list []any, depth int) (any, bool) {
	var own []any
	for i, e := range list {
		if depth > keyDepth {
			break
		}
		if n, changed := normalAt(e, depth+1); changed {
			if own == nil {
				own = append([]any(nil), list...)
			}
			own[i] = n
		}
	}
	if own == nil {
		return list, false
	}
	return own, true
}

func normalMap(m map[string]any, depth int) (any, bool) {
	own := map[string]any{}
	for name, e := range m {
		if depth > keyDepth {
			break
		}
		if n, changed := normalAt(e, depth+1); changed {
			own[name] = n
		}
	}
	if len(own) == 0 {
		return m, false
	}
	for name, e := range m {
		if _, done := own[name]; !done {
			own[name] = e
		}
	}
	return own, true
}

// Literally returns a literal as it stands in a prompt: wrapped if the bare form would
// have another meaning there, because it is a list, or an object that looks wrapped.
func Literally(v any) any {
	if m, ok := v.(map[string]any); ok {
		if _, looks := m[wrapper]; looks {
			return Wrap(v)
		}
		return v
	}
	if t := reflect.TypeOf(v); t != nil && t.Kind() == reflect.Slice && !IsBytes(t) {
		return Wrap(v)
	}
	return v
}
