package comfy_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// pending is as the ResponseWriter that gin passes to a handler for all other paths: it has
// noted the status 404, and sends it unless the handler says another.
type pending struct {
	http.ResponseWriter
	status int
}

func (w *pending) WriteHeader(status int) { w.status = status }

// TestPendingStatus checks that the server says the status of each answer.
func TestPendingStatus(t *testing.T) {
	_, opts := folders(t)
	h := newHost(t, opts)
	flow.Register(h.reg, bare{}, nodebus.Info{Name: "Core", Help: "# Core"})
	require.Equal(t, 200, h.upload("/upload/image", "a.png", string(pngOf(t, glass(2, 2)))).status)
	id := h.submit("me", quick)
	h.ended(id)
	for path, want := range map[string]int{
		"/": 200, "/nowhere": 404, "/nodebus/nodebus.js": 200, "/docs/Core/en.md": 200, "/docs/None/en.md": 404, "/prompt": 200, "/queue": 200, "/history": 200,
		"/history/" + id: 200, "/nodebus/queue": 200, "/nodebus/runs/" + id: 200, "/nodebus/runs/none": 404, "/nodebus/runs?preview=0": 404, "/features": 200,
		"/system_stats": 200, "/object_info": 200, "/object_info/Core": 200, "/extensions": 200, "/i18n": 200, "/users": 200,
		"/settings": 200, "/settings/a": 200, "/v2/userdata": 200, "/view?type=input&filename=a.png": 200, "/view?type=input&filename=a.png&preview=webp;90": 200,
		"/view?type=input&filename=a.png&channel=a": 200, "/view?type=input&filename=none": 404, "/embeddings": 200, "/models": 200, "/workflow_templates": 200,
		"/global_subgraphs": 200, "/node_replacements": 200, "/api/jobs": 200, "/api/jobs/" + id: 200, "/internal/logs": 200, "/internal/logs/raw": 200,
		"/internal/folder_paths": 200, "/internal/files/input": 200, "/ws": 400,
	} {
		w := &pending{httptest.NewRecorder(), 404}
		r := httptest.NewRequest("GET", path, nil)
		h.server.ServeHTTP(w, r)
		require.Equal(t, want, w.status, path)
	}
	for path, body := range map[string]string{"/prompt": `{"prompt":` + quick + `}`, "/nodebus/runs": `{"prompt":` + quick + `}`, "/queue": `{}`, "/history": `{}`, "/interrupt": `{}`, "/free": `{}`, "/settings/a": `1`, "/userdata/x": `x`} {
		w := &pending{httptest.NewRecorder(), 404}
		h.server.ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader(body)))
		require.Equal(t, 200, w.status, path)
	}
}
