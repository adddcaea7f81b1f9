package web

import "github.com/nodebus/nodebus/internal/jsonenc"

// Member is the name and the value of one member of an [Object].
type Member [2]any

// Object is a JSON object whose members keep their order. Clients depend on the
// order of inputs, prompts and records. The names of the members must be strings.
type Object []Member

// Add adds a member at the end.
func (o *Object) Add(name string, value any) { *o = append(*o, Member{name, value}) }

// MarshalJSON encodes the members in order.
func (o Object) MarshalJSON() ([]byte, error) { return o.append(nil) }

func (o Object) append(b []byte) (_ []byte, err error) {
	b = append(b, '{')
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		name, _ := m[0].(string)
		b = append(jsonenc.String(b, name), ':')
		if b, err = appendJSON(b, m[1]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendJSON appends v as JSON. NaN and infinities, which a node may show, are null,
// because browsers cannot read them. It encodes the types of this file itself, because
// encoding/json parses the output of MarshalJSON again at every level of nested objects.
func appendJSON(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case Object:
		return v.append(b)
	case []Object:
		return appendList(b, v)
	case [][]any:
		return appendList(b, v)
	case []any:
		return appendList(b, v)
	case Raw:
		return append(b, v...), nil
	case string:
		return jsonenc.String(b, v), nil
	}
	text, err := jsonenc.Marshal(v)
	return append(b, text...), err
}

func appendList[T any](b []byte, list []T) (_ []byte, err error) {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendJSON(b, v); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// Raw is JSON text, which is part of an answer as it is.
type Raw []byte
