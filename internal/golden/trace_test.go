package golden_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// trace is a recorded scenario. testdata/README.md describes the files.
type trace struct {
	Name       string
	Prompts    map[string]map[string]node
	Log        []entry
	ObjectInfo map[string]json.RawMessage `json:"object_info"`
}

// node is a node of a graph.
type node struct {
	Class  string `json:"class_type"`
	Inputs map[string]any
}

// entry is an entry of the log. Which fields are set depends on Kind.
type entry struct {
	Seq    int
	Kind   string
	T      float64 // seconds since the start of the recording
	Client string
	Path   string

	JSON struct {
		Type string
		Data map[string]any
	}
	Event   uint32 // type of a binary frame
	Header  map[string]any
	Text    string
	Image   []byte `json:"payload_b64"`
	Payload string `json:"payload_hex"`

	Code int // code of a close frame

	Method   string
	Start    float64 `json:"t_start"`
	Request  json.RawMessage
	Raw      string `json:"request_raw"` // a body that is not JSON
	Status   int
	Type     string `json:"content_type"`
	Response json.RawMessage
	Words    string `json:"response_text"` // a body that is not JSON
}

// accepted returns the id of the prompt that the request submitted. It returns "" for
// other requests and for refused prompts.
func (e *entry) accepted() string {
	var body struct {
		ID string `json:"prompt_id"`
	}
	if e.Method == "POST" && e.Path == "/prompt" && e.Status == http.StatusOK {
		_ = json.Unmarshal(e.Response, &body)
	}
	return body.ID
}

func loadTraces(t *testing.T) []*trace {
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	traces := make([]*trace, len(files))
	for i, f := range files {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, &traces[i]), f)
		require.Equal(t, strings.TrimSuffix(filepath.Base(f), ".json"), traces[i].Name)
	}
	return traces
}

// transcript holds the messages and answers of a scenario, from a recording or from
// a replay.
type transcript struct {
	clients map[string][]message // by the name of the client in the trace
	answers []answer             // in the order of the requests
}

// message is one frame that a client received.
type message struct {
	Type  string // for a binary frame: "binary" and its type number
	Data  map[string]any
	image image.Image
}

// recorded returns the transcript in the trace, without the entries that skipped
// selects.
func (tr *trace) recorded(t *testing.T, m mode) *transcript {
	ts := &transcript{clients: map[string][]message{}}
	for i := range tr.Log {
		e := &tr.Log[i]
		if tr.skips(m, e) {
			continue
		}
		switch e.Kind {
		case "ws_open":
			ts.clients[e.Client] = nil
		case "ws_text":
			data, _ := viaJSON(t, e.JSON.Data).(map[string]any) // a copy, because plain may change it
			ts.clients[e.Client] = append(ts.clients[e.Client], message{Type: e.JSON.Type, Data: data})
		case "ws_binary":
			ts.clients[e.Client] = append(ts.clients[e.Client], e.binary(t))
		case "ws_close_frame":
			ts.clients[e.Client] = append(ts.clients[e.Client], closing(e.Code))
		case "http":
			a := overHTTP(t, e.Method+" "+e.Path, e.Status, e.Type, e.body())
			if m == core {
				a.Type, a.Keys = "", nil
			}
			ts.answers = append(ts.answers, a)
		case "ws_send", "ws_close": // replayer handles these
		default:
			require.Fail(t, "kind of log entry is not supported; add it to recorded or to skipped", "%+v", e)
		}
	}
	if m == core {
		return ts
	}
	for _, file := range ts.pictures() {
		ts.clients[viewer] = append(ts.clients[viewer], tr.painted(t, file))
	}
	for _, class := range slices.Sorted(maps.Keys(tr.ObjectInfo)) { // the recorder requested them last
		body, err := json.Marshal(map[string]json.RawMessage{class: tr.ObjectInfo[class]})
		require.NoError(t, err)
		ts.answers = append(ts.answers, overHTTP(t, "GET /object_info/"+class, http.StatusOK, jsonType, body))
	}
	return ts
}

// closing returns the close frame of a connection as a message.
func closing(code int) message {
	return message{Type: "close", Data: map[string]any{"code": float64(code)}}
}

func (e *entry) binary(t *testing.T) message {
	switch e.Event {
	case 1, 4:
		head := map[string]any{}
		for _, k := range []string{"image_type", "metadata"} {
			if v, ok := e.Header[k]; ok {
				head[k] = v
			}
		}
		return preview(t, e.Event, head, e.Image)
	case 3:
		return message{Type: "binary 3", Data: map[string]any{"node_id": e.Header["node_id"], "text": e.Text}}
	}
	return message{Type: fmt.Sprint("binary ", e.Event), Data: map[string]any{"payload": e.Payload}}
}

// received decodes a frame, byte by byte, as a client does.
func received(t *testing.T, f nodebus.Frame) message {
	if !f.Binary {
		var m message
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
		return preview(t, event, map[string]any{"image_type": format}, f.Data)
	case 3:
		id := string(part())
		return message{Type: "binary 3", Data: map[string]any{"node_id": id, "text": string(f.Data)}}
	case 4:
		var meta map[string]any
		require.NoError(t, json.Unmarshal(part(), &meta))
		return preview(t, event, map[string]any{"metadata": meta}, f.Data)
	default:
		return message{Type: fmt.Sprint("binary ", event), Data: map[string]any{"payload": hex.EncodeToString(f.Data)}}
	}
}

func preview(t *testing.T, event uint32, data map[string]any, file []byte) message {
	img, format, err := image.Decode(bytes.NewReader(file))
	require.NoError(t, err)
	data["format"], data["size"] = format, img.Bounds().Size().String()
	return message{fmt.Sprint("binary ", event), data, img}
}
