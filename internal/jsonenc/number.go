package jsonenc

import (
	"encoding/json"
	"strconv"
)

// TooLarge looks in v, decoded with numbers as they are written, for one that no
// float64 can hold. JSON allows it, but hardly a program could read it back. Of
// several it is always the same.
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
