package js_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/nodebus/nodebus/internal/leak"
	"github.com/nodebus/nodebus/js"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// answer is what the handler answers.
type answer struct {
	status int
	header http.Header
	body   string
}

func send(method, path string, headers ...string) answer {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	js.Handler().ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
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
				a := send("GET", path)
				require.Equal(t, []any{http.StatusOK, string(want)}, []any{a.status, a.body})
				require.Equal(t, mime, a.header.Get("Content-Type"))
				require.Equal(t, "no-cache", a.header.Get("Cache-Control"))
				require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
				tag = a.header.Get("ETag")
				require.Regexp(t, `^"[0-9a-f]{32}"$`, tag)
			}
			head := send("HEAD", "/"+name)
			require.Equal(t, []any{http.StatusOK, "", tag}, []any{head.status, head.body, head.header.Get("ETag")})
			same := send("GET", "/"+name, "If-None-Match", tag)
			require.Equal(t, []any{http.StatusNotModified, ""}, []any{same.status, same.body})
			require.Equal(t, http.StatusOK, send("GET", "/"+name, "If-None-Match", `"older"`).status)
			post := send("POST", "/"+name)
			require.Equal(t, []any{http.StatusMethodNotAllowed, "GET, HEAD"}, []any{post.status, post.header.Get("Allow")})
		})
	}
}

// TestOtherFiles: nothing else of the folder is served.
func TestOtherFiles(t *testing.T) {
	for _, path := range []string{"/", "/js.go", "/package.json", "/nodebus.js/", "/nodebus.js/x", "/../js.go", "/xnodebus.js"} {
		require.Equal(t, http.StatusNotFound, send("GET", path).status, path)
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
