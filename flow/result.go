package flow

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/nodebus/nodebus/internal/value"
)

// Result holds the outputs of a node, in order, and the UI output of the node. Outputs
// are Go values of the node's types. An output that the node gave for each element of a
// list is a list of a type of its own, and a blocked output is a
// [*nodebus.BlockedError]. A cache that keeps results as JSON must therefore encode the
// Result and not its fields: see [Result.MarshalJSON].
type Result struct {
	Outputs []any
	UI      nodebus.UI
}

// restore converts a result that a cache has returned to the types of the class. A cache
// outside this process returns JSON. ok is false if an output does not fit.
func (c *Class) restore(res Result) (_ Result, ok bool) {
	var own []any
	for i, v := range res.Outputs {
		back, ok := c.outputs[i].restore(v)
		if !ok {
			return Result{}, false
		}
		if own == nil {
			own = make([]any, len(res.Outputs)) // others share the slice of the cache
		}
		own[i] = back
	}
	res.Outputs = own
	return res, true
}

// restore converts an output, which may be a list.
func (f *field) restore(v any) (_ any, ok bool) {
	var list []any
	switch v := v.(type) {
	case *nodebus.BlockedError:
		return v, true
	case value.List:
		list = v
	case []any:
		if back, ok := f.restoreOne(v); ok && !f.List {
			return back, true
		}
		list = v
	default:
		return f.restoreOne(v)
	}
	own := make(value.List, len(list))
	for i, e := range list {
		if _, isBlocked := e.(*nodebus.BlockedError); isBlocked {
			own[i] = e
		} else if own[i], ok = f.restoreOne(e); !ok {
			return nil, false
		}
	}
	return own, true
}

// restoreOne converts one value to the type of the output.
func (f *field) restoreOne(v any) (_ any, ok bool) {
	typ := reflect.TypeOf(v)
	if f.Type == "INT" && f.elem == anyType { // of a function
		back, err := f.giveOne(v)
		return back, err == nil
	}
	if e, isEncoded := v.(encoded); isEncoded {
		return e.decode(f.elem)
	}
	if typ != nil && typ.AssignableTo(f.elem) {
		return v, true
	}
	if back, err := value.Literal(f.elem, v); err == nil {
		return back, true
	}
	if p := reflect.PointerTo(f.elem); !p.Implements(reflect.TypeFor[json.Unmarshaler]()) && !p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return nil, false
	}
	data, err := json.Marshal(v) // a time, for example, is a text in JSON
	if err != nil {
		return nil, false
	}
	return encoded{goTypeName(f.elem), data}.decode(f.elem)
}

// encoded is a decoded value whose Go type is not known before the executor says it.
type encoded struct {
	typ  string
	data json.RawMessage
}

func (e encoded) decode(t reflect.Type) (v any, ok bool) {
	if goTypeName(t) != e.typ {
		return nil, false
	}
	p := reflect.New(t)
	if json.Unmarshal(e.data, p.Interface()) != nil {
		return nil, false
	}
	return p.Elem().Interface(), true
}

// goTypeName names a type in a cache that several programs may share.
func goTypeName(t reflect.Type) string {
	if t.PkgPath() != "" {
		return t.PkgPath() + "." + t.Name()
	}
	return t.String()
}

// resultJSON is a result as JSON.
type resultJSON struct {
	Outputs []json.RawMessage `json:"outputs"`
	UI      nodebus.UI        `json:"ui,omitempty"`
}

// valueJSON is a value that is not a plain JSON value.
type valueJSON struct {
	List    []json.RawMessage          `json:"list,omitempty"`    // the elements of a list on a link
	Blocked *string                    `json:"blocked,omitempty"` // the reason
	Object  map[string]json.RawMessage `json:"object,omitempty"`
	Type    string                     `json:"type,omitempty"` // the Go type of Value; "list" and "object" for empty ones
	Value   json.RawMessage            `json:"value,omitempty"`
}

// MarshalJSON encodes a result so that [Result.UnmarshalJSON] restores it exactly, with
// the Go types of the outputs. It returns an error if that is not possible: for example
// because an output has unexported fields, a channel, a NaN, or an image in the memory of
// a GPU. A cache must not keep such a result. Elements of UI come back as what JSON
// decodes to, with numbers of type [json.Number]; clients see no difference.
func (r Result) MarshalJSON() ([]byte, error) {
	out := resultJSON{Outputs: make([]json.RawMessage, len(r.Outputs)), UI: r.UI}
	for i, v := range r.Outputs {
		data, err := encodeOutput(v)
		if err != nil {
			return nil, fmt.Errorf("output %d: %w", i, err)
		}
		out.Outputs[i] = data
	}
	return json.Marshal(out)
}

// UnmarshalJSON decodes a result. The executor gives outputs of the program's own types
// their types when it reads the result from the cache; until then they are opaque.
func (r *Result) UnmarshalJSON(data []byte) error {
	var in struct { // resultJSON, but all numbers of the UI stay as they are
		Outputs []json.RawMessage `json:"outputs"`
		UI      map[string][]any  `json:"ui"`
	}
	if err := jsonenc.Decode(data, &in); err != nil {
		return err
	}
	res := Result{Outputs: make([]any, len(in.Outputs)), UI: in.UI}
	for i, raw := range in.Outputs {
		v, err := decodeOutput(raw)
		if err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
		res.Outputs[i] = v
	}
	*r = res
	return nil
}
