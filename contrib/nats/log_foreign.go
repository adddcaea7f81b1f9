package nats

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/stored"
)

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
		stored.Binary
		key string
	}
)

// CoalesceKey returns the key that the payload of the caller had.
func (c keyedCustom) CoalesceKey() string { return c.key }

// MarshalJSON returns the data.
func (c keyedCustom) MarshalJSON() ([]byte, error) { return json.Marshal(c.Data) }

// CoalesceKey returns the key that the payload of the caller had.
func (f keyedFrame) CoalesceKey() string { return f.key }

// withKey gives a foreign payload its key.
func withKey(p nodebus.Payload, key string) nodebus.Payload {
	switch p := p.(type) {
	case nodebus.Custom:
		return keyedCustom{p, key}
	case stored.Binary:
		return keyedFrame{p, key}
	}
	return p
}
