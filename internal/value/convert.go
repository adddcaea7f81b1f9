package value

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// To converts a value that came over a link, or a literal, to a T. A T passes
// unchanged. A number of another type is converted if T can hold it; a float
// takes the nearest value. If T is a pointer, To makes a pointer to a copy of a value;
// and it takes the value of a pointer. The elements of a list are converted one by one. A
// type with a method UnmarshalText or UnmarshalJSON reads text and other literals with it.
// If T is an interface without methods, a JSON number becomes a Go number, and a nil pointer
// becomes nil.
func To[T any](v any) (t T, err error) {
	if same, ok := v.(T); ok && !isEmpty(reflect.TypeFor[T]()) {
		return same, nil
	}
	err = Assign(reflect.ValueOf(&t).Elem(), v)
	return t, err
}

// Assign sets dst to v, with the conversions of [To].
func Assign(dst reflect.Value, v any) error {
	t := dst.Type()
	if n, ok := v.(json.Number); ok && t != numberType {
		v = number(n)
	}
	if v == nil {
		switch t.Kind() {
		case reflect.Interface, reflect.Pointer, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan:
			dst.SetZero()
			return nil
		}
		return misfit(t, nil)
	}
	src := reflect.ValueOf(v)
	switch isNil := src.Kind() == reflect.Pointer && src.IsNil(); {
	case isNil && isEmpty(t):
		dst.SetZero()
		return nil
	case src.Type().AssignableTo(t):
		dst.Set(src)
		return nil
	case isNil:
		return assignNil(dst, src.Type())
	case src.Kind() == reflect.Pointer && t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface &&
		src.Type().Elem().Kind() != reflect.Pointer:
		return Assign(dst, src.Elem().Interface())
	}
	if known, err := decode(dst, v); known {
		return err
	}
	switch {
	case dst.CanInt() || dst.CanUint() || dst.CanFloat():
		if ok := assignNumber(dst, src); ok {
			return nil
		}
	case t.Kind() == src.Kind() && (t.Kind() == reflect.String || t.Kind() == reflect.Bool):
		dst.Set(src.Convert(t)) // a named type of the same kind
		return nil
	case t.Kind() == reflect.Pointer:
		p := reflect.New(t.Elem())
		if Assign(p.Elem(), v) == nil {
			dst.Set(p)
			return nil
		}
	case t.Kind() == reflect.Slice:
		if elems, ok := listOfAny(v); ok {
			return assignElements(dst, elems)
		}
	}
	return misfit(t, v)
}

var numberType = reflect.TypeFor[json.Number]()

// isEmpty reports whether t is an interface without methods.
func isEmpty(t reflect.Type) bool { return t.Kind() == reflect.Interface && t.NumMethod() == 0 }

// assignNil sets dst to nil if dst is a pointer to a type that takes what from points to. There
// is no value for any other type.
func assignNil(dst reflect.Value, from reflect.Type) error {
	t := dst.Type()
	if t.Kind() == reflect.Pointer && Assign(reflect.New(t.Elem()).Elem(), reflect.Zero(from.Elem()).Interface()) == nil {
		dst.SetZero()
		return nil
	}
	return misfit(t, nil)
}

// Untyped returns v as an input gets it that takes values of every type: a JSON number becomes
// a Go number, and a nil pointer becomes nil.
func Untyped(v any) any {
	switch v := v.(type) {
	case nil, bool, int, float64, string:
		return v
	case json.Number:
		return number(v)
	}
	if rv := reflect.ValueOf(v); rv.Kind() == reflect.Pointer && rv.IsNil() {
		return nil
	}
	return v
}

// listOfAny returns a list of values of any type.
func listOfAny(v any) (elems []any, ok bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case List:
		return v, true
	}
	return nil, false
}

func assignElements(dst reflect.Value, elems []any) error {
	slice := reflect.MakeSlice(dst.Type(), len(elems), len(elems))
	for i, e := range elems {
		if err := Assign(slice.Index(i), e); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	dst.Set(slice)
	return nil
}

// assignNumber reports false if src is not a number or dst cannot hold it.
func assignNumber(dst, src reflect.Value) bool {
	switch {
	case src.CanInt():
		n := src.Int()
		switch {
		case dst.CanInt() && !dst.OverflowInt(n):
			dst.SetInt(n)
		case dst.CanUint() && n >= 0 && !dst.OverflowUint(uint64(n)):
			dst.SetUint(uint64(n))
		case dst.CanFloat():
			dst.SetFloat(float64(n))
		default:
			return false
		}
	case src.CanUint():
		n := src.Uint()
		switch {
		case dst.CanInt() && n <= math.MaxInt64 && !dst.OverflowInt(int64(n)):
			dst.SetInt(int64(n))
		case dst.CanUint() && !dst.OverflowUint(n):
			dst.SetUint(n)
		case dst.CanFloat():
			dst.SetFloat(float64(n))
		default:
			return false
		}
	case src.CanFloat():
		f := src.Float()
		switch {
		case dst.CanFloat() && !dst.OverflowFloat(f):
			dst.SetFloat(f)
		case dst.CanFloat() || f != math.Trunc(f):
			return false
		case f < 0 && f >= -1<<63:
			return assignNumber(dst, reflect.ValueOf(int64(f)))
		case f >= 0 && f < 1<<64:
			return assignNumber(dst, reflect.ValueOf(uint64(f)))
		default:
			return false
		}
	default:
		return false
	}
	return true
}

// number converts a JSON number to an int, to a uint64 above the range of int, or
// to a float64 if it has a fraction or an exponent.
func number(n json.Number) any {
	if !strings.ContainsAny(string(n), ".eE") {
		if i, err := n.Int64(); err == nil {
			return int(i)
		}
		if u, err := strconv.ParseUint(string(n), 10, 64); err == nil {
			return u
		}
	}
	f, err := n.Float64()
	if err != nil {
		return string(n)
	}
	return f
}
