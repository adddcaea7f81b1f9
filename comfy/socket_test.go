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
		require.Nil(t, m.ID, "who does not ask for cursors gets none")
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
				require.Equal(t, map[string]any{"supports_preview_metadata": true, "max_upload_size": 104857600.0}, m.Data)
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
		"supports_preview_metadata": true, "max_upload_size": 1048576.0,
		"extension": map[string]any{"manager": true},
	}
	require.Equal(t, want, h.get("/features"))
	require.Equal(t, want, h.get("/api/features"))
}

// TestPreviewsByFlag: a client receives previews in the form that it can read.
func TestPreviewsByFlag(t *testing.T) {
	const graph = `{"1":{"class_type":"RefProgressHook","inputs":{"value":1,"steps":1,"preview":"PNG","delay":0}},
		"2":{"class_type":"RefOutput","inputs":{"value":["1",0]}}}`
	for say, want := range map[string]string{
		"": "binary 1",
		`{"type":"feature_flags","data":{"supports_preview_metadata":true}}`:   "binary 4",
		`{"type":"feature_flags","data":{"supports_preview_metadata":1}}`:      "binary 1",
		`{"type":"feature_flags","data":{"supports_preview_metadata":"true"}}`: "binary 1",
	} {
		h := newHost(t, nil)
		s := h.connect("me")
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
		require.Equal(t, []string{want}, binary, say)
	}
}

// TestTakeover: a new socket of a client closes the older socket. The older socket
// then has no effect on the new socket.
func TestTakeover(t *testing.T) {
	h := newHost(t, nil)
	older := h.connect("me")
	older.next()
	newer := h.connect("me")
	newer.next()
	require.EqualValues(t, 4000, older.closed())

	// Requests that are not valid handshakes do not close a socket.
	h.send("GET", "/ws?clientId=me", "")
	h.send("GET", "/ws?clientId=me", "", "Upgrade", "websocket", "Connection", "Upgrade")
	h.submit("me", `{"1":{"class_type":"Secret","inputs":{}}}`)
	require.Contains(t, newer.until("executing <nil>"), "executed 1")
}

func TestSeveralSocketsOfOneClient(t *testing.T) {
	h := newHost(t, &comfy.Options{KeepOlder: true})
	a, b := h.connect("me"), h.connect("me")
	a.next()
	b.next()
	h.submit("me", `{"1":{"class_type":"Secret","inputs":{}}}`)
	for _, s := range []*socket{a, b} { // the hub may replace status and progress_state, so the sockets can differ in these
		require.Equal(t, []string{"execution_start", "execution_cached", "executing 1", "executed 1", "execution_success", "executing <nil>"},
			without(s.until("executing <nil>"), "status", "progress_state"))
	}
	a.close()
	h.submit("me", `{"1":{"class_type":"Secret","inputs":{}}}`)
	require.Contains(t, b.until("executing <nil>"), "executed 1")
}

// TestBackInTheMiddleOfARun: a client that reconnects without a cursor receives the
// kept events of its running prompt.
func TestBackInTheMiddleOfARun(t *testing.T) {
	h := newHost(t, nil)
	s := h.connect("me")
	s.next()
	id := h.submit("me", `{"1":{"class_type":"Wait","inputs":{"name":"a","words":"one two"}}}`)
	s.until("spoken two")
	s.close()
	s.closed()

	s = h.connect("me")
	require.Equal(t, "status 1", s.next().short())
	at := s.next()
	require.Equal(t, "executing 1", at.short())
	require.Equal(t, id, at.Data["prompt_id"], "it says of which prompt")
	require.Equal(t, []string{"execution_start", "execution_cached", "executing 1", "spoken one", "spoken two"},
		without(s.until("spoken two"), "status", "progress_state"))
	h.gate.open("a")
	require.Equal(t, []string{"executed 1", "execution_success", "executing <nil>"},
		without(s.until("executing <nil>"), "status", "progress_state"))
}

// TestBackAfterTheEnd: a prompt ends while its client is disconnected. The client
// receives the events of the prompt once, when it reconnects.
func TestBackAfterTheEnd(t *testing.T) {
	h := newHost(t, nil)
	s := h.connect("me")
	s.next()
	h.submit("me", waitFor("a"))
	s.until("executing 1")
	s.close()
	s.closed()
	other := h.connect("other")
	other.next()
	h.gate.open("a")
	other.until("status 0")

	s = h.connect("me")
	require.Equal(t, []string{"execution_start", "execution_cached", "executing 1", "executed 1", "execution_success", "executing <nil>"},
		without(s.until("executing <nil>"), "status", "progress_state"))
	s.close()
	s.closed()
	s = h.connect("me")
	require.Equal(t, "status 0", s.next().short())
	h.submit("me", waitFor("a"))
	require.Equal(t, "execution_start", without(s.until("execution_start"), "status")[0], "nothing comes twice")
}

// TestSince: a client with a cursor receives exactly the events that it missed.
func TestSince(t *testing.T) {
	h := newHost(t, nil)
	s := h.dial("clientId=me&since=0", nil)
	m := s.next()
	require.NotNil(t, m.ID, "who asks for cursors gets them")
	h.submit("me", `{"1":{"class_type":"Wait","inputs":{"name":"a","words":"one two three"}}}`)
	for m.short() != "spoken two" {
		m = s.next()
	}
	cursor := *m.ID
	s.close()
	s.closed()
	h.gate.open("a")

	s = h.dial("clientId=me&since="+itoa(cursor), nil)
	require.Contains(t, s.next().short(), "status")
	require.Equal(t, []string{"spoken three", "executed 1", "execution_success", "executing <nil>"},
		without(s.until("executing <nil>"), "status", "progress_state", "executing 1"))
}

func TestWatch(t *testing.T) {
	h := newHost(t, nil)
	id := h.submit("me", waitFor("a"))
	watcher, stranger := h.dial("clientId=w&watch="+id, nil), h.connect("s")
	watcher.next()
	stranger.next()
	h.gate.open("a")
	require.Contains(t, watcher.until("executing <nil>"), "executed 1")
	for _, m := range stranger.until("status 0") {
		require.Contains(t, m, "status", "of the prompts of others only the count is told")
	}
}
