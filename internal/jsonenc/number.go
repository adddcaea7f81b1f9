package jsonenc

import (
	"encoding/json"
	"strconv"
)

// TooLarge searches v for a number that no float64 can hold. Such a number is
// valid JSON, but most programs cannot read it. v is a decoded JSON value with
// numbers of type json.Number. If v has several such numbers, TooLarge returns
// the same one every time.
func TooLarge(v any) (n json.Number, found bool) {
	switch v := v.(type) {
	case json.Number:
		if len(v) < len("1e309") {
			return "", false
		}
		_, err := strconv.ParseFloat(string(v), 64)
		return v, err != nil
	case []any:
		for _, e := range v {
			if n, found := TooLarge(e); found {
				return n, true
			}
		}
	case map[string]any:
		first := ""
		for name, e := range v {
			if found && name > first {
				continue
			}
			if big, is := TooLarge(e); is {
				n, found, first = big, true, name
			}
		}
	}
	return n, found
}
