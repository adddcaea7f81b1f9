package comfy_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNewest9_AssetsAreOff: each route of assets says that the service is disabled, and no
// flag announces it.
func TestNewest9_AssetsAreOff(t *testing.T) {
	h := newHost(t, nil)
	const id = "/api/assets/0b5cb5f7-2f8f-4b1e-9ee0-4d3f0b6d2a11"
	for _, c := range []struct{ method, path string }{
		{"GET", "/api/assets"},
		{"GET", "/api/assets?tags_all=input&limit=500&offset=0"},
		{"GET", id},
		{"PUT", id},
		{"DELETE", id},
		{"GET", id + "/content?disposition=attachment"},
		{"POST", "/api/assets"},
		{"POST", "/api/assets/from-hash"},
		{"HEAD", "/api/assets/hash/blake3:0123"},
		{"GET", "/api/tags"},
		{"GET", "/api/tags?limit=10"},
		{"POST", id + "/tags"},
		{"DELETE", id + "/tags"},
		{"GET", "/api/assets/tags/refine"},
		{"POST", "/api/assets/seed"},
		{"GET", "/api/assets/seed/status"},
		{"POST", "/api/assets/seed/cancel"},
		{"POST", "/api/assets/prune"},
	} {
		a := h.send(c.method, c.path, "{}")
		require.Equal(t, http.StatusServiceUnavailable, a.status, c)
		require.Equal(t, "application/json; charset=utf-8", a.header.Get("Content-Type"))
		if c.method == "HEAD" {
			require.Empty(t, a.body)
			continue
		}
		problem := at(t, a.json(t), "error").(map[string]any)
		require.Equal(t, []string{"code", "details", "message"}, sortedNames(problem), c)
		require.Equal(t, "SERVICE_DISABLED", problem["code"])
		require.NotEmpty(t, problem["message"])
		require.Equal(t, map[string]any{}, problem["details"])
	}
	require.Equal(t, http.StatusNotFound, h.send("GET", "/assets/app.js", "").status, "the files of a front end are elsewhere")
	require.NotContains(t, h.get("/features"), "assets")
	require.NotContains(t, h.get("/features"), "supports_model_type_tags")
}
