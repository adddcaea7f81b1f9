// Package pyfmt formats JSON values as Python prints them, because ComfyUI's
// validation messages contain values in this format.
package pyfmt

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Str returns Python's str(v) for a decoded JSON value. It writes the members of
// an object in alphabetical order.
func Str(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return Repr(v)
}

// Repr returns Python's repr(v) for a decoded JSON value.
func Repr(v any) string {
	var b strings.Builder
	repr(&b, v)
	return b.String()
}

func repr(b *strings.Builder, v any) {
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		if v {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case string:
		reprString(b, v)
	case json.Number:
		b.WriteString(Number(v))
	case float64:
		b.WriteString(Float(v))
	case float32:
		b.WriteString(Float(float64(v)))
	case []any:
		list(b, v)
	case []string:
		list(b, v)
	case map[string]any:
		b.WriteByte('{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b.WriteString(", ")
			}
			reprString(b, k)
			b.WriteString(": ")
			repr(b, v[k])
		}
		b.WriteByte('}')
	default:
		fmt.Fprint(b, v)
	}
}

func list[T any](b *strings.Builder, l []T) {
	b.WriteByte('[')
	for i, e := range l {
		if i > 0 {
			b.WriteString(", ")
		}
		repr(b, e)
	}
	b.WriteByte(']')
}

// Number returns a JSON number as Python reads and prints it.
func Number(n json.Number) string {
	if !strings.ContainsAny(string(n), ".eE") {
		if n == "-0" {
			return "0"
		}
		return string(n)
	}
	f, _ := n.Float64() // the only possible error is out of range; f is then infinite
	return Float(f)
}

// Float returns Python's repr of a float.
func Float(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func reprString(b *strings.Builder, s string) {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b.Grow(len(s) + 2)
	b.WriteByte(quote)
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < utf8.RuneSelf && (r < ' ' || r == 0x7f):
			escape(b, 'x', 2, r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			escape(b, 'x', 2, r)
		case r < 0x10000:
			escape(b, 'u', 4, r)
		default:
			escape(b, 'U', 8, r)
		}
	}
	b.WriteByte(quote)
}

// escape writes a character as a number of digits. It is not left to fmt, which takes many times
// as long: a text of many megabytes may have no other characters.
func escape(b *strings.Builder, kind byte, digits int, r rune) {
	text := [10]byte{'\\', kind}
	for i := digits + 1; i > 1; i, r = i-1, r>>4 {
		text[i] = "0123456789abcdef"[r&0xf]
	}
	b.Write(text[:digits+2])
}
