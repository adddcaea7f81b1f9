package jsonenc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"
)

// Marshal returns the JSON of any Go value. It follows the rules of encoding/json, also for
// tags and for types with a MarshalJSON or MarshalText of their own, with two exceptions:
//
//   - A NaN or an infinity is null. So is a [json.Number] that no float64 can hold.
//   - A nil slice is [], because a list on the wire is a list. A nil []byte is null: it
//     is no list on the wire, but a text.
//
// What a MarshalJSON returns stays as it is.
func Marshal(v any) ([]byte, error) {
	if v == nil {
		return []byte("null"), nil
	}
	c := coderOf(reflect.TypeOf(v))
	if c.marshals {
		return json.Marshal(v)
	}
	buf := buffers.Get().(*[]byte)
	b, err := c.append(&walk{}, (*buf)[:0], reflect.ValueOf(v), false)
	if err != nil {
		return nil, err
	}
	text := bytes.Clone(b)
	if cap(b) <= keptBuffer {
		*buf = b
		buffers.Put(buf)
	}
	return text, nil
}

// Append appends the JSON of v, as [Marshal] returns it.
func Append(b []byte, v any) ([]byte, error) {
	if v == nil {
		return append(b, "null"...), nil
	}
	return coderOf(reflect.TypeOf(v)).append(&walk{}, b, reflect.ValueOf(v), false)
}

// buffers holds memory for the JSON that Marshal makes.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

const keptBuffer = 64 << 10 // bytes

// walk detects a value that contains itself.
type walk struct {
	depth int
	seen  map[memory]bool // the references on the way to the current value, below cycleDepth
}

// cycleDepth is the number of nested references from which on walk looks for cycles.
const cycleDepth = 1000

// memory identifies what a pointer, a map or a slice refers to.
type memory struct {
	at  unsafe.Pointer
	len int
}

func memoryOf(v reflect.Value) memory {
	if v.Kind() == reflect.Slice {
		return memory{v.UnsafePointer(), v.Len()}
	}
	return memory{v.UnsafePointer(), 0}
}

// enter begins with what v refers to. After a call without an error, leave ends it.
func (w *walk) enter(v reflect.Value) error {
	if w.depth++; w.depth <= cycleDepth {
		return nil
	}
	id := memoryOf(v)
	if w.seen[id] {
		return &json.UnsupportedValueError{Value: v, Str: fmt.Sprintf("encountered a cycle via %s", v.Type())}
	}
	if w.seen == nil {
		w.seen = map[memory]bool{}
	}
	w.seen[id] = true
	return nil
}

func (w *walk) leave(v reflect.Value) {
	if w.depth > cycleDepth {
		delete(w.seen, memoryOf(v))
	}
	w.depth--
}

// append appends v, whose type is the type of c. quoted is true for a field whose tag asks
// for a string.
func (c *coder) append(w *walk, b []byte, v reflect.Value, quoted bool) ([]byte, error) {
	if c.marshals || c.pointerMarshals && v.CanAddr() {
		return c.own(b, v)
	}
	switch c.kind {
	case reflect.Struct:
		return c.structure(w, b, v)
	case reflect.Map:
		return c.mapping(w, b, v)
	case reflect.Slice:
		return c.slice(w, b, v)
	case reflect.Array:
		return c.list(w, b, v)
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, "null"...), nil
		}
		if err := w.enter(v); err != nil {
			return nil, err
		}
		defer w.leave(v)
		return c.elem.append(w, b, v.Elem(), quoted)
	case reflect.Interface:
		if v.IsNil() {
			return append(b, "null"...), nil
		}
		v = v.Elem()
		return coderOf(v.Type()).append(w, b, v, false)
	}
	if !quoted {
		return c.basic(b, v)
	}
	return c.quote(b, v)
}

// own appends what the own marshaller of the value returns.
func (c *coder) own(b []byte, v reflect.Value) ([]byte, error) {
	if v.CanAddr() && c.pointerMarshals {
		v = v.Addr()
	}
	text, err := json.Marshal(v.Interface())
	return append(b, text...), err
}

// basic appends a string, a boolean or a number.
func (c *coder) basic(b []byte, v reflect.Value) ([]byte, error) {
	switch c.kind {
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.AppendUint(b, v.Uint(), 10), nil
	case reflect.Float32:
		return float32OrNull(b, v.Float()), nil
	case reflect.Float64:
		return FloatOrNull(b, v.Float()), nil
	case reflect.String:
		if c.number {
			return number(b, json.Number(v.String()))
		}
		return String(b, v.String()), nil
	}
	return nil, &json.UnsupportedTypeError{Type: v.Type()}
}

// quote appends a string, a boolean or a number as a string that holds its JSON. null is
// no string.
func (c *coder) quote(b []byte, v reflect.Value) ([]byte, error) {
	plain, err := c.basic(nil, v)
	if err != nil || string(plain) == "null" {
		return append(b, plain...), err
	}
	return String(b, string(plain)), nil
}

// number appends a number that is text already. An empty text is 0.
func number(b []byte, n json.Number) ([]byte, error) {
	if _, is := Infinite(n); is {
		return append(b, "null"...), nil
	}
	text, err := json.Marshal(n)
	return append(b, text...), err
}

func (c *coder) structure(w *walk, b []byte, v reflect.Value) (_ []byte, err error) {
	b = append(b, '{')
	start := len(b)
	for i := range c.fields {
		f := &c.fields[i]
		at, ok := f.of(v)
		if !ok || f.omitEmpty && isEmpty(at) || f.omitZero && f.isZero(at) {
			continue
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, f.member...)
		if b, err = f.coder.append(w, b, at, f.quoted); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func (c *coder) slice(w *walk, b []byte, v reflect.Value) ([]byte, error) {
	switch {
	case c.bytes && v.IsNil():
		return append(b, "null"...), nil
	case c.bytes:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v.Bytes())
		return append(b, '"'), nil
	case v.IsNil():
		return append(b, "[]"...), nil
	}
	if err := w.enter(v); err != nil {
		return nil, err
	}
	defer w.leave(v)
	return c.list(w, b, v)
}

func (c *coder) list(w *walk, b []byte, v reflect.Value) (_ []byte, err error) {
	b = append(b, '[')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = c.elem.append(w, b, v.Index(i), false); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func (c *coder) mapping(w *walk, b []byte, v reflect.Value) ([]byte, error) {
	if v.IsNil() {
		return append(b, "null"...), nil
	}
	if err := w.enter(v); err != nil {
		return nil, err
	}
	defer w.leave(v)
	members := make([]member, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		name, err := nameOf(it.Key())
		if err != nil {
			return nil, fmt.Errorf("json: encoding error for type %q: %w", v.Type().String(), err)
		}
		members = append(members, member{name, it.Value()})
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	b = append(b, '{')
	for i, m := range members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(String(b, m.name), ':')
		var err error
		if b, err = c.elem.append(w, b, m.value, false); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

type member struct {
	name  string
	value reflect.Value
}

// nameOf returns the text of a key of a map.
func nameOf(key reflect.Value) (string, error) {
	if key.Kind() == reflect.String {
		return key.String(), nil
	}
	if t, ok := key.Interface().(interface{ MarshalText() ([]byte, error) }); ok {
		if key.Kind() == reflect.Pointer && key.IsNil() {
			return "", nil
		}
		text, err := t.MarshalText()
		return string(text), err
	}
	if key.CanInt() {
		return strconv.FormatInt(key.Int(), 10), nil
	}
	return strconv.FormatUint(key.Uint(), 10), nil
}
