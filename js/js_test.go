package js_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/nodebus/nodebus/internal/leak"
	"github.com/nodebus/nodebus/js"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

func get(method, path string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	js.Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(text)
}

func TestHandler(t *testing.T) {
	for name, mime := range map[string]string{
		"nodebus.js":   "text/javascript; charset=utf-8",
		"nodebus.d.ts": "text/plain; charset=utf-8",
	} {
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile(name)
			require.NoError(t, err)
			tag := ""
			for _, path := range []string{"/" + name, "/nodebus/" + name, "/a/b/" + name + "?v=1"} {
				res := get("GET", path)
				require.Equal(t, http.StatusOK, res.StatusCode)
				require.Equal(t, string(want), body(t, res))
				require.Equal(t, mime, res.Header.Get("Content-Type"))
				require.Equal(t, "no-cache", res.Header.Get("Cache-Control"))
				require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
				tag = res.Header.Get("ETag")
				require.Regexp(t, `^"[0-9a-f]{32}"$`, tag)
			}
			head := get("HEAD", "/"+name)
			require.Equal(t, []any{http.StatusOK, "", tag}, []any{head.StatusCode, body(t, head), head.Header.Get("ETag")})
			same := get("GET", "/"+name, "If-None-Match", tag)
			require.Equal(t, []any{http.StatusNotModified, ""}, []any{same.StatusCode, body(t, same)})
			require.Equal(t, http.StatusOK, get("GET", "/"+name, "If-None-Match", `"older"`).StatusCode)
			post := get("POST", "/"+name)
			require.Equal(t, []any{http.StatusMethodNotAllowed, "GET, HEAD"}, []any{post.StatusCode, post.Header.Get("Allow")})
		})
	}
}

// TestOtherFiles: nothing else of the folder is served.
func TestOtherFiles(t *testing.T) {
	for _, path := range []string{"/", "/js.go", "/package.json", "/nodebus.js/", "/nodebus.js/x", "/../js.go", "/xnodebus.js"} {
		require.Equal(t, http.StatusNotFound, get("GET", path).StatusCode, path)
	}
}

// TestPackage: a bundler finds the files that package.json names.
func TestPackage(t *testing.T) {
	text, err := os.ReadFile("package.json")
	require.NoError(t, err)
	var pkg struct {
		Name, Type, Types string
		Exports           map[string]map[string]string
		Files             []string
		Dependencies      map[string]string
	}
	require.NoError(t, json.Unmarshal(text, &pkg))
	require.Equal(t, []string{"nodebus", "module"}, []string{pkg.Name, pkg.Type})
	require.Empty(t, pkg.Dependencies)
	named := append([]string{pkg.Types, pkg.Exports["."]["types"], pkg.Exports["."]["default"]}, pkg.Files...)
	require.Len(t, named, 5)
	for _, name := range named {
		require.FileExists(t, name)
	}
}
