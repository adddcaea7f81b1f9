package nodebus

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"unicode/utf8"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// Codec turns events into frames and back. Encode is called once per event for
// all sessions that share the codec, from the call that publishes; it must not
// publish itself. It returns an error for what has no form: those sessions do
// without. A Codec must be comparable (==) and safe for concurrent use.
type Codec interface {
	Encode(Event) (Frame, error)
	Decode(Frame) (Event, error) // unknown types become Custom
}

// JSON is the codec of ComfyUI's wire, the default of sessions and clients.
var JSON Codec = JSONCodec{}

// JSONCodec writes text frames {"type": …, "data": …}, and binary frames for
// payloads that are an [encoding.BinaryAppender]. The zero value is [JSON]; its
// fields are what a client may have asked for.
type JSONCodec struct {
	IDs          bool // text frames also carry "id", the cursor to come back with
	BarePreviews bool // previews are frames of type 1, for clients that do not know type 4
}

// Encode returns an [*EncodeError] for what has no form on the wire.
func (c JSONCodec) Encode(ev Event) (f Frame, err error) {
	if ev.Payload == nil {
		return Frame{}, &EncodeError{Type: typeName(nil), Err: fmt.Errorf("payload is nil")}
	}
	err = Protect(func() error {
		f = Frame{ID: ev.ID, Type: ev.Payload.EventType()}
		if f.Data, f.Binary, err = c.appendBinary(ev.Payload); f.Binary || err != nil {
			return err
		}
		f.Data, err = c.text(f.Type, &ev)
		return err
	})
	if err != nil {
		return Frame{}, &EncodeError{Type: typeName(ev.Payload), Err: err}
	}
	return f, nil
}

// appendBinary reports binary false for payloads that go out as text.
func (c JSONCodec) appendBinary(p Payload) (b []byte, binary bool, err error) {
	switch p := p.(type) {
	case Preview:
		if c.BarePreviews {
			return p.appendBare(nil), true, nil
		}
		b, err = p.AppendBinary(make([]byte, 0, 256+len(p.Image)))
	case Custom:
		data, ok := p.Data.([]byte)
		if !ok {
			return nil, false, nil
		}
		b, err = appendCustom(p.Type, data)
	case encoding.BinaryAppender:
		b, err = p.AppendBinary(nil)
	default:
		return nil, false, nil
	}
	return b, true, err
}

func appendCustom(typ string, data []byte) ([]byte, error) {
	n, err := strconv.ParseUint(typ, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("a custom event with []byte data needs a number as its type, not %q", typ)
	}
	b := make([]byte, 0, 4+len(data))
	b = append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	return append(b, data...), nil
}

// text makes a text frame.
func (c JSONCodec) text(typ string, ev *Event) (_ []byte, err error) {
	size := 32 + len(typ)
	if c.IDs {
		size += 32
	}
	var plain []byte
	jp, fast := ev.Payload.(jsonPayload)
	if fast {
		size += jp.sizeJSON()
	} else {
		if plain, err = marshalBody(ev.Payload); err != nil {
			return nil, err
		}
		size += len(plain)
	}
	b := make([]byte, 0, size)
	b = append(b, `{"type":`...)
	b = jsonenc.String(b, typ)
	b = append(b, `,"data":`...)
	if fast {
		if b, err = jp.appendJSON(b); err != nil {
			return nil, err
		}
	} else {
		b = append(b, plain...)
	}
	b = append(b, '}')
	if c.IDs {
		b = insertID(b, ev.ID)
	}
	return b, nil
}

func marshalBody(p Payload) ([]byte, error) {
	if c, ok := p.(Custom); ok {
		return marshal(c.Data)
	}
	if v := reflect.ValueOf(p); v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, fmt.Errorf("payload is a nil pointer")
	}
	return marshal(p)
}

// marshal is json.Marshal, except that bytes which are not UTF-8 become U+FFFD
// also in JSON that v brings along ready-made: browsers end the connection over
// a text frame with such bytes.
func marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err == nil && !utf8.Valid(b) {
		b = []byte(string([]rune(string(b))))
	}
	return b, err
}

// appendID returns a copy of text with the cursor in it.
func appendID(text []byte, id uint64) []byte {
	return insertID(append(make([]byte, 0, len(text)+32), text...), id)
}

// insertID puts the cursor beside type and data, which stock clients ignore.
func insertID(text []byte, id uint64) []byte {
	b := append(text[:len(text)-1], `,"id":`...)
	b = strconv.AppendUint(b, id, 10)
	return append(b, '}')
}

// Decode returns an error that names what is wrong with a malformed frame. The
// payload may refer to f.Data.
func (c JSONCodec) Decode(f Frame) (Event, error) {
	if f.Binary {
		p, err := decodeBinary(f.Data)
		if err != nil {
			return Event{}, fmt.Errorf("nodebus: binary frame: %w", err)
		}
		return Event{ID: f.ID, PromptID: promptOf(p), Payload: p}, nil
	}
	var w struct {
		Type *string         `json:"type"`
		Data json.RawMessage `json:"data"`
		ID   json.RawMessage `json:"id"`
	}
	if err := json.Unmarshal(f.Data, &w); err != nil {
		return Event{}, fmt.Errorf("nodebus: text frame: %w", err)
	}
	if w.Type == nil {
		return Event{}, fmt.Errorf("nodebus: text frame has no type")
	}
	p, err := decodeText(*w.Type, w.Data)
	if err != nil {
		return Event{}, fmt.Errorf("nodebus: %s: %w", *w.Type, err)
	}
	id := f.ID
	if len(w.ID) > 0 { // what is not a number means something else to its sender
		if n, err := strconv.ParseUint(string(w.ID), 10, 64); err == nil {
			id = n
		}
	}
	return Event{ID: id, PromptID: promptOf(p), Payload: p}, nil
}

func decodeText(typ string, data json.RawMessage) (Payload, error) {
	if decode, ok := textPayloads[typ]; ok {
		return decode(data)
	}
	if data == nil {
		data = json.RawMessage("null")
	}
	return Custom{Type: typ, Data: data}, nil
}

func decodeAs[P Payload](data json.RawMessage) (Payload, error) {
	var p P
	if data == nil || string(data) == "null" {
		return nil, fmt.Errorf("no data")
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, err
	}
	return p, nil
}

// promptOf returns the prompt that a standard payload names.
func promptOf(p Payload) string {
	t, _ := standardTraits(p, false)
	return t.promptID
}
