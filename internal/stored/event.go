package stored

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
// standard payload with data that the standard payload does not have. So nobody decodes it:
// who reads it keeps the frame, and gives it to clients as it is. If it were decoded, a file
// with such an event could perhaps not be opened, or the event could end its prompt, although
// it did not end the prompt in the process that published it.

// Encode returns the frame of an event, and whether its payload is foreign, which means that
// the payload has a type of a caller. Decode must be told. Encode calls methods of the
// payload. It returns a [*nodebus.EncodeError] also if nobody could decode the frame.
func Encode(ev *nodebus.Event) (f nodebus.Frame, foreign bool, err error) {
	if f, err = nodebus.JSON.Encode(*ev); err != nil {
		return f, false, err
	}
	if !f.Binary && isTooDeep(f.Data) {
		return f, false, &nodebus.EncodeError{Type: fmt.Sprintf("%T", ev.Payload), Err: errTooDeep}
	}
	return f, isForeign(ev.Payload), nil
}

// Decode returns the payload of a frame. A foreign payload is a [nodebus.Custom] or a [Binary],
// and so is any other payload that cannot be decoded, for example because a newer version has
// written it. Decode returns an error if a text frame is no JSON, or has no type or no data.
func Decode(f nodebus.Frame, foreign bool) (nodebus.Payload, error) {
	if !foreign {
		if ev, err := nodebus.JSON.Decode(f); err == nil {
			return ev.Payload, nil
		}
	}
	if f.Binary {
		return append(Binary{}, f.Data...), nil // also an empty frame is a payload
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

// Binary is the binary frame of a foreign payload.
type Binary []byte

// EventType returns the number at the start of the frame.
func (b Binary) EventType() string {
	if len(b) < 4 {
		return ""
	}
	return fmt.Sprint(binary.BigEndian.Uint32(b))
}

// AppendBinary appends the frame.
func (b Binary) AppendBinary(to []byte) ([]byte, error) { return append(to, b...), nil }

var standardPackage = reflect.TypeFor[nodebus.Executing]().PkgPath()

// isForeign reports whether the type of a payload is not a standard type.
func isForeign(p nodebus.Payload) bool {
	if _, custom := p.(nodebus.Custom); custom {
		return true
	}
	return reflect.TypeOf(p).PkgPath() != standardPackage // a pointer has no package
}

var errTooDeep = errors.New("lists and objects are nested too deeply in its JSON: nobody can decode it")

// isTooDeep reports whether encoding/json cannot read a text that it has written: it
// encodes any depth, and decodes 10 000 levels.
func isTooDeep(text []byte) bool {
	const levels = 10_000
	return len(text) > levels && bytes.Count(text, []byte{'['})+bytes.Count(text, []byte{'{'}) >= levels && !json.Valid(text)
}
