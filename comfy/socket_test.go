package comfy_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

func TestHandshake(t *testing.T) {
	h := newHost(t, nil)
	for _, path := range []string{"/ws", "/api/ws"} {
		c, _, err := websocket.Dial(t.Context(), h.url+path, nil)
		require.NoError(t, err)
		m := (&socket{t, c}).next()
		require.Equal(t, "status 0", m.short())
		require.Regexp(t, "^[0-9a-f]{32}$", m.Data["sid"], "an id is made for who has none")
		require.Empty(t, m.Cursor, "who does not ask for cursors gets none")
		_ = c.CloseNow()
	}
	m := h.connect("me & you").next()
	require.Equal(t, "me & you", m.Data["sid"])

	require.Equal(t, http.StatusBadRequest, h.send("GET", "/ws", "").status)
	require.Equal(t, http.StatusBadRequest, h.send("GET", "/ws?since=x", "", "Upgrade", "websocket").status)
	require.Equal(t, http.StatusBadRequest, h.send("GET", "/ws?clientId="+strings.Repeat("x", 600), "", "Upgrade", "websocket").status)
}

// TestOddClientIDs: a client may choose any id. The id that the server reports is
// the id that the client must use for its prompts.
func TestOddClientIDs(t *testing.T) {
	h := newHost(t, nil)
	for query, want := range map[string]string{
		"a+b%26c": "a b&c", "%E6%97%A5": "日", "%00%0a": "\x00\n", "%22%5C": `"\`, "%ff%fex": "\ufffdx",
		strings.Repeat("x", 512): strings.Repeat("x", 512),
	} {
		h.engine.Free()
		s := h.dial("clientId="+query, nil)
		m := s.next()
		require.Equal(t, want, at(t, m.Data, "sid"))
		sid, err := json.Marshal(m.Data["sid"])
		require.NoError(t, err)
		require.Equal(t, 200, h.post("/prompt", `{"prompt":`+quick+`,"client_id":`+string(sid)+`}`).status)
		require.Contains(t, s.until("executing <nil>"), "executed 1")
	}
}

// TestFeatureFlagsFirst: the server reads feature flags only from the first message
// that is a JSON object.
func TestFeatureFlagsFirst(t *testing.T) {
	h := newHost(t, nil)
	const flags = `{"type":"feature_flags","data":{"supports_preview_metadata":true}}`
	for name, c := range map[string]struct {
		say    []string
		counts bool
	}{
		"first":                       {[]string{flags}, true},
		"after what is not JSON":      {[]string{"{", flags}, true},
		"after what is not an object": {[]string{"5", `"feature_flags"`, "[]", "null", flags}, true},
		"after another message":       {[]string{`{"type":"hello"}`, flags}, false},
		"with odd data":               {[]string{`{"type":"feature_flags","data":7}`}, true},
		"with no data":                {[]string{`{"type":"feature_flags"}`}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := h.connect(t.Name())
			s.next()
			for _, text := range c.say {
				s.say(text)
			}
			if c.counts {
				m := s.next()
				require.Equal(t, "feature_flags", m.Type)
				require.Equal(t, map[string]any{"supports_preview_metadata": true, "node_replacements": true, "max_upload_size": 104857600.0, "extension": map[string]any{"manager": map[string]any{"supports_v4": false}}}, m.Data)
			}
			// After any message, the connection is open and receives events.
			h.engine.Free()
			h.submit(t.Name(), `{"1":{"class_type":"Secret","inputs":{}}}`)
			all := without(s.until("executing <nil>"), "status", "progress_state")
			require.Equal(t, []string{"execution_start", "execution_cached", "executing 1", "executed 1", "execution_success", "executing <nil>"}, all)
		})
	}
}

func TestFeatures(t *testing.T) {
	h := newHost(t, &comfy.Options{MaxBody: 1 << 20, Features: map[string]any{
		"extension": map[string]any{"manager": true}, "supports_preview_metadata": false,
	}})
	want := map[string]any{
		"supports_preview_metadata": true, "node_replacements": true, "max_upload_size": 1048576.0,
		"extension": map[string]any{"manager": true},
	}
	require.Equal(t, want, h.get("/features"))
	require.Equal(t, want, h.get("/api/features"))
}

// TestPreviewsByFlag: a client receives previews in the form that it can read.
func TestPreviewsByFlag(t *testing.T) {
	const graph = `{"1":{"class_type":"RefProgressHook","inputs":{"value":1,"steps":1,"preview":"PNG","delay":0}},
		"2":{"class_type":"RefOutput","inputs":{"value":["1",0]}}}`
	for say, want := range map[string]string{ // without and with a cursor
		"": "binary 1, binary 4",
		`{"type":"feature_flags","data":{"supports_preview_metadata":true}}`:   "binary 4, binary 4",
		`{"type":"feature_flags","data":{"supports_preview_metadata":1}}`:      "binary 1, binary 1",
		`{"type":"feature_flags","data":{"supports_preview_metadata":"true"}}`: "binary 1, binary 1",
	} {
		old, with, _ := strings.Cut(want, ", ")
		for query, want := range map[string]string{"clientId=me": old, "clientId=me&since=": with} {
			h := newHost(t, nil)
			s := h.dial(query, nil)
			s.next()
			if say != "" {
				s.say(say)
				require.Equal(t, "feature_flags", s.next().Type)
			}
			h.submit("me", graph)
			var binary []string
			for _, m := range s.until("executing <nil>") {
				if strings.HasPrefix(m, "binary") {
					binary = append(binary, m)
				}
			}
			require.Equal(t, []string{want}, binary, "%s, %s", query, say)
		}
	}
}
