// Package jsonenc appends JSON values to a buffer. The bytes equal the output of
// encoding/json, but there is no reflection and no allocation. [Marshal] encodes any
// value.
package jsonenc

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// safe marks the ASCII bytes that encoding/json writes unescaped: all printable
// bytes except the quote, the backslash and the HTML characters <, > and &.
var safe = func() (t [utf8.RuneSelf]bool) {
	for c := range t {
		t[c] = c >= ' ' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
	}
	return t
}()

const hex = "0123456789abcdef"

// String appends s as a JSON string. Bytes that are not valid UTF-8 become U+FFFD.
func String(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if !safe[c] {
				b = append(b, s[start:i]...)
				b = escape(b, c)
				start = i + 1
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(b, s[start:i]...)
			b = append(b, `\ufffd`...)
			start = i + size
		case r == '\u2028' || r == '\u2029': // JavaScript treats these as line ends
			b = append(b, s[start:i]...)
			b = append(b, `\u202`...)
			b = append(b, hex[r&0xf])
			start = i + size
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

func escape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
}

// StringOrNull appends s, or null if s is empty.
func StringOrNull(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return String(b, s)
}

// Float appends f, which must be finite. NaN and infinities have no JSON form;
// the caller checks with [Finite] first.
func Float(b []byte, f float64) []byte {
	if n := int64(f); float64(n) == f && n > -1e15 && n < 1e15 && (n != 0 || !math.Signbit(f)) {
		return strconv.AppendInt(b, n, 10) // the common case; AppendInt is four times as fast
	}
	return longFloat(b, f, 64)
}

// longFloat appends a finite number of this many bits, as encoding/json does.
func longFloat(b []byte, f float64, bits int) []byte {
	format := byte('f')
	a := math.Abs(f)
	small, large := a < 1e-6, a >= 1e21
	if bits == 32 {
		small, large = float32(a) < 1e-6, float32(a) >= 1e21
	}
	if a != 0 && (small || large) {
		format = 'e'
	}
	b = strconv.AppendFloat(b, f, format, -1, bits)
	if n := len(b); format == 'e' && n >= 4 && b[n-4] == 'e' && (b[n-3] == '-' || b[n-3] == '+') && b[n-2] == '0' {
		b[n-2] = b[n-1] // encoding/json writes e-9, not e-09
		b = b[:n-1]
	}
	return b
}

// FloatOrNull appends f, or null if f is not finite.
func FloatOrNull(b []byte, f float64) []byte {
	if !Finite(f) {
		return append(b, "null"...)
	}
	return Float(b, f)
}

// float32OrNull is FloatOrNull for a number that was a float32.
func float32OrNull(b []byte, f float64) []byte {
	if !Finite(f) {
		return append(b, "null"...)
	}
	return longFloat(b, f, 32)
}

// Finite reports whether every number in fs is finite, so that JSON can hold it.
func Finite(fs ...float64) bool {
	for _, f := range fs {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return false
		}
	}
	return true
}
