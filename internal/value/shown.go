package value

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/nodebus/nodebus/internal/pyfmt"
)

// Shown returns v for an error message: v itself if it is a basic value, the text of a
// list or an object, and otherwise the name of its type. Long texts are shortened.
func Shown(v any) any {
	switch v := v.(type) {
	case nil, bool:
		return v
	case string:
		return Shorten(v)
	case []any, map[string]any:
		room := shownMax
		return Shorten(pyfmt.Str(sketch(v, &room)))
	}
	if v, ok := plain(v); ok {
		return Shown(v)
	}
	switch p, _ := Basic(v); p := p.(type) {
	case float64:
		if !jsonenc.Finite(p) {
			return strconv.FormatFloat(p, 'g', -1, 64)
		}
		return p
	case int64, uint64, bool:
		return p
	case string:
		return Shorten(p)
	}
	return shownType(v)
}

// shownMax is how many values inside another value are shown: a text that is shortened
// has no room for more.
const shownMax = 1000

// sketch returns v without what there is no room for: the values that nodes give each
// other may have any size, and may even contain themselves.
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
			object[Shorten(k)] = sketch(v[k], room)
		}
		return object
	case nil, json.Number:
		return v
	case string:
		return Shorten(v)
	}
	if p, ok := Basic(v); ok {
		return p
	}
	return unquoted(shownType(v))
}

// unquoted is a text that is shown without quotes.
type unquoted string

func shownType(v any) string { return strings.TrimPrefix(fmt.Sprintf("%T", v), "*") }
