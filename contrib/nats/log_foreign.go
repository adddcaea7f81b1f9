package nats

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/nodebus/nodebus"
)

// A payload of a caller may have any event type and any data, also the event type of a
// standard payload with data that the standard payload does not have. So other processes do
// not decode it: they keep its frame, and give it to clients as it is. If they decoded it,
// the event could end its prompt there and not in the process that published it.

var payloadPackage = reflect.TypeFor[nodebus.Executing]().PkgPath()

// isForeign reports whether the type of a payload is not a standard type.
func isForeign(p nodebus.Payload) bool {
	if _, custom := p.(nodebus.Custom); custom {
		return true
	}
	return reflect.TypeOf(p).PkgPath() != payloadPackage // a pointer has no package
}

// asForeign makes r the record of a payload of a caller, whose data is the frame. It calls a
// method of the payload.
func (r *record) asForeign(p nodebus.Payload, isBinary bool) error {
	if r.kind = recordForeign; isBinary {
		r.kind = recordForeignBinary
	}
	c, ok := p.(nodebus.Coalescer)
	if !ok {
		return nil
	}
	key := ""
	if err := nodebus.Protect(func() error { key = c.CoalesceKey(); return nil }); err != nil {
		return &nodebus.EncodeError{Type: fmt.Sprintf("%T", p), Err: err}
	}
	if r.kind = recordKeyed; isBinary {
		r.kind = recordKeyedBinary
	}
	data := make([]byte, 0, binary.MaxVarintLen64+len(key)+len(r.data))
	data = append(binary.AppendUvarint(data, uint64(len(key))), key...)
	r.data = append(data, r.data...)
	return nil
}

// keyedCustom and keyedFrame are payloads of callers with a key, see [nodebus.Coalescer].
type (
	keyedCustom struct {
		nodebus.Custom
		key string
	}
	keyedFrame struct {
		foreignFrame
		key string
	}
)

// CoalesceKey returns the key that the payload of the caller had.
func (c keyedCustom) CoalesceKey() string { return c.key }

// MarshalJSON returns the data.
func (c keyedCustom) MarshalJSON() ([]byte, error) { return json.Marshal(c.Data) }

// CoalesceKey returns the key that the payload of the caller had.
func (f keyedFrame) CoalesceKey() string { return f.key }

// withKey gives a payload of foreignPayload its key.
func withKey(p nodebus.Payload, key string) nodebus.Payload {
	switch p := p.(type) {
	case nodebus.Custom:
		return keyedCustom{p, key}
	case foreignFrame:
		return keyedFrame{p, key}
	}
	return p
}

// foreignPayload returns a payload that has this frame.
func foreignPayload(f nodebus.Frame) (nodebus.Payload, error) {
	if f.Binary {
		return foreignFrame(f.Data), nil
	}
	var w struct {
		Type *string         `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(f.Data, &w); err != nil {
		return nil, fmt.Errorf("text frame: %w", err)
	}
	if w.Type == nil || w.Data == nil {
		return nil, errors.New("text frame has no type, or no data")
	}
	return nodebus.Custom{Type: *w.Type, Data: w.Data}, nil
}

// foreignFrame is the binary frame of a payload of a caller.
type foreignFrame []byte

// EventType returns the number at the start of the frame.
func (f foreignFrame) EventType() string {
	if len(f) < 4 {
		return ""
	}
	return fmt.Sprint(binary.BigEndian.Uint32(f))
}

// AppendBinary appends the frame.
func (f foreignFrame) AppendBinary(b []byte) ([]byte, error) { return append(b, f...), nil }

var errTooDeep = errors.New("nats: lists and objects are nested too deeply in its JSON: nobody can decode it")

// isTooDeep reports whether encoding/json cannot read a text that it has written: it
// encodes any depth, and decodes 10 000 levels.
func isTooDeep(text []byte) bool {
	const levels = 10_000
	return len(text) > levels && bytes.Count(text, []byte{'['})+bytes.Count(text, []byte{'{'}) >= levels && !json.Valid(text)
}
