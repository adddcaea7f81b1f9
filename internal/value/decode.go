package value

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

var (
	textType = reflect.TypeFor[encoding.TextUnmarshaler]()
	jsonType = reflect.TypeFor[json.Unmarshaler]()
)

// Decodes reports whether values of type t, or what they point to, read literals themselves:
// with a method UnmarshalText or UnmarshalJSON.
func Decodes(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Name() != "" && t.PkgPath() == "" {
		return false // int, string, …
	}
	p := reflect.PointerTo(t)
	return p.Implements(textType) || p.Implements(jsonType)
}

// decode sets dst with the method of its type. known is false if there is no such method, or
// if the type is a number that has another way to read v.
func decode(dst reflect.Value, v any) (known bool, err error) {
	t := dst.Type()
	if v == nil || t.Kind() == reflect.Interface || !Decodes(t) {
		return false, nil
	}
	for dst.Kind() == reflect.Pointer {
		p := reflect.New(dst.Type().Elem())
		dst.Set(p)
		dst = p.Elem()
	}
	switch p := dst.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		if text, ok := v.(string); ok {
			err = p.UnmarshalText([]byte(text))
			break
		}
		if known, err = decodeJSON(p, v); !known {
			return false, nil
		}
	default:
		_, err = decodeJSON(p, v)
	}
	if err == nil {
		return true, nil
	}
	if _, isText := v.(string); !isText && (dst.CanInt() || dst.CanUint() || dst.CanFloat()) {
		return false, nil
	}
	return true, fmt.Errorf("needs %s, got %s: %w", Words(t), describe(v), jsonenc.Worded(err))
}

// decodeJSON calls UnmarshalJSON. known is false if p has no such method.
func decodeJSON(p, v any) (known bool, err error) {
	u, ok := p.(json.Unmarshaler)
	if !ok {
		return false, nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return true, err
	}
	return true, u.UnmarshalJSON(text)
}
