package nodebus_test

import (
	"encoding/json"
	"testing"
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
//   - Time and To; the ID, if the codec has no IDs or the frame is binary
//   - a PromptID that the payload does not contain
//   - ParentID and RealID of Executed
//   - of a preview of type 1, everything except the image and its format
//   - the prompt id of a ProgressText
//   - the difference between a nil list and an empty list
func keptOnWire(c nodebus.JSONCodec, ev nodebus.Event) nodebus.Event {
	got := nodebus.Event{ID: ev.ID, PromptID: ev.PromptID, Payload: ev.Payload}
	binary := false
	switch p := ev.Payload.(type) {
	case nodebus.Executed:
		p.ParentID, p.RealID = "", ""
		got.Payload = p
	case nodebus.Preview:
		binary = true
		if c.BarePreviews {
			bare := nodebus.Preview{ImageType: "image/jpeg", Image: p.Image}
			if p.ImageType == "image/png" {
				bare.ImageType = p.ImageType
			}
			p, got.PromptID = bare, ""
		}
		got.Payload = p
	case nodebus.ProgressText:
		binary = true
		p.PromptID, got.PromptID = "", ""
		got.Payload = p
	case nodebus.Custom:
		_, binary = p.Data.([]byte)
		got.PromptID = ""
	case nodebus.Status, nodebus.Gap:
		got.PromptID = ""
	}
	if !c.Envelope || binary {
		got.ID = 0
	}
	return got
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

// TestCodecIDs checks that only text frames contain the ID, next to type and data. For
// binary frames, a transport must send Frame.ID itself.
func TestCodecIDs(t *testing.T) {
	ids := nodebus.JSONCodec{Envelope: true}
	ev := nodebus.Event{ID: 1<<64 - 1, Payload: nodebus.Executing{UniqueID: "5"}}
	f, err := ids.Encode(ev)
	require.NoError(t, err)
	require.Equal(t, `{"type":"executing","data":{"node":"5"},"id":18446744073709551615}`, string(f.Data))
	got, err := nodebus.JSON.Decode(nodebus.Frame{ID: 3, Data: f.Data})
	require.NoError(t, err, "a codec without IDs must decode frames with an id")
	require.Equal(t, ev, got)

	plain, err := nodebus.JSON.Encode(ev)
	require.NoError(t, err)
	require.Equal(t, `{"type":"executing","data":{"node":"5"}}`, string(plain.Data))
	got, err = ids.Decode(nodebus.Frame{ID: 3, Data: plain.Data})
	require.NoError(t, err)
	require.Equal(t, uint64(3), got.ID, "the ID of the frame is used if the text has no id")

	f, err = ids.Encode(nodebus.Event{ID: 4, Payload: nodebus.ProgressText{UniqueID: "1", Text: "x"}})
	require.NoError(t, err)
	got, err = ids.Decode(f)
	require.NoError(t, err)
	require.Equal(t, uint64(4), got.ID)
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

// FuzzDecode checks that Decode never panics, and that Encode writes each decoded event
// so that it decodes to the same event.
func FuzzDecode(f *testing.F) {
	for _, c := range standardFrames {
		f.Add([]byte(c.wire), false, uint8(1))
	}
	f.Add([]byte(`{"type":"my.event","data":{"<":"\u2028"},"id":77}`), false, uint8(0))
	for bits := range uint8(codecVariants) {
		for _, p := range []nodebus.Payload{
			nodebus.Preview{Place: nodebus.Place{UniqueID: "1"}, PromptID: "p", ImageType: "image/png", Image: []byte("img")},
			nodebus.ProgressText{PromptID: "p", UniqueID: "7", Text: "ok"},
			nodebus.Custom{Type: "99", Data: []byte{0, 1, 2}},
		} {
			frame, err := codecVariant(bits).Encode(nodebus.Event{Payload: p})
			require.NoError(f, err)
			f.Add(frame.Data, true, bits)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, binary bool, bits uint8) {
		c := codecVariant(bits)
		ev, err := c.Decode(nodebus.Frame{Data: data, Binary: binary})
		if err != nil {
			require.Zero(t, ev)
			return
		}
		frame, err := c.Encode(ev)
		require.NoError(t, err)
		require.Equal(t, binary, frame.Binary)
		require.True(t, binary || utf8.Valid(frame.Data))
		again, err := c.Decode(frame)
		require.NoError(t, err)
		want := keptOnWire(c, ev)
		want.ID = ev.ID // the ID comes from the frame
		require.Equal(t, settledEvent(t, want), settledEvent(t, again))
	})
}

// settledEvent replaces nil lists with empty lists, and decodes the JSON of a custom
// event.
func settledEvent(t *testing.T, ev nodebus.Event) nodebus.Event {
	some := func(s []string) []string { return append([]string{}, s...) }
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
	case nodebus.Custom:
		if raw, ok := p.Data.(json.RawMessage); ok {
			p.Data = readJSON(t, raw)
		}
		ev.Payload = p
	}
	return ev
}
