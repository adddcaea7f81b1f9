package flow

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/nodebus/nodebus/internal/pyfmt"
	"github.com/nodebus/nodebus/internal/value"
)

// given is what the current call was given, in plain values, for the error
// message of a node that fails.
func (w *worker) given() map[string][]any {
	in := map[string][]any{}
	for k := range w.n.plan.class.inputs {
		f := &w.n.plan.class.inputs[k]
		if f.Kind == Hidden || k >= len(w.base) || w.base[k] == absent {
			continue
		}
		list, ok := w.base[k].(value.List)
		if !ok {
			list = value.List{w.base[k]}
		}
		list = list[:min(len(list), 100)]
		shown := make([]any, len(list))
		for i, e := range list {
			shown[i] = shownValue(e)
		}
		in[f.Name] = shown
	}
	return in
}

// shownValue is v if it is a plain value, the text of a list or an object, and
// otherwise the name of its type.
func shownValue(v any) any {
	switch v := v.(type) {
	case nil, bool:
		return v
	case string:
		return value.Shorten(v)
	case lazyArg:
		return "lazy"
	case []any, map[string]any:
		room := shownMax
		return value.Shorten(pyfmt.Str(sketch(v, &room)))
	}
	switch p, _ := value.Basic(v); p := p.(type) {
	case float64:
		if !jsonenc.Finite(p) {
			return strconv.FormatFloat(p, 'g', -1, 64)
		}
		return p
	case int64, uint64, bool:
		return p
	case string:
		return value.Shorten(p)
	}
	return shownType(v)
}

// shownMax is how many values in another one are shown: for no more of them is
// there room in a text that is shortened.
const shownMax = 1000

// sketch is v without what there is no room for: what nodes give one another may be
// of any size, and even contain itself.
func sketch(v any, room *int) any {
	*room--
	switch v := v.(type) {
	case []any:
		list := []any{}
		for _, e := range v {
			if *room <= 0 {
				break
			}
			list = append(list, sketch(e, room))
		}
		return list
	case map[string]any:
		object := map[string]any{}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if *room <= 0 {
				break
			}
			object[value.Shorten(k)] = sketch(v[k], room)
		}
		return object
	case nil, json.Number:
		return v
	case string:
		return value.Shorten(v)
	}
	if p, ok := value.Basic(v); ok {
		return p
	}
	return bare(shownType(v))
}

// bare is a text that is shown without quotes.
type bare string

func shownType(v any) string { return strings.TrimPrefix(typeName(v), "*") }
