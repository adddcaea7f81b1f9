package bolt

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/nodebus/nodebus"
)

// A payload of a caller may have any event type and any data, also the event type of a
// standard payload with data that the standard payload does not have. So the log does not
// decode it: it keeps the frame, and gives it to clients as it is. If the log decoded it, a
// file with such an event could not be opened, or the event could end its prompt.

var payloadPackage = reflect.TypeFor[nodebus.Executing]().PkgPath()

// isForeign reports whether the type of a payload is not a standard type.
func isForeign(p nodebus.Payload) bool {
	if _, custom := p.(nodebus.Custom); custom {
		return true
	}
	return reflect.TypeOf(p).PkgPath() != payloadPackage // a pointer has no package
}

// foreignPayload returns a payload that has this frame.
func foreignPayload(f nodebus.Frame) (nodebus.Payload, error) {
	if f.Binary {
		return append(foreignFrame{}, f.Data...), nil // also an empty frame is a payload
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
