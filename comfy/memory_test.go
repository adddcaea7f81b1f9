package comfy_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// filled is a list of n bytes of this value.
func filled(value string, n int) string {
	return "[" + strings.Repeat(value+",", n/(len(value)+1)) + "0]"
}

// TestPromptsThatNeedTooMuchMemory submits bodies that would need much more memory than
// they have bytes. The server must refuse them before it decodes them, and keep nothing.
func TestPromptsThatNeedTooMuchMemory(t *testing.T) {
	const size = 16 << 20
	h := newHost(t, nil)
	for name, body := range map[string]string{
		"lists in an input":      `{"prompt":{"1":{"class_type":"RefOutput","inputs":{"value":` + filled("[]", size) + `}}}}`,
		"lists in a literal":     `{"prompt":{"1":{"class_type":"RefOutput","inputs":{"value":{"__value__":` + filled("[]", size) + `}}}}}`,
		"objects in an input":    `{"prompt":{"1":{"class_type":"RefOutput","inputs":{"value":{"a":` + filled(`{"":0}`, size) + `}}}}}`,
		"numbers in an input":    `{"prompt":{"1":{"class_type":"RefOutput","inputs":{"value":` + filled("0", size) + `}}}}`,
		"lists in extra data":    `{"prompt":` + quick + `,"extra_data":{"extra_pnginfo":` + filled("[]", size) + `}}`,
		"targets":                `{"prompt":` + quick + `,"partial_execution_targets":` + filled(`""`, size) + `}`,
		"lists in _meta":         `{"prompt":{"1":{"class_type":"StubInt","inputs":{},"_meta":` + filled("[]", size) + `}}}`,
		"lists in place of ids":  `{"prompt":` + quick + `,"prompt_id":` + filled("[]", size) + `}`,
		"lists that nobody read": `{"prompt":` + quick + `,"unknown":` + filled("[]", size) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPost, "/prompt", strings.NewReader(body))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			h.server.ServeHTTP(w, r)
			runtime.ReadMemStats(&after)
			require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
			require.Equal(t, "prompt_too_large", at(t, answered{body: w.Body.String()}.json(t), "error", "type"))
			used := int(after.TotalAlloc - before.TotalAlloc)
			t.Logf("a body of %d bytes: %d bytes allocated", len(body), used)
			require.Less(t, used, 8*len(body), "to read the body; nothing is decoded")
		})
	}
	require.Equal(t, `{"queue_running":[],"queue_pending":[]}`, h.send("GET", "/queue", "").body)
	require.Equal(t, `{}`, h.send("GET", "/history", "").body)
	require.Less(t, len(h.submit("me", quick)), 100, "the server still works")
}

// TestMaxPrompt checks that the option selects the limit.
func TestMaxPrompt(t *testing.T) {
	h := newHost(t, &comfy.Options{MaxPrompt: 10_000})
	a := h.post("/prompt", `{"prompt":{"1":{"class_type":"RefOutput","inputs":{"value":`+filled("[]", 2000)+`}}}}`)
	require.Equal(t, http.StatusRequestEntityTooLarge, a.status)
	require.Contains(t, at(t, a.json(t), "error", "details"), "more than 10000 bytes after decoding, from ")
	h.ended(h.submit("me", quick))
}

// TestCommandsAreBounded checks that commands are smaller than prompts may be, and that
// their JSON has a limit, too.
func TestCommandsAreBounded(t *testing.T) {
	h := newHost(t, nil)
	for _, path := range []string{"/queue", "/history", "/interrupt", "/api/jobs/cancel", "/settings", "/settings/a", "/users"} {
		large := `{"delete":["` + strings.Repeat("x", 8<<20) + `"]}`
		require.Equal(t, http.StatusRequestEntityTooLarge, h.post(path, large).status, path)
		many := `{"job_ids":` + filled("[]", 4<<20) + `}`
		a := h.post(path, many)
		require.Equal(t, http.StatusRequestEntityTooLarge, a.status, path)
		require.JSONEq(t, `{"error":"the body has too many values"}`, a.body)
	}
}

// TestFaultyGraphsHaveShortAnswers submits graphs of very many faulty nodes.
func TestFaultyGraphsHaveShortAnswers(t *testing.T) {
	h := newHost(t, nil)
	var b bytes.Buffer
	for i := range 20_000 {
		fmt.Fprintf(&b, `,"%d":{"class_type":"RefOutput","inputs":{"value":["nothing",0]}}`, i)
	}
	a := h.post("/prompt", `{"prompt":{`+b.String()[1:]+`}}`)
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Less(t, len(a.body), 2<<20)
	require.Len(t, at(t, a.json(t), "node_errors"), 1000)
	require.EqualValues(t, 19_000, at(t, a.json(t), "error", "extra_info", "more_nodes"))

	a = h.post("/prompt", `{"prompt":{"ok":{"class_type":"RefOutput","inputs":{"value":1}}`+b.String()+`}}`)
	require.Equal(t, http.StatusOK, a.status, "a part of the graph can run")
	require.Less(t, len(a.body), 2<<20)
	require.Len(t, at(t, a.json(t), "node_errors"), 1000)
	require.EqualValues(t, 19_000, at(t, a.json(t), "more_nodes"))
}
