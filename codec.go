package nodebus

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"unicode/utf8"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// Codec encodes events as frames and decodes frames. The hub calls Encode once for each
// event, for all sessions that share the codec, and holds no lock. If Encode returns an
// error, the event is left out for these sessions.
//
// A slow Encode slows only the sessions that use the codec. Neither publishers nor other
// sessions wait for it.
//
// A Codec must be safe for concurrent use. It should be comparable with ==; sessions
// share frames only if their codecs are equal.
type Codec interface {
	Encode(Event) (Frame, error)
	Decode(Frame) (Event, error) // an unknown type becomes a Custom
}

// JSON is the codec for the wire of ComfyUI. It is the default of sessions and clients.
// Its value is JSONCodec{}. Do not assign to JSON: the hub uses JSONCodec{} itself.
var JSON Codec = JSONCodec{}

// JSONCodec encodes events as text frames {"type": …, "data": …}, and payloads that are
// an [encoding.BinaryAppender] as binary frames. The zero value is [JSON]. The fields
// are for clients that support or need a different form. It is safe for concurrent use.
type JSONCodec struct {
	// Envelope adds to each frame what a client needs to reconnect and to sort events:
	// the cursor, the prompt, the time in milliseconds, and the attempt if it is above 1.
	// A text frame has them next to "type" and "data". A binary frame is wrapped in a
	// frame of type 20034. Without Envelope, the frames have the same bytes as in ComfyUI,
	// and the hub does not send [NodeFailed], [Waiting], [Answered], [TextPiece] and
	// [NodeDone]. Decode reads both forms. Default: false.
	Envelope bool
	// BarePreviews makes previews frames of type 1, for clients that do not support type
	// 4. Type 1 does not say which node the preview belongs to. Default: false.
	BarePreviews bool
}

// Encode returns the frame of ev, or an [*EncodeError] if the payload cannot be
// encoded.
func (c JSONCodec) Encode(ev Event) (f Frame, err error) {
	if ev.Payload == nil {
		return Frame{}, &EncodeError{Type: typeName(nil), Err: fmt.Errorf("payload is nil")}
	}
	err = Protect(func() error {
		f = Frame{ID: ev.ID, Epoch: ev.Epoch, Type: ev.Payload.EventType(), Outcome: isOutcome(ev.Payload)}
		if f.Data, f.Binary, err = c.appendBinary(ev.Payload); err != nil {
			return err
		}
		if !f.Binary {
			f.Data, err = c.text(f.Type, &ev)
		} else if c.Envelope {
			f.Data = wrapBinary(f.Type, &ev, f.Data)
		}
		return err
	})
	if err != nil {
		return Frame{}, &EncodeError{Type: typeName(ev.Payload), Err: err}
	}
	return f, nil
}

// appendBinary returns the binary frame of p. binary is false if p is sent as text.
func (c JSONCodec) appendBinary(p Payload) (b []byte, binary bool, err error) {
	switch p := p.(type) {
	case Preview:
		if c.BarePreviews {
			return p.appendBare(nil), true, nil
		}
		b, err = p.AppendBinary(make([]byte, 0, p.frameSize()))
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
	if n == frameEnvelope {
		return nil, fmt.Errorf("type %d is reserved for frames with an envelope", n)
	}
	b := make([]byte, 0, 4+len(data))
	b = append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	return append(b, data...), nil
}

// text returns the text frame of ev.
func (c JSONCodec) text(typ string, ev *Event) (_ []byte, err error) {
	size := 32 + len(typ)
	if c.Envelope {
		size += envelopeSize(ev)
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
	if c.Envelope {
		b = appendEnvelope(b, ev)
	}
	return append(b, '}'), nil
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

// marshal does the same as [jsonenc.Marshal], but replaces bytes that are not UTF-8 with
// U+FFFD, also in the JSON that a marshaller of v returns. Browsers end a connection
// over a text frame with invalid UTF-8.
func marshal(v any) ([]byte, error) {
	b, err := jsonenc.Marshal(v)
	if err == nil && !utf8.Valid(b) {
		b = []byte(string([]rune(string(b))))
	}
	return b, err
}

// Decode returns the event of a frame. For a malformed frame it returns an error that
// names the problem. The payload may refer to the memory of f.Data.
func (c JSONCodec) Decode(f Frame) (Event, error) {
	ev := Event{ID: f.ID, Epoch: f.Epoch}
	if f.Binary {
		data, err := ev.unwrapBinary(f.Data)
		if err == nil {
			ev.Payload, err = decodeBinary(data)
		}
		if err != nil {
			return Event{}, fmt.Errorf("nodebus: binary frame: %w", err)
		}
	} else {
		var w struct {
			Type *string         `json:"type"`
			Data json.RawMessage `json:"data"`
			envelope
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
		ev.Payload = p
		w.fill(&ev)
	}
	ev.PromptID = ev.Prompt()
	return ev, nil
}

func decodeText(typ string, data json.RawMessage) (Payload, error) {
	if s := standardByName[typ]; s != nil {
		return s.decode(data)
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

// isOutcome reports whether p is the outcome of a prompt.
func isOutcome(p Payload) bool {
	t, _ := standardTraits(p, false)
	return t.outcome
}

// Prompt returns the id of the prompt that the event belongs to: PromptID, or else the id in
// the payload, if the payload is one of this package. It is empty if there is none.
func (ev Event) Prompt() string { return cmp.Or(ev.PromptID, promptOf(ev.Payload)) }

// promptOf returns the prompt id in a standard payload, or "".
func promptOf(p Payload) string {
	t, _ := standardTraits(p, false)
	return t.promptID
}
