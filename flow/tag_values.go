package flow

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"

	"github.com/nodebus/nodebus/internal/value"
)

// checkUnexported panics if an unexported field has a tag of an input: the author means an
// input, and there is none.
func checkUnexported(t reflect.Type, sf reflect.StructField) {
	for _, tag := range []string{"in", "hidden"} {
		if _, has := sf.Tag.Lookup(tag); has {
			panic(mistake(t, sf.Name, "has a tag `%s` but is unexported, so that it is no input; begin its name with a capital, or remove the tag", tag))
		}
	}
}

// underlying returns the type that a value of type t is or points to.
func underlying(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

func isNumber(t reflect.Type) bool {
	v := reflect.New(underlying(t)).Elem()
	return v.CanInt() || v.CanUint() || v.CanFloat()
}

// parseLiteral parses a tag value as a literal of type t, in its JSON form.
func parseLiteral(t reflect.Type, s string) (any, error) {
	v := reflect.New(underlying(t)).Elem()
	switch {
	case v.CanInt():
		n, err := strconv.ParseInt(s, 10, v.Type().Bits())
		return n, plainNumError(err)
	case v.CanUint():
		n, err := strconv.ParseUint(s, 10, v.Type().Bits())
		return n, plainNumError(err)
	case v.CanFloat():
		n, err := parseFloat(s)
		if err == nil && v.OverflowFloat(n) {
			err = fmt.Errorf("no such value (%w)", strconv.ErrRange)
		}
		return n, err
	case v.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(s)
		return b, plainNumError(err)
	case v.Kind() == reflect.String:
		return s, nil
	}
	return nil, fmt.Errorf("not possible here")
}

// parseFloat parses a float64. A float32 would not have the digits that the author wrote.
func parseFloat(s string) (float64, error) {
	n, err := strconv.ParseFloat(s, 64)
	if math.IsNaN(n) || math.IsInf(n, 0) { // JSON cannot represent it
		return 0, errors.New("not a finite number")
	}
	return n, plainNumError(err)
}

// parseLimit parses a limit of a number of type t. The limit may be beyond what t holds: then
// t is the limit. A whole number of more than 64 bits is a json.Number.
func parseLimit(t reflect.Type, s string) (any, error) {
	v := reflect.New(underlying(t)).Elem()
	if !v.CanInt() && !v.CanUint() {
		return parseFloat(s)
	}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil && (v.CanUint() || u > math.MaxInt64) {
		return u, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if large, ok := new(big.Int).SetString(s, 10); ok && errors.Is(err, strconv.ErrRange) {
		return json.Number(large.String()), nil
	}
	return n, plainNumError(err)
}

func plainNumError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("no such value (%w)", errors.Unwrap(err)) // err is a *strconv.NumError
}

// parse parses the value of a tag of the field.
func (f *field) parse(tag, s string) (any, error) {
	switch {
	case tag != "default":
		return parseLimit(f.elem, s)
	case f.elem == anyType:
		return f.parseAny(s)
	case !f.Multi:
		return parseLiteral(f.elem, s)
	case s == "":
		return []any{}, nil
	}
	return parseList(f.member(), s)
}

// parseAny parses the default of an input of type any: JSON, or else a text.
func (f *field) parseAny(s string) (any, error) {
	if f.Type == "STRING" {
		return s, nil
	}
	v, err := value.Coerce(f.Type, jsonOrText(s))
	if err != nil {
		return nil, fmt.Errorf("no such value (%w)", err)
	}
	return value.Numbers(v), nil
}

// jsonOrText returns the value of a JSON text; s itself if it is not JSON.
func jsonOrText(s string) (v any) {
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	if dec.Decode(&v) != nil || strings.TrimSpace(s[dec.InputOffset():]) != "" {
		return s
	}
	return v
}

// parseList parses values of type t between commas, or in a JSON list.
func parseList(t reflect.Type, s string) (list []any, err error) {
	if all, is := jsonOrText(s).([]any); is && len(all) > 0 {
		return parseJSONList(t, all)
	}
	if strings.HasPrefix(s, `["`) {
		return nil, errors.New("neither JSON nor values between commas: it begins as a JSON list and does not end as one")
	}
	for part := range strings.SplitSeq(s, ",") {
		if isNumber(t) {
			part = strings.TrimSpace(part)
		}
		v, err := parseLiteral(t, part)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// parseJSONList returns the elements of a JSON list as values of type t.
func parseJSONList(t reflect.Type, all []any) (list []any, err error) {
	for _, e := range all {
		text, isText := e.(string)
		if isText != (underlying(t).Kind() == reflect.String) {
			return nil, fmt.Errorf("no such value (%v)", e)
		}
		if !isText {
			text = fmt.Sprint(e)
		}
		v, err := parseLiteral(t, text)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// checkLimits checks the limits against each other and against the default.
func (f *field) checkLimits(t reflect.Type, sf reflect.StructField) {
	text := sf.Tag.Get("default")
	switch {
	case exceeds(f.Min, f.Max, +1):
		panic(mistake(t, sf.Name, "tag `min:%q` is bigger than max, %v; no value is possible", sf.Tag.Get("min"), f.Max))
	case f.Default == nil || f.Unchecked:
	case exceeds(f.Default, f.Min, -1):
		panic(mistake(t, sf.Name, "tag `default:%q` is smaller than min, %v; write a value within the limits", text, f.Min))
	case exceeds(f.Default, f.Max, +1):
		panic(mistake(t, sf.Name, "tag `default:%q` is bigger than max, %v; write a value within the limits", text, f.Max))
	}
}

// checkDefault checks the default against the tag options. It does not check against the
// method Options, because the result of Options may change.
func (f *field) checkDefault(t reflect.Type, sf reflect.StructField) {
	options, isList := sf.Tag.Lookup("options")
	if !isList || f.Default == nil || f.Unchecked || f.chooser != nil {
		return
	}
	wanted, several := f.Default.([]any)
	if !several {
		wanted = []any{f.Default}
	}
	for _, v := range wanted {
		if _, ok := find(f.Choices(), v); !ok {
			panic(mistake(t, sf.Name, "tag `default:%q` is not in the list %q; write one of its values", sf.Tag.Get("default"), options))
		}
	}
}

// checkEmbedded panics if the field is an embedded pointer to a struct whose fields look like
// inputs: the pointer may be nil, so that they are none.
func checkEmbedded(t reflect.Type, sf reflect.StructField) {
	if !sf.Anonymous || sf.Type.Kind() != reflect.Pointer || sf.Type.Elem().Kind() != reflect.Struct || sf.Tag.Get("in") != "" {
		return
	}
	base := sf.Type.Elem()
	if _, named := reflect.New(base).Interface().(interface{ PortType() string }); named {
		return
	}
	for i := range base.NumField() {
		if base.Field(i).IsExported() {
			panic(mistake(t, sf.Name, "is an embedded pointer, so that the fields of %s are no inputs; embed %[1]s itself, or add a tag `in:\"-\"` if they shall be none", base))
		}
	}
}
