package golden_test

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing/fstest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// outside replays a trace on a server, over HTTP and WebSocket.
type outside struct {
	*replayer
	srv     *httptest.Server
	client  *http.Client
	sockets map[string]*socket
	answers []answered
}

// answered is an HTTP response, unchanged.
type answered struct {
	e      *entry
	status int
	typ    string // content type
	body   []byte
}

func newOutside(r *replayer, m mode) *outside {
	network := newNetwork(r.t)
	o := &outside{
		replayer: r,
		client:   &http.Client{Transport: &http.Transport{DialContext: network.dial}},
		sockets:  map[string]*socket{},
	}
	opts := &comfy.Options{
		Temp: r.folders.Temp, Output: r.folders.Output, Models: r.tr.models(),
		LegacyBroadcasts: m == legacy,
		HeadStart:        -1, // only the replay decides when something happens
	}
	o.srv = &httptest.Server{
		Listener: network,
		Config:   &http.Server{Handler: comfy.New(r.engine, opts)},
	}
	o.srv.Start()
	return o
}

// models returns an empty folder for each model folder that the reference lists.
func (tr *trace) models() map[string]fs.FS {
	folders := map[string]fs.FS{}
	for i := range tr.Log {
		if e := &tr.Log[i]; e.Path == "/models" {
			var names []string
			_ = json.Unmarshal(e.Response, &names)
			for _, name := range names {
				folders[name] = fstest.MapFS{}
			}
		}
	}
	return folders
}

// unrecorded holds frames and headers that the recorder did not keep, by trace and
// number of the entry. They are reconstructed from the description of the trace and
// from the response.
var unrecorded = map[string]map[int]string{
	"feature_flags_handshake": {
		6:  `{"type":"something_else","data":{}}`,
		10: `{"type":"feature_flags"`,
		15: `{"type":"feature_flags"}`,
		19: `["feature_flags"]`,
	},
	"http_misc": {26: "http://elsewhere.example"}, // the Origin header
}

func (o *outside) ask(e *entry) {
	a := o.do(e.Method, o.here(e.Path), o.body(e), unrecorded[o.tr.Name][e.Seq])
	a.e = e
	if then := e.accepted(); then != "" && a.status == http.StatusOK {
		var asked, now struct {
			ID string `json:"prompt_id"`
		}
		require.NoError(o.t, json.Unmarshal(e.Request, &asked))
		require.NoError(o.t, json.Unmarshal(a.body, &now))
		o.named(asked.ID, then, now.ID)
	}
	o.answers = append(o.answers, a)
}

func (o *outside) do(method, path string, body []byte, origin string) answered {
	req, err := http.NewRequestWithContext(o.t.Context(), method, o.srv.URL+path, bytes.NewReader(body))
	require.NoError(o.t, err)
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	res, err := o.client.Do(req)
	require.NoError(o.t, err)
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	require.NoError(o.t, err)
	return answered{status: res.StatusCode, typ: res.Header.Get("Content-Type"), body: answer}
}

// body returns the recorded request body, with the ids of this run and with the
// outputs in the recorded order.
func (o *outside) body(e *entry) []byte {
	if e.Request == nil {
		return []byte(e.Raw)
	}
	body := []byte(o.here(string(e.Request)))
	if id := e.accepted(); len(o.tr.outputs(id)) > 1 {
		var req map[string]json.RawMessage
		var nodes nodebus.Nodes
		require.NoError(o.t, json.Unmarshal(body, &req))
		require.NoError(o.t, json.Unmarshal(req["prompt"], &nodes))
		var err error
		req["prompt"], err = json.Marshal(o.tr.inOrderOfOutputs(id, nodes))
		require.NoError(o.t, err)
		ordered, err := json.Marshal(req)
		require.NoError(o.t, err)
		require.JSONEq(o.t, string(body), string(ordered))
		return ordered
	}
	return body
}

// uuid matches a version 4 UUID, with or without hyphens.
const uuid = "^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$"

// named checks an id from the server. If the client requested an id, the server must
// use it. Otherwise the server must choose an id of the same form as the recorded id;
// named then notes that the new id replaces the recorded id.
func (r *replayer) named(asked, then, now string) {
	if asked != "" {
		require.Equal(r.t, asked, now)
		return
	}
	require.Regexp(r.t, uuid, now)
	require.Len(r.t, now, len(then))
	r.given = append(r.given, then, now)
}

// here replaces the recorded ids in text with the ids of this run.
func (r *replayer) here(text string) string { return strings.NewReplacer(r.given...).Replace(text) }

// then replaces the ids of this run in data with the recorded ids.
func (r *replayer) then(data []byte) []byte {
	back := slices.Clone(r.given)
	slices.Reverse(back)
	return []byte(strings.NewReplacer(back...).Replace(string(data)))
}

func (o *outside) seen() *transcript {
	ts := &transcript{clients: map[string][]message{}}
	for _, a := range o.answers {
		request := a.e.Method + " " + a.e.Path
		ts.answers = append(ts.answers, overHTTP(o.t, request, a.status, a.typ, o.then(a.body)))
	}
	for _, class := range slices.Sorted(maps.Keys(o.tr.ObjectInfo)) {
		path := "/object_info/" + class
		a := o.do(http.MethodGet, path, nil, "")
		ts.answers = append(ts.answers, overHTTP(o.t, "GET "+path, a.status, a.typ, a.body))
	}
	for name, s := range o.sockets {
		ts.clients[name] = s.messages(o)
	}
	for _, file := range ts.pictures() {
		ts.clients[viewer] = append(ts.clients[viewer], o.look(file))
	}
	return ts
}

func (o *outside) stop() {
	for _, s := range o.sockets {
		_ = s.conn.CloseNow()
	}
	o.client.CloseIdleConnections()
	o.srv.Close()
}
