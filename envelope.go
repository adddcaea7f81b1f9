package nodebus

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// envelope is what a frame says about its event besides the type and the payload. The
// members are raw: a member whose value has another type comes from another program, and
// fill ignores it.
type envelope struct {
	Cursor   json.RawMessage `json:"cursor"`
	PromptID json.RawMessage `json:"prompt_id"`
	Time     json.RawMessage `json:"time"` // Unix milliseconds
	Attempt  json.RawMessage `json:"attempt"`
}

// fill sets the fields of ev that the envelope contains.
func (e *envelope) fill(ev *Event) {
	var cursor, prompt string
	if json.Unmarshal(e.Cursor, &cursor) == nil {
		if c, err := ParseCursor(cursor); err == nil && c.Epoch != "" {
			ev.Epoch, ev.ID = c.Epoch, c.ID
		}
	}
	if json.Unmarshal(e.PromptID, &prompt) == nil {
		ev.PromptID = prompt
	}
	if ms, err := strconv.ParseInt(string(e.Time), 10, 64); err == nil {
		ev.Time = time.UnixMilli(ms)
	}
	if n, err := strconv.Atoi(string(e.Attempt)); err == nil && n > 0 {
		ev.Attempt = n
	}
}

// envelopeSize estimates the bytes that appendEnvelope appends.
func envelopeSize(ev *Event) int { return 96 + len(ev.Epoch) + len(ev.PromptID) }

// appendEnvelope appends the members of the envelope to a JSON object that has a member
// and no closing brace yet. It leaves out members without a value, and attempt 1. It also
// leaves out a cursor that ParseCursor does not accept.
func appendEnvelope(b []byte, ev *Event) []byte {
	if isEpoch(ev.Epoch) {
		b = append(b, `,"cursor":"`...)
		b = append(b, ev.Epoch...)
		b = append(b, '-')
		b = strconv.AppendUint(b, ev.ID, 10)
		b = append(b, '"')
	}
	if ev.PromptID != "" {
		b = append(b, `,"prompt_id":`...)
		b = jsonenc.String(b, ev.PromptID)
	}
	if !ev.Time.IsZero() {
		b = append(b, `,"time":`...)
		b = strconv.AppendInt(b, ev.Time.UnixMilli(), 10)
	}
	return appendAttempt(b, ev.Attempt)
}

// withEnvelope returns a copy of the frame of the zero JSONCodec, with an envelope.
func withEnvelope(f Frame, ev *Event) Frame {
	if f.Binary {
		f.Data = wrapBinary(f.Type, ev, f.Data)
		return f
	}
	b := make([]byte, 0, len(f.Data)+envelopeSize(ev))
	b = append(b, f.Data[:len(f.Data)-1]...)
	f.Data = append(appendEnvelope(b, ev), '}')
	return f
}

// frameEnvelope is the type of a binary frame with an envelope.
const frameEnvelope = 20034

// wrapBinary returns a frame of type 20034: the length of the envelope, the envelope
// (JSON), and the binary frame that a client without an envelope receives.
func wrapBinary(typ string, ev *Event, frame []byte) []byte {
	b := make([]byte, 0, 32+len(typ)+envelopeSize(ev)+len(frame))
	b = binary.BigEndian.AppendUint32(b, frameEnvelope)
	b = append(b, 0, 0, 0, 0)
	b = append(b, `{"type":`...)
	b = jsonenc.String(b, typ)
	b = append(appendEnvelope(b, ev), '}')
	binary.BigEndian.PutUint32(b[4:], uint32(len(b)-8))
	return append(b, frame...)
}

// unwrapBinary reads the envelope of a binary frame, if it has one, and returns the
// frame in it.
func (ev *Event) unwrapBinary(frame []byte) ([]byte, error) {
	typ, rest, err := takeUint32(frame)
	if err != nil || typ != frameEnvelope {
		return frame, nil // decodeBinary reports the error
	}
	part, rest, err := takeSized(rest)
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	var e envelope
	if err := json.Unmarshal(part, &e); err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	if typ, _, err := takeUint32(rest); err == nil && typ == frameEnvelope {
		return nil, fmt.Errorf("envelope: it contains another envelope")
	}
	e.fill(ev)
	return rest, nil
}
