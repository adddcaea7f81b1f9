package value

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
)

// AppendText appends a text and its length, so that two texts in a row have one
// reading.
func AppendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// AppendKey appends a literal as a part of a cache key, so that different literals
// differ. ok is false if the literal has no such form, as values that exist only in
// memory. An int and an int64 of the same value are the same literal.
func AppendKey(b []byte, v any) (_ []byte, ok bool) { return appendKey(b, v, 0) }

// keyDepth bounds the depth of a literal: a value that a program made may contain
// itself.
const keyDepth = 1000

func appendKey(b []byte, v any, depth int) (_ []byte, ok bool) {
	switch v := v.(type) {
	case nil:
		return append(b, 'n'), true
	case bool:
		if v {
			return append(b, 't'), true
		}
		return append(b, 'u'), true
	case int:
		return binary.AppendVarint(append(b, 'd'), int64(v)), true
	case int64:
		return binary.AppendVarint(append(b, 'd'), v), true
	case uint64:
		return binary.AppendUvarint(append(b, 'e'), v), true
	case float64:
		return binary.BigEndian.AppendUint64(append(b, 'g'), math.Float64bits(v)), true
	case string:
		return AppendText(append(b, 's'), v), true
	case List:
		return appendList(binary.AppendUvarint(append(b, 'l'), uint64(len(v))), v, depth) // its elements are literals by themselves
	case []any:
		return appendList(binary.AppendUvarint(append(b, 'a'), uint64(len(v))), v, depth+1)
	case map[string]any:
		return appendMap(b, v, depth)
	case json.Number:
		return appendKey(b, number(v), depth)
	}
	if depth > 0 {
		return b, false // inside lists and objects only what JSON decodes to
	}
	if inner, ok := plain(v); ok {
		return appendKey(AppendText(append(b, 'p'), fmt.Sprintf("%T", v)), inner, depth)
	}
	if basic, isBasic := Basic(v); isBasic {
		return appendKey(AppendText(append(b, 'k'), fmt.Sprintf("%T", v)), basic, depth)
	}
	return b, false
}

func appendList(b []byte, list []any, depth int) (_ []byte, ok bool) {
	for _, e := range list {
		if depth > keyDepth {
			return b, false
		}
		if b, ok = appendKey(b, e, depth); !ok {
			return b, false
		}
	}
	return b, true
}

func appendMap(b []byte, m map[string]any, depth int) (_ []byte, ok bool) {
	b = binary.AppendUvarint(append(b, 'm'), uint64(len(m)))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if depth > keyDepth {
			return b, false
		}
		if b, ok = appendKey(AppendText(b, name), m[name], depth+1); !ok {
			return b, false
		}
	}
	return b, true
}
