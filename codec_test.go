package nodebus_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// codecVariant returns one of the four JSONCodecs.
func codecVariant(bits uint8) nodebus.JSONCodec {
	return nodebus.JSONCodec{Envelope: bits&1 != 0, BarePreviews: bits&2 != 0}
}

const codecVariants = 4

// overWire encodes ev and decodes the parts of the frame that a wire transports: the
// bytes, and whether they are binary.
func overWire(t *testing.T, c nodebus.Codec, ev nodebus.Event) nodebus.Event {
	f, err := c.Encode(ev)
	require.NoError(t, err)
	got, err := c.Decode(nodebus.Frame{Binary: f.Binary, Data: f.Data})
	require.NoError(t, err)
	return got
}

// keptOnWire returns ev as a client decodes it. These things are lost:
//   - To
//   - without an envelope, the ID, the Epoch, the Time, the Attempt, and a PromptID that
//     the payload does not contain
//   - with an envelope, the ID if there is no Epoch, and attempt 1
//   - ParentID and RealID of Executed
//   - of a preview of type 1, everything except the image and its format
//   - the prompt id of a ProgressText
//   - the difference between a nil list and an empty list
func keptOnWire(c nodebus.JSONCodec, ev nodebus.Event) nodebus.Event {
	got := nodebus.Event{Payload: ev.Payload}
	switch p := ev.Payload.(type) {
	case nodebus.Executed:
		p.ParentID, p.RealID = "", ""
		got.Payload = p
	case nodebus.Preview:
		if c.BarePreviews {
			got.Payload = bareOf(p)
		}
	case nodebus.ProgressText:
		p.PromptID = ""
		got.Payload = p
	case nodebus.Progress:
		got.Payload = clampedProgress(p)
	}
	if f := reflect.ValueOf(got.Payload).FieldByName("PromptID"); f.IsValid() {
		got.PromptID = f.String()
	}
	if !c.Envelope {
		return got
	}
	got.Time, got.Attempt = ev.Time, ev.Attempt
	if got.Epoch = ev.Epoch; got.Epoch != "" {
		got.ID = ev.ID
	}
	if ev.PromptID != "" {
		got.PromptID = string([]rune(ev.PromptID)) // bytes that are not UTF-8 become U+FFFD
	}
	return got
}

// bareOf returns what a frame of type 1 contains.
func bareOf(p nodebus.Preview) nodebus.Preview {
	bare := nodebus.Preview{ImageType: "image/jpeg", Image: p.Image}
	if p.ImageType == "image/png" {
		bare.ImageType = p.ImageType
	}
	return bare
}

func TestCodecRoundTrip(t *testing.T) {
	for bits := range uint8(codecVariants) {
		c, g := codecVariant(bits), newWireGen(uint64(bits))
		for range 500 {
			ev := g.event()
			require.Equal(t, keptOnWire(c, ev), overWire(t, c, ev), "%+v", c)
		}
	}
}

// TestCodecFrame checks the fields of a frame other than its bytes.
func TestCodecFrame(t *testing.T) {
	for _, c := range []struct {
		payload nodebus.Payload
		typ     string
		binary  bool
	}{
		{nodebus.Progress{}, "progress", false},
		{&nodebus.Progress{}, "progress", false},
		{nodebus.Preview{}, "b_preview_with_metadata", true},
		{nodebus.ProgressText{}, "progress_text", true},
		{nodebus.Custom{Type: "my.event"}, "my.event", false},
		{nodebus.Custom{Type: "99", Data: []byte{}}, "99", true},
	} {
		f, err := nodebus.JSON.Encode(nodebus.Event{ID: 5, Payload: c.payload})
		require.NoError(t, err)
		require.Equal(t, c.typ, f.Type)
		require.Equal(t, c.binary, f.Binary)
		require.Equal(t, uint64(5), f.ID)
	}
}

// TestEncodeLeavesUTF8 checks that a text frame is valid UTF-8 even if a payload's own
// marshaller is not. Browsers end the connection over an invalid text frame.
func TestEncodeLeavesUTF8(t *testing.T) {
	broken := json.RawMessage("[\"a\xff\xfe\",{\"\xc3\":1}]")
	const mended = "[\"a\ufffd\ufffd\",{\"\ufffd\":1}]"
	for _, p := range []nodebus.Payload{
		nodebus.Custom{Type: "my.event", Data: broken},
		nodebus.Executed{Output: nodebus.UI{"x": {broken}}},
		nodebus.ExecutionError{CurrentInputs: map[string][]any{"x": {broken}}},
	} {
		f, err := nodebus.JSON.Encode(nodebus.Event{Payload: p})
		require.NoError(t, err)
		require.True(t, utf8.Valid(f.Data), "%T: %q", p, f.Data)
		require.True(t, json.Valid(f.Data))
		require.Contains(t, string(f.Data), mended)
	}
}

func TestDecodeMalformedText(t *testing.T) {
	for _, c := range []struct{ name, wire, says string }{
		{"nothing", ``, "text frame: unexpected end of JSON input"},
		{"not JSON", `hello`, "text frame: invalid character"},
		{"cut off", `{"type":"progress","data":{"value":1`, "text frame: unexpected end of JSON input"},
		{"two documents", `{"type":"a"}{"type":"b"}`, "text frame: invalid character"},
		{"NaN", `{"type":"progress","data":{"value":NaN}}`, "text frame: invalid character 'N'"},
		{"a list", `[1]`, "text frame: json: cannot unmarshal array"},
		{"null", `null`, "no type"},
		{"no type", `{"data":{}}`, "no type"},
		{"type null", `{"type":null,"data":{}}`, "no type"},
		{"type a number", `{"type":5,"data":{}}`, "type"},
		{"no data", `{"type":"progress"}`, "progress: no data"},
		{"data null", `{"type":"executing","data":null}`, "executing: no data"},
		{"data a list", `{"type":"status","data":[]}`, "status: json: cannot unmarshal array"},
		{"a number for a string", `{"type":"executing","data":{"node":5}}`, "node"},
		{"a string for a number", `{"type":"progress","data":{"value":"1"}}`, "value"},
		{"a number out of range", `{"type":"progress","data":{"value":1e999}}`, "value"},
		{"a fraction for a time", `{"type":"execution_start","data":{"timestamp":1.5}}`, "timestamp"},
		{"nodes of a snapshot in a list", `{"type":"progress_state","data":{"nodes":[]}}`, "progress_state: nodes: not a JSON object"},
		{"a node of a snapshot a number", `{"type":"progress_state","data":{"nodes":{"a":5}}}`, `progress_state: nodes: "a": json: cannot unmarshal number`},
		{"inputs of an error a number", `{"type":"execution_error","data":{"current_inputs":5}}`, "execution_error: json: cannot unmarshal number"},
		{"a duration out of range", `{"type":"nodebus.node_done","data":{"duration":1e13}}`, "nodebus.node_done: duration 1e+13 is out of range"},
		{"output a list", `{"type":"executed","data":{"output":[]}}`, "output"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ev, err := nodebus.JSON.Decode(nodebus.Frame{ID: 1, Data: []byte(c.wire)})
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, "nodebus: ")
			require.Zero(t, ev)
		})
	}
}

// settledEvent replaces what the wire does not tell apart: nil lists and empty lists,
// attempt 1 and no attempt, different forms of the same JSON, and the time 0.
func settledEvent(t *testing.T, ev nodebus.Event) nodebus.Event {
	some := func(s []string) []string { return append([]string{}, s...) }
	above1 := func(n int) int {
		if n <= 1 {
			return 0
		}
		return n
	}
	ev.Attempt = above1(ev.Attempt)
	if ev.Time.IsZero() {
		ev.Time = time.Time{}
	}
	switch p := ev.Payload.(type) {
	case nodebus.ExecutionCached:
		p.Nodes = some(p.Nodes)
		ev.Payload = p
	case nodebus.ExecutionInterrupted:
		p.Executed = some(p.Executed)
		ev.Payload = p
	case nodebus.ExecutionError:
		p.Executed, p.Traceback, p.CurrentOutputs = some(p.Executed), some(p.Traceback), some(p.CurrentOutputs)
		ev.Payload = p
	case nodebus.NodeFailed:
		p.Traceback, p.Attempt = some(p.Traceback), above1(p.Attempt)
		ev.Payload = p
	case nodebus.NodeDone:
		p.Attempt = above1(p.Attempt)
		ev.Payload = p
	case nodebus.ExecutionStart:
		p.Attempt = above1(p.Attempt)
		ev.Payload = p
	case nodebus.Waiting:
		if len(p.Schema) > 0 {
			p.Schema = marshalled(t, readJSON(t, p.Schema))
		}
		ev.Payload = p
	case nodebus.Custom:
		if raw, ok := p.Data.(json.RawMessage); ok {
			p.Data = readJSON(t, raw)
		}
		ev.Payload = p
	}
	return ev
}
