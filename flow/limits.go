package flow

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/nodebus/nodebus/internal/value"
)

// exceeds reports whether v is beyond limit: sign is -1 for a minimum and +1 for a
// maximum.
func exceeds(v, limit any, sign int) bool {
	if limit == nil {
		return false
	}
	s, ok := value.Compare(numeric(v), limit)
	return ok && s == sign
}

// numeric returns the number that a truth value is in comparisons; any other value unchanged.
func numeric(v any) any {
	switch v {
	case true:
		return 1
	case false:
		return 0
	}
	return v
}

// number returns a limit as an int64, a uint64, a float64, or a json.Number for a whole number of
// more than 64 bits. ok is false if it is no number or not finite.
func number(v any) (n any, ok bool) {
	if text, is := v.(json.Number); is {
		return numberOf(string(text))
	}
	basic, _ := value.Basic(v)
	switch n := basic.(type) {
	case int64, uint64:
		return n, true
	case float64:
		return n, !math.IsNaN(n) && !math.IsInf(n, 0)
	}
	return nil, false
}

// numberOf parses a JSON number. ok is false if it has a fraction or an exponent, and is too big
// for a float64.
func numberOf(text string) (n any, ok bool) {
	if !strings.ContainsAny(text, ".eE") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, true
		}
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			return n, true
		}
		return json.Number(text), json.Valid([]byte(text))
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil
}
