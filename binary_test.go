package nodebus_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// bytesOf returns the bytes of hexadecimal digits. It ignores blanks. Text in quotes
// stands for its own bytes.
func bytesOf(t testing.TB, parts ...string) []byte {
	var b []byte
	for _, p := range parts {
		if text, ok := strings.CutPrefix(p, `"`); ok {
			b = append(b, strings.TrimSuffix(text, `"`)...)
			continue
		}
		raw, err := hex.DecodeString(strings.ReplaceAll(p, " ", ""))
		require.NoError(t, err)
		b = append(b, raw...)
	}
	return b
}

// previewMeta is the metadata before the image in a frame of type 4: 127 bytes.
const previewMeta = `"{"node_id":"5.0.0.1","prompt_id":"8f1d","display_node_id":"5","parent_node_id":"5","real_node_id":"5","image_type":"image/png"}"`

var binaryFrames = []struct {
	name    string
	codec   nodebus.JSONCodec
	payload nodebus.Payload
	parts   []string
}{
	{
		"type 3: text of a node",
		nodebus.JSONCodec{},
		nodebus.ProgressText{UniqueID: "7", Text: "ok"},
		[]string{"00000003 00000001 37 6F6B"},
	},
	{
		"type 3: lengths count bytes",
		nodebus.JSONCodec{},
		nodebus.ProgressText{UniqueID: "ü", Text: "héllo"},
		[]string{"00000003 00000002", `"ü"`, `"héllo"`},
	},
	{
		"type 3: nothing to say",
		nodebus.JSONCodec{},
		nodebus.ProgressText{},
		[]string{"00000003 00000000"},
	},
	{
		"type 1: JPEG",
		nodebus.JSONCodec{BarePreviews: true},
		nodebus.Preview{ImageType: "image/jpeg", Image: []byte("\xff\xd8\xff\xe0")},
		[]string{"00000001 00000001 FFD8FFE0"},
	},
	{
		"type 1: PNG",
		nodebus.JSONCodec{BarePreviews: true},
		nodebus.Preview{ImageType: "image/png", Image: []byte("\x89PNG")},
		[]string{"00000001 00000002 89", `"PNG"`},
	},
	{
		"type 4",
		nodebus.JSONCodec{},
		nodebus.Preview{
			Place: nodebus.Place{UniqueID: "5.0.0.1", DisplayID: "5", ParentID: "5", RealID: "5"}, PromptID: "8f1d",
			ImageType: "image/png", Image: []byte("\x89PNG"),
		},
		[]string{"00000004 0000007F", previewMeta, "89", `"PNG"`},
	},
	{
		"type 4 of a node that nobody made",
		nodebus.JSONCodec{},
		nodebus.Preview{Place: nodebus.Place{UniqueID: "5"}, ImageType: "image/jpeg", Image: []byte{}},
		[]string{"00000004 00000075", `"{"node_id":"5","prompt_id":"","display_node_id":"","parent_node_id":null,"real_node_id":"","image_type":"image/jpeg"}"`},
	},
	{
		"a type of one's own",
		nodebus.JSONCodec{},
		nodebus.Custom{Type: "99", Data: []byte{0, 1, 2, 3, 4}},
		[]string{"00000063 0001020304"},
	},
	{
		"the largest type, without data",
		nodebus.JSONCodec{},
		nodebus.Custom{Type: "4294967295", Data: []byte{}},
		[]string{"FFFFFFFF"},
	},
}

func TestBinaryFrames(t *testing.T) {
	for _, c := range binaryFrames {
		t.Run(c.name, func(t *testing.T) {
			want := bytesOf(t, c.parts...)
			f, err := c.codec.Encode(nodebus.Event{ID: 9, Payload: c.payload})
			require.NoError(t, err)
			require.True(t, f.Binary)
			require.Equal(t, want, f.Data)
			require.Equal(t, uint64(9), f.ID)

			ev, err := c.codec.Decode(nodebus.Frame{Binary: true, Data: want})
			require.NoError(t, err)
			require.Equal(t, c.payload, ev.Payload)
		})
	}
}

// TestDecodeBinaryIsLiberal checks that Decode accepts valid frames that Encode never
// writes.
func TestDecodeBinaryIsLiberal(t *testing.T) {
	for _, c := range []struct {
		name  string
		want  nodebus.Payload
		parts []string
	}{
		{"type 1 of a format that nobody knows is a JPEG", nodebus.Preview{ImageType: "image/jpeg", Image: []byte("x")}, []string{"00000001 00000007", `"x"`}},
		{"type 1 without an image", nodebus.Preview{ImageType: "image/png", Image: []byte{}}, []string{"00000001 00000002"}},
		{
			"type 4 with spaces and more keys",
			nodebus.Preview{Place: nodebus.Place{UniqueID: "2"}, Image: []byte("x")},
			[]string{"00000004 0000002A", `"{ "node_id": "2", "workflow_id": "w1234" }"`, `"x"`},
		},
		{"type 4 that says nothing", nodebus.Preview{Image: []byte("x")}, []string{"00000004 00000002", `"{}"`, `"x"`}},
		{"type 2, which is never sent", nodebus.Custom{Type: "2", Data: []byte("x")}, []string{"00000002", `"x"`}},
		{"type 0", nodebus.Custom{Type: "0", Data: []byte{}}, []string{"00000000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ev, err := nodebus.JSON.Decode(nodebus.Frame{Binary: true, Data: bytesOf(t, c.parts...)})
			require.NoError(t, err)
			require.Equal(t, c.want, ev.Payload)
		})
	}
}

func TestDecodeMalformedBinary(t *testing.T) {
	for _, c := range []struct {
		name  string
		codec nodebus.JSONCodec
		parts []string
		says  string
	}{
		{"nothing", nodebus.JSONCodec{}, nil, "frame too short: 0 bytes, need 4"},
		{"part of a type", nodebus.JSONCodec{}, []string{"000000"}, "frame too short: 3 bytes, need 4"},
		{"type 1 without a format", nodebus.JSONCodec{}, []string{"00000001 0000"}, "frame too short: 2 bytes, need 4"},
		{"type 3 without a length", nodebus.JSONCodec{}, []string{"00000003"}, "frame too short: 0 bytes, need 4"},
		{"type 3 with an id that is cut off", nodebus.JSONCodec{}, []string{"00000003 00000003 3737"}, "frame too short: the next part has 3 bytes, but only 2 are left"},
		{"type 3 with a length beyond all bounds", nodebus.JSONCodec{}, []string{"00000003 FFFFFFFF 37"}, "frame too short: the next part has 4294967295 bytes, but only 1 are left"},
		{"type 4 without a length", nodebus.JSONCodec{}, []string{"00000004"}, "frame too short: 0 bytes, need 4"},
		{"type 4 with metadata that are cut off", nodebus.JSONCodec{}, []string{"00000004 00000005", `"{}"`}, "frame too short: the next part has 5 bytes, but only 2 are left"},
		{"type 4 without metadata", nodebus.JSONCodec{}, []string{"00000004 00000000", `"img"`}, "metadata: unexpected end of JSON input"},
		{"type 4 with metadata in a list", nodebus.JSONCodec{}, []string{"00000004 00000002", `"[]"`}, "metadata: json: cannot unmarshal array"},
		{"type 4 with metadata that are no JSON", nodebus.JSONCodec{}, []string{"00000004 00000003", `"abc"`}, "metadata: invalid character"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ev, err := c.codec.Decode(nodebus.Frame{ID: 1, Binary: true, Data: bytesOf(t, c.parts...)})
			require.ErrorContains(t, err, "nodebus: binary frame: ")
			require.ErrorContains(t, err, c.says)
			require.Zero(t, ev)
		})
	}
}

// heatMap is a foreign payload that is sent as a binary frame.
type heatMap struct {
	cells []byte
	err   error
}

func (heatMap) EventType() string { return "example.heat" }

func (h heatMap) AppendBinary(b []byte) ([]byte, error) {
	return append(append(b, 0, 0, 0, 77), h.cells...), h.err
}

// TestBinaryAppender checks that a payload of any type may write its own binary frame.
// Decode takes the type from the first four bytes.
func TestBinaryAppender(t *testing.T) {
	for _, p := range []nodebus.Payload{heatMap{cells: []byte("abc")}, &heatMap{cells: []byte("abc")}} {
		f, err := nodebus.JSON.Encode(nodebus.Event{ID: 3, Payload: p})
		require.NoError(t, err)
		require.Equal(t, nodebus.Frame{ID: 3, Type: "example.heat", Binary: true, Data: []byte("\x00\x00\x00Mabc")}, f)
		ev, err := nodebus.JSON.Decode(f)
		require.NoError(t, err)
		require.Equal(t, nodebus.Event{ID: 3, Payload: nodebus.Custom{Type: "77", Data: []byte("abc")}}, ev)
	}
	cause := errors.New("too hot")
	f, err := nodebus.JSON.Encode(nodebus.Event{Payload: heatMap{err: cause}})
	require.ErrorIs(t, err, cause)
	require.Zero(t, f)
}

// TestPreviewMetadataIsJSON checks that the metadata of a preview are the bytes that
// encoding/json writes, except for null, for ids of any bytes.
func TestPreviewMetadataIsJSON(t *testing.T) {
	type metadata struct {
		NodeID        string  `json:"node_id"`
		PromptID      string  `json:"prompt_id"`
		DisplayNodeID string  `json:"display_node_id"`
		ParentNodeID  *string `json:"parent_node_id"`
		RealNodeID    string  `json:"real_node_id"`
		ImageType     string  `json:"image_type"`
	}
	g := newWireGen(3)
	for range 1000 {
		p := nodebus.Preview{
			Place:    nodebus.Place{UniqueID: g.wild(), DisplayID: g.wild(), ParentID: g.wild(), RealID: g.wild()},
			PromptID: g.wild(), ImageType: g.wild(), Image: []byte(g.wild()),
		}
		meta, err := json.Marshal(metadata{p.UniqueID, p.PromptID, p.DisplayID, orNull(p.ParentID), p.RealID, p.ImageType})
		require.NoError(t, err)
		n := len(meta)
		want := append([]byte{0, 0, 0, 4, 0, 0, byte(n >> 8), byte(n)}, meta...)
		f, err := nodebus.JSON.Encode(nodebus.Event{Payload: p})
		require.NoError(t, err)
		require.Equal(t, append(want, p.Image...), f.Data)
	}
}
