package stored_test

import (
	"encoding/json"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/stored"
	"github.com/stretchr/testify/require"
)

// said is a payload of a caller with any type and data.
type said struct{ typ, data string }

func (s said) EventType() string            { return s.typ }
func (s said) MarshalJSON() ([]byte, error) { return []byte(s.data), nil }

// framed is a payload of a caller with any binary frame.
type framed []byte

func (framed) EventType() string                       { return "framed" }
func (s framed) AppendBinary(b []byte) ([]byte, error) { return append(b, s...), nil }

// TestForeignPayloads stores payloads that look like standard payloads, and often are none:
// each of them comes back with the same frame, and is no standard payload.
func TestForeignPayloads(t *testing.T) {
	all := []nodebus.Payload{
		&nodebus.Executing{PromptID: "p"}, // has the methods of a standard payload, and a type that is none
		nodebus.Custom{Type: "1", Data: []byte{1}}, nodebus.Custom{Type: "4", Data: []byte{1}}, nodebus.Custom{Type: "9", Data: []byte{1}},
	}
	for _, typ := range []string{
		"status", "executing", "execution_start", "executed", "progress", "progress_state", "execution_error", "execution_success",
		"execution_cached", "execution_interrupted", "node_failed", "waiting", "answered", "text_piece", "node_done", "", "mine",
	} {
		for _, data := range []string{`null`, `1`, `"x"`, `[]`, `{}`, `{"node":null,"prompt_id":"p"}`, `{"node":5,"prompt_id":7}`, `{"status":4}`} {
			all = append(all, said{typ, data}, nodebus.Custom{Type: typ, Data: json.RawMessage(data)})
		}
	}
	for _, frame := range []string{"", "a", "\x00\x00\x00\x01", "\x00\x00\x00\x01\x00\x00", "\x00\x00\x00\x03\x00\x00\x00\x63a", "\x00\x00\x00\x04\x00\x00\x00\x01{", "\x00\x00N\x42a"} {
		all = append(all, framed(frame))
	}
	for _, p := range all {
		f, foreign, err := stored.Encode(&nodebus.Event{Payload: p})
		require.NoError(t, err)
		require.True(t, foreign, "%#v", p)
		got, err := stored.Decode(f, foreign)
		require.NoError(t, err)
		require.NotNil(t, got)
		again, foreign, err := stored.Encode(&nodebus.Event{Payload: got})
		require.NoError(t, err)
		require.True(t, foreign, "%#v", got)
		require.Equal(t, f.Binary, again.Binary)
		require.Equal(t, string(f.Data), string(again.Data))
	}
}

// TestStandardPayloads stores payloads of package nodebus.
func TestStandardPayloads(t *testing.T) {
	for _, p := range []nodebus.Payload{
		nodebus.ExecutionStart{PromptID: "p", Timestamp: 5},
		nodebus.Executing{PromptID: "p"},
		nodebus.Progress{Value: 1, Max: 2, PromptID: "p", UniqueID: "1"},
		nodebus.Preview{Place: nodebus.Place{UniqueID: "1"}, PromptID: "p", ImageType: "image/png", Image: []byte("png")},
	} {
		f, foreign, err := stored.Encode(&nodebus.Event{Payload: p})
		require.NoError(t, err)
		require.False(t, foreign)
		got, err := stored.Decode(f, foreign)
		require.NoError(t, err)
		require.Equal(t, p, got)
	}
}

// TestPayloadsOfNewerVersions decodes standard payloads that this version does not know, or
// knows otherwise. They pass through.
func TestPayloadsOfNewerVersions(t *testing.T) {
	for _, want := range []nodebus.Frame{
		{Data: []byte(`{"type":"newer","data":{"x":1}}`)},
		{Data: []byte(`{"type":"progress","data":{"value":"half"}}`)},
		{Data: []byte("\x00\x00\x00\x01\x00"), Binary: true},
	} {
		p, err := stored.Decode(want, false)
		require.NoError(t, err)
		f, _, err := stored.Encode(&nodebus.Event{Payload: p})
		require.NoError(t, err)
		require.Equal(t, want.Binary, f.Binary)
		require.Equal(t, string(want.Data), string(f.Data))
	}
	for _, text := range []string{``, `{`, `[]`, `{"data":{}}`, `{"type":"x"}`} {
		_, err := stored.Decode(nodebus.Frame{Data: []byte(text)}, true)
		require.ErrorContains(t, err, "text frame", text)
	}
}

// TestDeepPayloads refuses what encoding/json encodes and does not decode.
func TestDeepPayloads(t *testing.T) {
	for levels, fits := range map[int]bool{9_000: true, 20_000: false} {
		for _, p := range []nodebus.Payload{
			nodebus.Custom{Type: "deep", Data: nested(levels)}, nodebus.Executed{PromptID: "p", Output: nodebus.UI{"x": {nested(levels)}}},
		} {
			f, foreign, err := stored.Encode(&nodebus.Event{Payload: p})
			if !fits {
				var encode *nodebus.EncodeError
				require.ErrorAs(t, err, &encode)
				require.ErrorContains(t, err, "too deeply")
				continue
			}
			require.NoError(t, err)
			_, err = stored.Decode(f, foreign)
			require.NoError(t, err)
		}
	}
}
