package nodebus_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// goldenTrace is a scenario as it was recorded; testdata/golden/README.md says
// what the files hold.
type goldenTrace struct {
	Name       string
	Log        []goldenEntry
	ObjectInfo map[string]map[string]any `json:"object_info"`
}

// goldenEntry is an entry of the log. Which fields are set depends on Kind.
type goldenEntry struct {
	Kind   string
	T      float64 // seconds since the beginning
	Client string
	Path   string

	JSON struct {
		Type string
		Data map[string]any
	}
	Event   uint32 // of a binary frame
	Header  map[string]any
	Text    string
	Image   []byte `json:"payload_b64"`
	Payload string `json:"payload_hex"`

	Method   string
	Start    float64 `json:"t_start"`
	Request  json.RawMessage
	Status   int
	Response any
}

func goldenTraces(t *testing.T) []*goldenTrace {
	files, err := filepath.Glob("testdata/golden/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	traces := make([]*goldenTrace, len(files))
	for i, f := range files {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, &traces[i]), f)
		require.Equal(t, strings.TrimSuffix(filepath.Base(f), ".json"), traces[i].Name)
	}
	return traces
}

// goldenTranscript is what was seen of a scenario: recorded, or here.
type goldenTranscript struct {
	clients map[string][]goldenMessage // by the trace's names of the clients
	answers []goldenAnswer             // to requests, in their order
}

// goldenMessage is one frame that a client was sent.
type goldenMessage struct {
	Type  string // of a binary frame, "binary" and its number
	Data  map[string]any
	image image.Image
}

// goldenAnswer is the answer to a request.
type goldenAnswer struct {
	Request string
	Status  int
	Body    any
}

// recorded is what the trace has of the scenario, without what goldenSkipped
// says is skipped.
func (tr *goldenTrace) recorded(t *testing.T) *goldenTranscript {
	ts := &goldenTranscript{clients: map[string][]goldenMessage{}}
	for i := range tr.Log {
		e := &tr.Log[i]
		if tr.skips(e) {
			continue
		}
		switch e.Kind {
		case "ws_open":
			ts.clients[e.Client] = nil
		case "ws_text":
			data, _ := goldenJSON(t, e.JSON.Data).(map[string]any) // a copy, which plain may change
			ts.clients[e.Client] = append(ts.clients[e.Client], goldenMessage{Type: e.JSON.Type, Data: data})
		case "ws_binary":
			ts.clients[e.Client] = append(ts.clients[e.Client], e.binary(t))
		case "http":
			ts.answers = append(ts.answers, goldenAnswer{e.Method + " " + e.Path, e.Status, goldenJSON(t, e.Response)})
		case "ws_send", "ws_close": // see goldenReplayer
		default:
			require.Fail(t, "the log has an entry that is neither understood nor skipped", "%+v", e)
		}
	}
	return ts
}

func (e *goldenEntry) binary(t *testing.T) goldenMessage {
	switch e.Event {
	case 1, 4:
		head := map[string]any{}
		for _, k := range []string{"image_type", "metadata"} {
			if v, ok := e.Header[k]; ok {
				head[k] = v
			}
		}
		return goldenPreview(t, e.Event, head, e.Image)
	case 3:
		return goldenMessage{Type: "binary 3", Data: map[string]any{"node_id": e.Header["node_id"], "text": e.Text}}
	}
	return goldenMessage{Type: fmt.Sprint("binary ", e.Event), Data: map[string]any{"payload": e.Payload}}
}

// goldenReceived reads a frame as a client would, byte by byte.
func goldenReceived(t *testing.T, f nodebus.Frame) goldenMessage {
	if !f.Binary {
		var m goldenMessage
		dec := json.NewDecoder(bytes.NewReader(f.Data))
		dec.DisallowUnknownFields()
		require.NoError(t, dec.Decode(&m), "%s", f.Data)
		return m
	}
	word := func() uint32 {
		require.GreaterOrEqual(t, len(f.Data), 4)
		n := binary.BigEndian.Uint32(f.Data)
		f.Data = f.Data[4:]
		return n
	}
	part := func() []byte {
		n := word()
		require.GreaterOrEqual(t, uint64(len(f.Data)), uint64(n))
		p := f.Data[:n]
		f.Data = f.Data[n:]
		return p
	}
	switch event := word(); event {
	case 1:
		format := float64(word())
		return goldenPreview(t, event, map[string]any{"image_type": format}, f.Data)
	case 3:
		id := string(part())
		return goldenMessage{Type: "binary 3", Data: map[string]any{"node_id": id, "text": string(f.Data)}}
	case 4:
		var meta map[string]any
		require.NoError(t, json.Unmarshal(part(), &meta))
		return goldenPreview(t, event, map[string]any{"metadata": meta}, f.Data)
	default:
		return goldenMessage{Type: fmt.Sprint("binary ", event), Data: map[string]any{"payload": hex.EncodeToString(f.Data)}}
	}
}

func goldenPreview(t *testing.T, event uint32, data map[string]any, file []byte) goldenMessage {
	img, format, err := image.Decode(bytes.NewReader(file))
	require.NoError(t, err)
	data["format"], data["size"] = format, img.Bounds().Size().String()
	return goldenMessage{fmt.Sprint("binary ", event), data, img}
}
