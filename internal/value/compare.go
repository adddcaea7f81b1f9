package value

import (
	"cmp"
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
)

// Compare orders two numbers: of any Go type, json.Number or *big.Int. The result is exact:
// no number is rounded to the type of the other. ok is false unless both are numbers. As in
// package cmp, NaN is less than every other number.
func Compare(a, b any) (sign int, ok bool) {
	av, bv := numeral(a), numeral(b)
	switch {
	case !av.IsValid() || !bv.IsValid():
		return 0, false
	case av.CanInt() && bv.CanInt():
		return cmp.Compare(av.Int(), bv.Int()), true
	case av.CanUint() && bv.CanUint():
		return cmp.Compare(av.Uint(), bv.Uint()), true
	case av.CanInt() && bv.CanUint():
		return compareMixed(av.Int(), bv.Uint()), true
	case av.CanUint() && bv.CanInt():
		return -compareMixed(bv.Int(), av.Uint()), true
	case av.CanFloat() && bv.CanFloat():
		return cmp.Compare(av.Float(), bv.Float()), true
	case isNaN(av):
		return -1, true
	case isNaN(bv):
		return 1, true
	}
	return exactly(av).Cmp(exactly(bv)), true
}

func compareMixed(n int64, u uint64) int {
	if n < 0 {
		return -1
	}
	return cmp.Compare(uint64(n), u)
}

// numeral returns a number as an integer, a float, or a *big.Int; the zero Value if v is not
// a number.
func numeral(v any) reflect.Value {
	if text, ok := v.(json.Number); ok {
		v = readNumber(string(text))
	}
	rv := reflect.ValueOf(v)
	if n, ok := v.(*big.Int); ok && n != nil || rv.CanInt() || rv.CanUint() || rv.CanFloat() {
		return rv
	}
	return reflect.Value{}
}

// mostDigits bounds the work for a number that a client sends: a longer number is read as a
// float.
const mostDigits = 400

// readNumber reads a JSON number; nil if it is none.
func readNumber(text string) any {
	if len(text) <= mostDigits && !strings.ContainsAny(text, ".eE") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
		if n, ok := new(big.Int).SetString(text, 10); ok {
			return n
		}
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(f, 0) {
		return nil
	}
	return f
}

func isNaN(v reflect.Value) bool { return v.CanFloat() && math.IsNaN(v.Float()) }

// exactly returns a numeral that is not NaN without rounding it.
func exactly(v reflect.Value) *big.Float {
	switch {
	case v.CanInt():
		return new(big.Float).SetInt64(v.Int())
	case v.CanUint():
		return new(big.Float).SetUint64(v.Uint())
	case v.CanFloat():
		return new(big.Float).SetFloat64(v.Float())
	}
	return new(big.Float).SetInt(v.Interface().(*big.Int))
}
