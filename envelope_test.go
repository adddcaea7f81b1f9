package nodebus_test

import (
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// envelopeFrames lists events and their frames with an envelope. Encode must give the
// bytes, and Decode must give the event.
var envelopeFrames = []struct {
	name   string
	ev     nodebus.Event
	binary bool
	parts  []string // see bytesOf
}{
	{
		"everything",
		nodebus.Event{
			ID: 1<<64 - 1, Epoch: "k3Zq", PromptID: "p", Time: time.UnixMilli(1767225600123), Attempt: 2,
			Payload: nodebus.Executing{UniqueID: "5", PromptID: "p"},
		},
		false,
		[]string{`"{"type":"executing","data":{"node":"5","prompt_id":"p"},"cursor":"k3Zq-18446744073709551615","prompt_id":"p","time":1767225600123,"attempt":2}"`},
	},
	{
		"nothing",
		nodebus.Event{Payload: nodebus.Executing{UniqueID: "5"}},
		false,
		[]string{`"{"type":"executing","data":{"node":"5"}}"`},
	},
	{
		"the start of 1970, before any event",
		nodebus.Event{Epoch: "e", Time: time.UnixMilli(0), Payload: nodebus.Executing{UniqueID: "5"}},
		false,
		[]string{`"{"type":"executing","data":{"node":"5"},"cursor":"e-0","time":0}"`},
	},
	{
		"a custom event of a prompt",
		nodebus.Event{ID: 7, Epoch: "e", PromptID: `a "b"`, Payload: nodebus.Custom{Type: "my.event", Data: json.RawMessage("1")}},
		false,
		[]string{`"{"type":"my.event","data":1,"cursor":"e-7","prompt_id":"a \"b\""}"`},
	},
	{
		"text of a node",
		nodebus.Event{
			ID: 4, Epoch: "e", PromptID: "p", Time: time.UnixMilli(1767225600123), Attempt: 3,
			Payload: nodebus.ProgressText{UniqueID: "7", Text: "ok"},
		},
		true,
		[]string{
			"00004E42 00000058", `"{"type":"progress_text","cursor":"e-4","prompt_id":"p","time":1767225600123,"attempt":3}"`,
			"00000003 00000001 37 6F6B",
		},
	},
	{
		"binary without anything to say",
		nodebus.Event{Payload: nodebus.Custom{Type: "99", Data: []byte{1}}},
		true,
		[]string{"00004E42 0000000D", `"{"type":"99"}"`, "00000063 01"},
	},
}

func TestEnvelopeFrames(t *testing.T) {
	for _, c := range envelopeFrames {
		t.Run(c.name, func(t *testing.T) {
			want := bytesOf(t, c.parts...)
			f, err := nodebus.JSONCodec{Envelope: true}.Encode(c.ev)
			require.NoError(t, err)
			require.Equal(t, string(want), string(f.Data))
			require.Equal(t, c.binary, f.Binary)
			require.Equal(t, c.ev.Cursor(), f.Cursor())

			for bits := range uint8(codecVariants) { // the options of a codec do not matter for Decode
				ev, err := codecVariant(bits).Decode(nodebus.Frame{Binary: c.binary, Data: want})
				require.NoError(t, err)
				require.Equal(t, c.ev, ev)
			}
		})
	}
}

// TestFrameWithoutCursor checks that Decode uses the cursor of the frame if its bytes
// have none: a transport may send the cursor in its own way.
func TestFrameWithoutCursor(t *testing.T) {
	sent := nodebus.Event{ID: 5, Epoch: "e", Payload: nodebus.Executing{UniqueID: "5"}}
	f, err := nodebus.JSON.Encode(sent)
	require.NoError(t, err)
	require.Equal(t, `{"type":"executing","data":{"node":"5"}}`, string(f.Data))
	got, err := nodebus.JSON.Decode(f)
	require.NoError(t, err)
	require.Equal(t, sent, got)

	f, err = nodebus.JSONCodec{Envelope: true}.Encode(sent)
	require.NoError(t, err)
	got, err = nodebus.JSON.Decode(nodebus.Frame{ID: 3, Epoch: "other", Data: f.Data})
	require.NoError(t, err)
	require.Equal(t, sent, got, "the bytes say more about the event than the frame")
}

// foreignMembers lists members of an envelope that are not ours.
var foreignMembers = []string{
	`"cursor":7`, `"cursor":null`, `"cursor":""`, `"cursor":"7-"`, `"cursor":"a b-7"`, `"cursor":{"e":7}`,
	`"prompt_id":null`, `"prompt_id":7`, `"prompt_id":["p"]`, `"prompt_id":""`,
	`"time":null`, `"time":"now"`, `"time":1.5`, `"time":1e3`, `"time":9223372036854775808`,
	`"attempt":null`, `"attempt":"2"`, `"attempt":-2`, `"attempt":0`, `"attempt":2.5`,
	`"id":7`, `"id":"e-7"`, `"more":{"data":1}`,
}

// TestForeignMembers checks that Decode ignores members of an envelope that are of
// another type or unknown. Other servers may send them.
func TestForeignMembers(t *testing.T) {
	for _, member := range foreignMembers {
		ev, err := nodebus.JSON.Decode(nodebus.Frame{Data: []byte(`{"type":"executing","data":{"node":"5"},` + member + `}`)})
		require.NoError(t, err, member)
		require.Equal(t, nodebus.Event{Payload: nodebus.Executing{UniqueID: "5"}}, ev, member)

		wrapped := append([]byte{0, 0, 0x4e, 0x42, 0, 0, 0, byte(len(member) + 2)}, "{"+member+"}\x00\x00\x00\x63abc"...)
		ev, err = nodebus.JSON.Decode(nodebus.Frame{Binary: true, Data: wrapped})
		require.NoError(t, err, member)
		require.Equal(t, nodebus.Event{Payload: nodebus.Custom{Type: "99", Data: []byte("abc")}}, ev, member)
	}
}

func TestDecodeMalformedEnvelope(t *testing.T) {
	for _, c := range []struct {
		name  string
		parts []string
		says  string
	}{
		{"no length", []string{"00004E42"}, "envelope: frame too short: 0 bytes, need 4"},
		{"part of a length", []string{"00004E42 0000"}, "envelope: frame too short: 2 bytes, need 4"},
		{"cut off", []string{"00004E42 00000009", `"{}"`}, "envelope: frame too short: the next part has 9 bytes, but only 2 are left"},
		{"a length beyond all bounds", []string{"00004E42 FFFFFFFF", `"{}"`}, "envelope: frame too short: the next part has 4294967295 bytes"},
		{"empty", []string{"00004E42 00000000 00000063"}, "envelope: unexpected end of JSON input"},
		{"no JSON", []string{"00004E42 00000003", `"abc"`, "00000063"}, "envelope: invalid character"},
		{"a list", []string{"00004E42 00000002", `"[]"`, "00000063"}, "envelope: json: cannot unmarshal array"},
		{"nothing in it", []string{"00004E42 00000002", `"{}"`}, "frame too short: 0 bytes, need 4"},
		{"a broken frame in it", []string{"00004E42 00000002", `"{}"`, "00000004"}, "frame too short: 0 bytes, need 4"},
		{"an envelope in it", []string{"00004E42 00000002", `"{}"`, "00004E42 00000002", `"{}"`, "00000063"}, "envelope: it contains another envelope"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ev, err := nodebus.JSON.Decode(nodebus.Frame{ID: 1, Binary: true, Data: bytesOf(t, c.parts...)})
			require.ErrorContains(t, err, "nodebus: binary frame: ")
			require.ErrorContains(t, err, c.says)
			require.Zero(t, ev)
		})
	}
}

// FuzzEnvelope checks that an envelope holds any event, and that a cursor that it cannot
// hold does not break it.
func FuzzEnvelope(f *testing.F) {
	f.Add("k3Zq", uint64(7), "p", int64(1767225600123), 2, []byte("image"), true)
	f.Add("", uint64(0), "", int64(0), 0, []byte(`"text"`), false)
	f.Add(`a"b`, uint64(1<<64-1), "\xff", int64(-1), -1, []byte{}, true)
	f.Fuzz(func(t *testing.T, epoch string, id uint64, prompt string, ms int64, attempt int, data []byte, binary bool) {
		sent := nodebus.Event{ID: id, Epoch: epoch, PromptID: prompt, Time: time.UnixMilli(ms), Attempt: attempt}
		sent.Payload = nodebus.Custom{Type: "99", Data: data}
		if !binary {
			sent.Payload = nodebus.Custom{Type: prompt, Data: json.RawMessage(marshalled(t, string(data)))}
		}
		want := sent
		if _, err := nodebus.ParseCursor(sent.Cursor().String()); err != nil {
			want.Epoch = ""
		}
		if !binary {
			want.Payload = nodebus.Custom{Type: string([]rune(prompt)), Data: sent.Payload.(nodebus.Custom).Data}
		}
		c := nodebus.JSONCodec{Envelope: true}
		got := overWire(t, c, sent)
		require.Equal(t, settledEvent(t, keptOnWire(c, want)), settledEvent(t, got))
	})
}

// FuzzDecode checks that Decode never panics, and that Encode writes each decoded event
// so that it decodes to the same event.
func FuzzDecode(f *testing.F) {
	for _, c := range standardFrames {
		f.Add([]byte(c.wire), false, uint8(1))
	}
	f.Add([]byte(`{"type":"my.event","data":{"<":"\u2028"},"cursor":"e1-77","prompt_id":"p","time":1767225600123,"attempt":2}`), false, uint8(1))
	f.Add([]byte(`{"type":"progress","data":{"value":0.5,"prompt_id":"p","node":null}}`), false, uint8(1)) // beyond its maximum
	f.Add([]byte(`{"type":"my.event","cursor":7,"prompt_id":[],"time":"x","attempt":-1.5}`), false, uint8(1))
	for bits := range uint8(codecVariants) {
		for _, p := range []nodebus.Payload{
			nodebus.Preview{Place: nodebus.Place{UniqueID: "1"}, PromptID: "p", ImageType: "image/png", Image: []byte("img")},
			nodebus.ProgressText{PromptID: "p", UniqueID: "7", Text: "ok"},
			nodebus.Custom{Type: "99", Data: []byte{0, 1, 2}},
		} {
			frame, err := codecVariant(bits).Encode(nodebus.Event{ID: 7, Epoch: "e1", PromptID: "p", Attempt: 2, Payload: p})
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
		again, err := c.Decode(nodebus.Frame{Data: frame.Data, Binary: binary})
		require.NoError(t, err)
		require.Equal(t, settledEvent(t, keptOnWire(c, ev)), settledEvent(t, again))
	})
}
