package comfy_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"log/slog"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

var somePage = fstest.MapFS{"index.html": {Data: []byte("front")}}

// TestOwnScripts: a front end receives the scripts of the server, unless the host program
// replaces them.
func TestOwnScripts(t *testing.T) {
	const first, total = "/extensions/nodebus/first.js", "/extensions/nodebus/total.js"
	workflow := json.RawMessage(`{"nodes":[]}`)
	mine := fstest.MapFS{"mine.js": {Data: []byte("mine")}}
	for name, c := range map[string]struct {
		opts comfy.Options
		want []any
	}{
		"the page of the server": {comfy.Options{Workflow: workflow}, []any{}},
		"a front end":            {comfy.Options{Frontend: somePage}, []any{total}},
		"a workflow":             {comfy.Options{Frontend: somePage, Workflow: workflow}, []any{first, total}},
		"a pack beside them":     {comfy.Options{Frontend: somePage, Extensions: map[string]fs.FS{"mine": mine}}, []any{total, "/extensions/mine/mine.js"}},
		"a pack in their place": {
			comfy.Options{Frontend: somePage, Workflow: workflow, Extensions: map[string]fs.FS{"nodebus": mine}},
			[]any{"/extensions/nodebus/mine.js"},
		},
		"nothing in their place": {comfy.Options{Frontend: somePage, Workflow: workflow, Extensions: map[string]fs.FS{"nodebus": nil}}, []any{}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, &c.opts)
			require.Equal(t, c.want, h.get("/extensions"))
			for _, path := range []string{first, total, "/extensions/nodebus/mine.js", "/extensions/nodebus/first.json"} {
				a, wanted := h.send("GET", path, ""), slices.Contains(c.want, any(path))
				if path == "/extensions/nodebus/first.json" {
					wanted = slices.Contains(c.want, any(first))
				}
				require.Equal(t, wanted, a.status == 200, path)
				if wanted {
					require.Equal(t, "no-cache", a.header.Get("Cache-Control"))
				}
			}
		})
	}
}

// TestWorkflow: the script asks for the workflow beside it. What is not a workflow of the
// front end is not offered, and the log says so.
func TestWorkflow(t *testing.T) {
	const text = `{"last_node_id": 1, "nodes": [{"id": 1, "type": "Load"}], "links": [], "version": 0.4}`
	h := newHost(t, &comfy.Options{Frontend: somePage, Workflow: json.RawMessage(text)})
	a := h.send("GET", "/extensions/nodebus/first.json", "")
	require.JSONEq(t, text, a.body)
	require.Equal(t, "application/json; charset=utf-8", a.header.Get("Content-Type"))
	require.Contains(t, h.send("GET", "/extensions/nodebus/first.js", "").body, `"first.json"`)
	for _, wrong := range []string{`{"1":{"class_type":"Load","inputs":{}}}`, `{"nodes":{}}`, `{"nodes":null}`, `[]`, `null`, `{"nodes":[]`, `x`} {
		var log bytes.Buffer
		h := newHost(t, &comfy.Options{Frontend: somePage, Workflow: json.RawMessage(wrong), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.Equal(t, []any{"/extensions/nodebus/total.js"}, h.get("/extensions"), wrong)
		require.Equal(t, 404, h.send("GET", "/extensions/nodebus/first.json", "").status)
		require.Contains(t, log.String(), "Options.Workflow is not a JSON object with a list", wrong)
	}
}
