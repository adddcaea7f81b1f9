package value

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/nodebus/nodebus/internal/pyfmt"
)

// Coerce converts a literal to the type that its input declares, by ComfyUI's
// rules: "3" and 3.7 are an INT of 3, and every value is a STRING. Literals of
// other types stay as they are. Where ComfyUI has an error text, the error has
// the same text.
func Coerce(portType string, v any) (any, error) {
	switch portType {
	case "INT":
		return toInt(v)
	case "FLOAT":
		return toFloat(v)
	case "STRING":
		return pyfmt.Str(v), nil
	case "BOOLEAN":
		return truth(v), nil
	}
	return v, nil
}

// toInt returns an int64, or a uint64 for a number above the range of int64.
func toInt(v any) (any, error) {
	switch v := v.(type) {
	case bool:
		if v {
			return int64(1), nil
		}
		return int64(0), nil
	case string:
		digits := strings.TrimSpace(v)
		if len(digits) > 1 && digits[0] == '+' && isDigit(digits[1]) {
			digits = digits[1:] // ParseUint takes no sign
		}
		n, err := parseInt(strings.ReplaceAll(digits, "_", ""))
		switch {
		case oddUnderscore(digits):
		case err == nil:
			return n, nil
		case errors.Is(err, strconv.ErrRange):
			return nil, fmt.Errorf("%s does not fit in 64 bits", digits)
		}
		return nil, fmt.Errorf("invalid literal for int() with base 10: %s", pyfmt.Repr(v))
	case json.Number:
		if !strings.ContainsAny(string(v), ".eE") {
			n, err := parseInt(string(v))
			if err != nil {
				return nil, fmt.Errorf("%s does not fit in 64 bits", v)
			}
			return n, nil
		}
		f, _ := v.Float64()
		return floatToInt(f)
	}
	rv := reflect.ValueOf(v)
	switch {
	case v == nil:
	case rv.CanInt():
		return rv.Int(), nil
	case rv.CanUint():
		return rv.Uint(), nil
	case rv.CanFloat():
		return floatToInt(rv.Float())
	}
	return nil, fmt.Errorf("int() argument must be a string, a bytes-like object or a real number, not '%s'", pyType(v))
}

func floatToInt(f float64) (any, error) {
	f = math.Trunc(f)
	switch {
	case math.IsNaN(f):
		return nil, fmt.Errorf("cannot convert float NaN to integer")
	case math.IsInf(f, 0):
		return nil, fmt.Errorf("cannot convert float infinity to integer")
	case f >= -1<<63 && f < 1<<63:
		return int64(f), nil
	case f > 0 && f < 1<<64:
		return uint64(f), nil
	}
	return nil, fmt.Errorf("%s does not fit in 64 bits", pyfmt.Float(f))
}

func parseInt(s string) (any, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err
}

// oddUnderscore: a digit must stand on both sides of each underscore.
func oddUnderscore(s string) bool {
	for i := range len(s) {
		if s[i] == '_' && (i == 0 || i == len(s)-1 || !isDigit(s[i-1]) || !isDigit(s[i+1])) {
			return true
		}
	}
	return false
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func toFloat(v any) (any, error) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1.0, nil
		}
		return 0.0, nil
	case string:
		s := strings.TrimSpace(v)
		f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) || oddUnderscore(s) || strings.ContainsAny(s, "xXpP") {
			return nil, fmt.Errorf("could not convert string to float: %s", pyfmt.Repr(v))
		}
		return finite(f, s)
	case json.Number:
		f, _ := v.Float64()
		return finite(f, string(v))
	}
	rv := reflect.ValueOf(v)
	switch {
	case v == nil:
	case rv.CanInt():
		return float64(rv.Int()), nil
	case rv.CanUint():
		return float64(rv.Uint()), nil
	case rv.CanFloat():
		return finite(rv.Float(), fmt.Sprint(v))
	}
	return nil, fmt.Errorf("float() argument must be a string or a real number, not '%s'", pyType(v))
}

// finite refuses numbers that JSON has no form for: a record could not hold them.
func finite(f float64, s string) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("%s is not a finite number", s)
	}
	return f, nil
}

// truth is Python's bool(v).
func truth(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case json.Number:
		f, err := v.Float64()
		return err != nil || f != 0
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return !reflect.ValueOf(v).IsZero()
}

func pyType(v any) string {
	switch v.(type) {
	case nil:
		return "NoneType"
	case map[string]any:
		return "dict"
	case []any:
		return "list"
	}
	return fmt.Sprintf("%T", v)
}

// Basic converts a value of a named string, bool or number type to int64, uint64,
// float64, string or bool. ok is false for any other value.
func Basic(v any) (basic any, ok bool) {
	rv := reflect.ValueOf(v)
	switch {
	case rv.CanInt():
		return rv.Int(), true
	case rv.CanUint():
		return rv.Uint(), true
	case rv.CanFloat():
		return rv.Float(), true
	case rv.Kind() == reflect.String:
		return rv.String(), true
	case rv.Kind() == reflect.Bool:
		return rv.Bool(), true
	}
	return nil, false
}

// Text converts a value of a named string type, such as a drop-down's type, to a
// string. It returns any other value unchanged.
func Text(v any) any {
	if _, isNumber := v.(json.Number); isNumber || reflect.ValueOf(v).Kind() != reflect.String {
		return v
	}
	return reflect.ValueOf(v).String()
}
