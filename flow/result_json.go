package flow

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// The JSON of an output: null, booleans, strings, int (without a fraction), float64 (with
// a fraction or an exponent) and []any are themselves. Everything else is an object; see
// valueJSON.

// jsonDepth bounds the depth of a value: it may contain itself.
const jsonDepth = 100

var errTooDeep = errors.New("a value contains itself, or lists and objects are nested too deeply")

// encodeOutput encodes an output, which may be a list or blocked.
func encodeOutput(v any) (json.RawMessage, error) {
	list, isList := v.(value.List)
	if !isList {
		return encodeElement(v)
	}
	if len(list) == 0 {
		return json.Marshal(valueJSON{Type: "list"})
	}
	elems := make([]json.RawMessage, len(list))
	for i, e := range list {
		var err error
		if elems[i], err = encodeElement(e); err != nil {
			return nil, err
		}
	}
	return json.Marshal(valueJSON{List: elems})
}

func encodeElement(v any) (json.RawMessage, error) {
	if b, ok := v.(*nodebus.BlockedError); ok && b != nil {
		return json.Marshal(valueJSON{Blocked: &b.Reason})
	}
	return encodeValue(v, 0)
}

func encodeValue(v any, depth int) (json.RawMessage, error) {
	if depth > jsonDepth {
		return nil, errTooDeep
	}
	switch v := v.(type) {
	case nil, bool, int:
		return json.Marshal(v)
	case string:
		if utf8.ValidString(v) {
			return json.Marshal(v)
		}
	case float64:
		if data, err := json.Marshal(v); err != nil || strings.ContainsAny(string(data), ".e") {
			return data, err
		}
		return []byte(strconv.FormatFloat(v, 'f', 1, 64)), nil
	case []any:
		if v != nil {
			return encodeList(v, depth)
		}
	case map[string]any:
		if v != nil {
			return encodeObject(v, depth)
		}
	}
	return encodeTyped(v, depth)
}

func encodeList(v []any, depth int) (json.RawMessage, error) {
	elems := make([]json.RawMessage, len(v))
	for i, e := range v {
		var err error
		if elems[i], err = encodeValue(e, depth+1); err != nil {
			return nil, err
		}
	}
	return json.Marshal(elems)
}

func encodeObject(v map[string]any, depth int) (json.RawMessage, error) {
	if len(v) == 0 {
		return json.Marshal(valueJSON{Type: "object"})
	}
	elems := make(map[string]json.RawMessage, len(v))
	for name, e := range v {
		if !utf8.ValidString(name) {
			return nil, fmt.Errorf("the name %q is not UTF-8", name)
		}
		var err error
		if elems[name], err = encodeValue(e, depth+1); err != nil {
			return nil, err
		}
	}
	return json.Marshal(valueJSON{Object: elems})
}

// encodeTyped encodes a value of another Go type. It decodes the value again, because JSON
// silently loses much of what Go values hold. Only the output itself can have a type of
// the program: the executor knows no other types.
func encodeTyped(v any, depth int) (json.RawMessage, error) {
	t := reflect.TypeOf(v)
	if depth > 0 && plainTypes[goTypeName(t)] == nil {
		return nil, fmt.Errorf("a list or an object contains a value of type %s", t)
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	back := reflect.New(t)
	if err := json.Unmarshal(data, back.Interface()); err != nil || !reflect.DeepEqual(back.Elem().Interface(), v) {
		return nil, fmt.Errorf("a value of type %s is not the same after JSON", t)
	}
	return json.Marshal(valueJSON{Type: goTypeName(t), Value: data})
}

// decodeOutput is the inverse of encodeOutput.
func decodeOutput(data json.RawMessage) (any, error) {
	in, isObject, err := decodeObject(data)
	switch {
	case err != nil:
		return nil, err
	case isObject && in.Type == "list":
		return value.List{}, nil
	case !isObject || in.List == nil:
		return decodeElement(data)
	}
	list := make(value.List, len(in.List))
	for i, e := range in.List {
		if list[i], err = decodeElement(e); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func decodeElement(data json.RawMessage) (any, error) {
	if in, isObject, err := decodeObject(data); err != nil || isObject && in.Blocked != nil {
		if err == nil {
			return &nodebus.BlockedError{Reason: *in.Blocked}, nil
		}
		return nil, err
	}
	return decodeValue(data, 0)
}

func decodeObject(data json.RawMessage) (in valueJSON, isObject bool, err error) {
	if len(data) == 0 || data[0] != '{' {
		return in, false, nil
	}
	return in, true, json.Unmarshal(data, &in)
}

var errForm = errors.New("not the form that MarshalJSON writes")

func decodeValue(data json.RawMessage, depth int) (any, error) {
	if depth > jsonDepth {
		return nil, errTooDeep
	}
	if len(data) == 0 {
		return nil, errForm
	}
	switch data[0] {
	case '{':
		return decodeTagged(data, depth)
	case '[':
		var elems []json.RawMessage
		if err := json.Unmarshal(data, &elems); err != nil {
			return nil, err
		}
		list := make([]any, len(elems))
		for i, e := range elems {
			var err error
			if list[i], err = decodeValue(e, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case 'n', 't', 'f', '"':
		var v any
		err := json.Unmarshal(data, &v)
		return v, err
	}
	if strings.ContainsAny(string(data), ".eE") {
		return strconv.ParseFloat(string(data), 64)
	}
	return strconv.Atoi(string(data))
}

func decodeTagged(data json.RawMessage, depth int) (any, error) {
	in, _, err := decodeObject(data)
	switch {
	case err != nil:
		return nil, err
	case in.Type == "object":
		return map[string]any{}, nil
	case in.Object != nil:
		object := make(map[string]any, len(in.Object))
		for name, e := range in.Object {
			if object[name], err = decodeValue(e, depth+1); err != nil {
				return nil, err
			}
		}
		return object, nil
	case in.Type == "" || in.Value == nil:
		return nil, errForm
	}
	e := encoded{typ: in.Type, data: in.Value}
	if t := plainTypes[in.Type]; t != nil {
		v, ok := e.decode(t)
		if !ok {
			return nil, errForm
		}
		return v, nil
	}
	if depth > 0 {
		return nil, errForm
	}
	return e, nil
}

// plainTypes holds the types that every program has, by name.
var plainTypes = maps.Collect(func(yield func(string, reflect.Type) bool) {
	for _, t := range []reflect.Type{
		reflect.TypeFor[int8](), reflect.TypeFor[int16](), reflect.TypeFor[int32](), reflect.TypeFor[int64](),
		reflect.TypeFor[uint](), reflect.TypeFor[uint8](), reflect.TypeFor[uint16](), reflect.TypeFor[uint32](), reflect.TypeFor[uint64](),
		reflect.TypeFor[float32](), reflect.TypeFor[[]byte](), reflect.TypeFor[[]any](), reflect.TypeFor[map[string]any](),
		reflect.TypeFor[[]int](), reflect.TypeFor[[]float64](), reflect.TypeFor[[]string](), reflect.TypeFor[json.Number](),
	} {
		if !yield(goTypeName(t), t) {
			return
		}
	}
})
