package comfy_test

import (
	"net/http"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// references matches the names of other files in a file of the page.
var references = regexp.MustCompile(`(?: src=| href=| from )"(?:\./)?([^"#]+)"`)

// TestPage: the server sends the page and every file that the page refers to with
// the right content type. The page's Content-Security-Policy allows all of them.
func TestPage(t *testing.T) {
	h := newHost(t, nil)
	types := map[string]string{
		".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
		".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}
	kinds := map[string]int{}
	seen := map[string]bool{"index.html": true}
	for queue := []string{"index.html"}; len(queue) > 0; queue = queue[1:] {
		name := queue[0]
		a := h.send(http.MethodGet, "/"+name, "")
		require.Equal(t, http.StatusOK, a.status, name)
		require.Equal(t, types[path.Ext(name)], a.header.Get("Content-Type"), name)
		require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"), name)
		kinds[path.Ext(name)]++
		for _, m := range references.FindAllStringSubmatch(a.body, -1) {
			if !seen[m[1]] {
				seen[m[1]] = true
				queue = append(queue, m[1])
			}
		}
		// Text from clients and nodes must never become HTML or code.
		require.NotRegexp(t, `(?i)(inner|outer|adjacent|unsafe)HTML|document\.write|\beval\(|new Function`, a.body, name)
		if path.Dir(name) == "." {
			require.LessOrEqual(t, strings.Count(a.body, "\n"), 200, "%s is one room", name)
		}
	}
	require.True(t, seen["nodebus/nodebus.js"], "the page uses the module of the library")
	require.Equal(t, map[string]int{".html": 1, ".css": 4, ".svg": 1, ".js": kinds[".js"]}, kinds)
	files, err := filepath.Glob("page/*.js")
	require.NoError(t, err)
	require.Equal(t, len(files)+1, kinds[".js"], "the page uses all its files")

	for _, at := range []string{"/", "/index.html"} {
		a := h.send(http.MethodGet, at, "")
		require.Contains(t, a.body, "<title>nodebus</title>")
		require.Equal(t, "no-cache", a.header.Get("Cache-Control"))
		policy := a.header.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'self'; img-src 'self' blob:;")
		require.NotContains(t, policy, "unsafe")
		require.NotRegexp(t, `<style|style=|\son\w+=|javascript:|<script[^>]*>[^<]`, a.body, "that the policy forbids")
	}
}

// TestModule: pages import the client from the server.
func TestModule(t *testing.T) {
	h := newHost(t, nil)
	for _, at := range []string{"/nodebus/", "/api/nodebus/"} {
		a := h.send(http.MethodGet, at+"nodebus.js", "")
		require.Equal(t, []any{200, "text/javascript; charset=utf-8", "no-cache", "nosniff"},
			[]any{a.status, a.header.Get("Content-Type"), a.header.Get("Cache-Control"), a.header.Get("X-Content-Type-Options")})
		require.Contains(t, a.body, "export class Client")
		require.Equal(t, http.StatusNotModified, h.send(http.MethodGet, at+"nodebus.js", "", "If-None-Match", a.header.Get("ETag")).status)
		require.Contains(t, h.send(http.MethodGet, at+"nodebus.d.ts", "").body, "export class Client")
		require.Equal(t, http.StatusNotFound, h.send(http.MethodGet, at+"js.go", "").status)
	}
}
