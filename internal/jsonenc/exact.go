package jsonenc

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// Decode reads one JSON value into v, as json.Unmarshal does. A number that goes into an
// interface becomes a json.Number; [ExactNumbers] makes float64 of most of them.
func Decode(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return dec.Decode(v)
}

// ExactNumbers returns v with a float64 in the place of each json.Number that a float64
// holds exactly: its JSON has the same value. v is a decoded JSON value. Lists and objects
// of v are written to.
func ExactNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if f, ok := exactFloat(string(v)); ok {
			return f
		}
	case []any:
		for i, e := range v {
			v[i] = ExactNumbers(e)
		}
	case map[string]any:
		for name, e := range v {
			v[name] = ExactNumbers(e)
		}
	}
	return v
}

// exactFloat returns the number that text means, if the JSON of the float64 means the same.
func exactFloat(text string) (f float64, ok bool) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, false // too large
	}
	if len(text) <= 15 && !strings.ContainsAny(text, "eE") {
		return f, true // a float64 holds each number of 15 digits
	}
	return f, decimalOf(text) == decimalOf(string(Float(nil, f)))
}

// decimal is a number 0.digits * 10^exp. digits neither begins nor ends with 0; it is empty
// for zero.
type decimal struct {
	negative bool
	digits   string
	exp      int
}

// decimalOf reads a JSON number.
func decimalOf(text string) (d decimal) {
	mantissa, exp, _ := strings.Cut(strings.ToLower(text), "e")
	mantissa, d.negative = strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return d
	}
	n, _ := strconv.Atoi(exp) // no exponent is 0; one too large for an int is no exact float64
	d.exp = n + len(whole) - (len(whole) + len(fraction) - len(digits))
	d.digits = strings.TrimRight(digits, "0")
	return d
}
