package value

import (
	"encoding/json"
	"reflect"
)

// Weight estimates the bytes that v keeps in memory. Unlike [Size], it looks at all
// levels of lists and maps of JSON. Values of other types count as for Size. It stops
// when the estimate exceeds limit, also in a value that contains itself. size is used as
// for Size.
func Weight(v any, limit int, size func(v interface{ Size() int }) int) int {
	w := weigher{limit: limit, size: size}
	w.add(v)
	return w.n
}

type weigher struct {
	n, limit, depth int
	size            func(v interface{ Size() int }) int
}

// levelsMax is the number of levels that Weight looks at. JSON has no more: encoding/json
// refuses to decode it.
const levelsMax = 10_000

func (w *weigher) add(v any) {
	if w.n > w.limit || w.depth > levelsMax {
		return
	}
	w.depth++
	defer func() { w.depth-- }()
	switch v := v.(type) {
	case nil, bool:
	case int, int64, uint64, float64:
		w.n += 8
	case string:
		w.n += 16 + len(v)
	case json.Number:
		w.n += 16 + len(v)
	case []any:
		w.list(v)
	case List:
		w.list(v)
	case map[string]any:
		w.n += MapWeight(len(v))
		for name, e := range v {
			w.n += len(name)
			w.add(e)
		}
	default:
		w.n += 16 + sizeOf(reflect.ValueOf(v), w.size, 4)
	}
}

func (w *weigher) list(list []any) {
	w.n += 24 + 16*cap(list)
	for _, e := range list {
		w.add(e)
	}
}

// MapWeight returns the memory of a map from strings to values with n entries, without
// the names and values themselves.
func MapWeight(n int) int {
	switch {
	case n == 0:
		return 48
	case n <= 8:
		return 48 + 272
	}
	return 48 + 64*n
}
