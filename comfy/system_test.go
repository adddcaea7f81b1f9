package comfy_test

import (
	"encoding/binary"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

func TestSystemStats(t *testing.T) {
	twins(t, "/system_stats", func(t *testing.T, path string) {
		h := newHost(t, nil)
		system := at(t, h.get(path), "system").(map[string]any)
		require.Equal(t, runtime.GOOS, system["os"])
		require.Equal(t, "0.38.1", system["comfyui_version"])
		require.Equal(t, runtime.Version(), system["python_version"])
		require.Equal(t, false, system["embedded_python"])
		require.Equal(t, []any{}, system["argv"], "a command line may have secrets in it")
		if runtime.GOOS == "linux" {
			require.Positive(t, system["ram_free"])
			require.Greater(t, system["ram_total"], system["ram_free"])
		}
		for _, name := range []string{"pytorch_version", "required_frontend_version", "installed_templates_version", "required_templates_version"} {
			require.Contains(t, system, name)
		}
		require.Equal(t, strings.Fields("index name torch_vram_free torch_vram_total type vram_free vram_total"),
			sortedNames(at(t, h.get(path), "devices", 0).(map[string]any)))
	})
	h := newHost(t, &comfy.Options{Version: "1.2.3"})
	require.Equal(t, "1.2.3", at(t, h.get("/system_stats"), "system", "comfyui_version"))
}

// TestNothingNamed: without options, all routes that the front end requests exist,
// and their answers are empty.
func TestNothingNamed(t *testing.T) {
	h := newHost(t, nil)
	for path, want := range map[string]string{
		"/embeddings": `[]`, "/models": `[]`, "/experiment/models": `[]`, "/extensions": `[]`,
		"/i18n": `{}`, "/workflow_templates": `{}`, "/global_subgraphs": `{}`, "/global_subgraphs/x": `null`, "/node_replacements": `{}`,
		"/users": `{"storage":"server","migrated":false}`, "/settings": `{}`,
	} {
		for _, p := range []string{path, "/api" + path} {
			a := h.send("GET", p, "")
			require.Equal(t, 200, a.status, p)
			require.Equal(t, want, a.body, p)
		}
	}
	for path, want := range map[string]string{
		"/internal/folder_paths": `{}`, "/internal/logs": `""`, "/internal/logs/raw": `{"entries":[],"size":{"cols":80,"rows":24}}`,
		"/internal/files/output": `[]`, "/internal/files/input": `[]`, "/internal/files/temp": `[]`,
		"/templates/index.json": `[]`, "/templates/index.fr.json": `[]`, "/templates/index_logo.json": `{}`, "/user.css": ``,
	} {
		a := h.send("GET", path, "")
		require.Equal(t, 200, a.status, path)
		require.Equal(t, want, a.body, path)
	}
	for _, path := range []string{
		"/models/checkpoints", "/experiment/models/checkpoints", "/view_metadata/checkpoints?filename=a.safetensors",
		"/view?filename=a.png", "/extensions/core/a.js", "/api/workflow_templates/pack/a.json", "/templates/fuse_options.json",
		"/templates/index_other.json", "/api/internal/logs", "/api/nothing", "/scripts/app.js",
	} {
		require.Equal(t, 404, h.send("GET", path, "").status, path)
	}
	require.Equal(t, 405, h.post("/api/nothing", "{}").status)
}

// safetensors returns a model file with a header and no tensors.
func safetensors(header string) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header
}

func modelFS() fstest.MapFS {
	at := time.Unix(1700000000, 500_000_000)
	return fstest.MapFS{
		"b.safetensors":     {Data: []byte(safetensors(`{"__metadata__":{"n":1,"s":"x"},"t":{}}`)), ModTime: at},
		"sub/a.ckpt":        {Data: []byte("0123456789"), ModTime: at},
		"sub/deep/c.gguf":   {Data: []byte("x"), ModTime: at},
		".hidden":           {Data: []byte("x")},
		".git/config":       {Data: []byte("x")},
		"none.safetensors":  {Data: []byte(safetensors(`{"t":{}}`))},
		"list.safetensors":  {Data: []byte(safetensors(`[1]`))},
		"short.safetensors": {Data: []byte("abc")},
		"cut.safetensors":   {Data: []byte(safetensors(`{"__metadata__":{}}`)[:12])},
		"huge.safetensors":  {Data: []byte("\xff\xff\xff\xff\xff\xff\xff\xff{}")},
	}
}

func TestModels(t *testing.T) {
	h := newHost(t, &comfy.Options{Models: map[string]fs.FS{
		"checkpoints": modelFS(), "loras": fstest.MapFS{}, "nothing": nil,
		"embeddings": fstest.MapFS{"easy.pt": {}, "sub/neg.v2.safetensors": {}, "plain": {}},
	}})
	for path, want := range map[string]string{
		"/models":       `["checkpoints","embeddings","loras","nothing"]`,
		"/models/loras": `[]`,
		"/models/checkpoints": `["b.safetensors","cut.safetensors","huge.safetensors","list.safetensors",` +
			`"none.safetensors","short.safetensors","sub/a.ckpt","sub/deep/c.gguf"]`,
		"/embeddings": `["easy","plain","sub/neg.v2"]`,
		"/experiment/models": `[{"name":"checkpoints","folders":["models/checkpoints"],"extensions":[]},{"name":"embeddings","folders":["models/embeddings"],"extensions":[]},` +
			`{"name":"loras","folders":["models/loras"],"extensions":[]},{"name":"nothing","folders":["models/nothing"],"extensions":[]}]`,
		"/view_metadata/checkpoints?filename=b.safetensors": `{"n":1,"s":"x"}`,
	} {
		for _, p := range []string{path, "/api" + path} {
			a := h.send("GET", p, "")
			require.Equal(t, 200, a.status, p)
			require.Equal(t, want, a.body, p)
		}
	}
	require.Equal(t, map[string]any{"name": "sub/a.ckpt", "pathIndex": 0.0, "modified": 1700000000.5, "created": 1700000000.5, "size": 10.0},
		at(t, h.get("/experiment/models/checkpoints"), 6))
	require.Equal(t, map[string]any{
		"checkpoints": []any{"models/checkpoints"}, "embeddings": []any{"models/embeddings"},
		"loras": []any{"models/loras"}, "nothing": []any{"models/nothing"},
	}, h.get("/internal/folder_paths"), "where they are on this machine is not told")
	for _, path := range []string{"/models/nothing", "/experiment/models/nothing", "/models/unknown"} {
		require.Equal(t, 404, h.send("GET", path, "").status, path)
	}
	for _, q := range []string{
		"", "?filename=", "?filename=unknown.safetensors", "?filename=sub", "?filename=sub/a.ckpt", "?filename=none.safetensors",
		"?filename=list.safetensors", "?filename=short.safetensors", "?filename=cut.safetensors", "?filename=huge.safetensors",
		"?filename=../checkpoints/b.safetensors", "?filename=/b.safetensors", "?filename=b.safetensors%00",
	} {
		a := h.send("GET", "/view_metadata/checkpoints"+q, "")
		require.Equal(t, 404, a.status, q)
		require.Contains(t, a.json(t), "error")
	}
}

func TestExtensions(t *testing.T) {
	h := newHost(t, &comfy.Options{
		Extensions: map[string]fs.FS{
			"pack": fstest.MapFS{
				"main.js": {Data: []byte("import './lib/a.mjs'")}, "lib/two words.JS": {Data: []byte("2")}, "lib/a.mjs": {Data: []byte("3")},
				"style.css": {Data: []byte("b{}")}, "page.html": {Data: []byte("<p>")}, "pic.svg": {Data: []byte("<svg/>")}, ".secret.js": {Data: []byte("4")},
			},
			"empty": nil,
		},
		Frontend: fstest.MapFS{"extensions/core/a.js": {Data: []byte("core")}, "index.html": {Data: []byte("front")}},
	})
	require.Equal(t, []any{"/extensions/nodebus/total.js", "/extensions/pack/lib/two%20words.JS", "/extensions/pack/main.js"}, h.get("/extensions"))
	for path, want := range map[string][2]string{
		"/extensions/pack/main.js":            {"text/javascript; charset=utf-8", "import './lib/a.mjs'"},
		"/extensions/pack/lib/two%20words.JS": {"text/javascript; charset=utf-8", "2"},
		"/extensions/pack/lib/a.mjs":          {"text/javascript; charset=utf-8", "3"},
		"/extensions/pack/style.css":          {"text/css; charset=utf-8", "b{}"},
		"/extensions/pack/page.html":          {"text/html; charset=utf-8", "<p>"},
		"/extensions/pack/pic.svg":            {"image/svg+xml", "<svg/>"},
		"/extensions/core/a.js":               {"text/javascript; charset=utf-8", "core"}, // a file of the front end
	} {
		a := h.send("GET", path, "")
		require.Equal(t, 200, a.status, path)
		require.Equal(t, want[0], a.header.Get("Content-Type"), path)
		require.Equal(t, want[1], a.body)
	}
	require.Equal(t, "no-cache", h.send("GET", "/extensions/pack/main.js", "").header.Get("Cache-Control"))
	for _, path := range []string{"/extensions/pack/none.js", "/extensions/pack", "/extensions/pack/", "/extensions/pack/lib", "/extensions/empty/a.js", "/extensions/unknown/a.js", "/extensions/pack/..%2fpack%2fmain.js"} {
		require.Equal(t, 404, h.send("GET", path, "").status, path)
	}
}

func TestTemplatesAndTranslations(t *testing.T) {
	h := newHost(t, &comfy.Options{
		Templates: map[string]fs.FS{"pack": fstest.MapFS{"a.json": {Data: []byte("{}")}, "a.jpg": {Data: []byte("jpg")}, "in/b.json": {Data: []byte("[]")}}, "none": nil},
		I18n:      map[string]any{"fr": map[string]any{"nodeDefs": map[string]any{}}},
	})
	require.Equal(t, map[string]any{"pack": []any{"a", "in/b"}}, h.get("/workflow_templates"))
	require.Equal(t, map[string]any{"fr": map[string]any{"nodeDefs": map[string]any{}}}, h.get("/i18n"))
	a := h.send("GET", "/api/workflow_templates/pack/a.json", "")
	require.Equal(t, []string{"application/json", "{}"}, []string{a.header.Get("Content-Type"), a.body})
	a = h.send("GET", "/api/workflow_templates/pack/a.jpg", "")
	require.Equal(t, []string{"image/jpeg", "jpg", "public, max-age=86400"}, []string{a.header.Get("Content-Type"), a.body, a.header.Get("Cache-Control")})
	a = h.send("GET", "/api/workflow_templates/pack/b.jpg", "")
	require.Equal(t, 404, a.status)
	require.Equal(t, "public, max-age=3600", a.header.Get("Cache-Control"))
	for _, path := range []string{"pack", "pack/", "pack/in", "none/a.json", "other/a.json", "pack/..%2fa.json"} {
		require.Equal(t, 404, h.send("GET", "/workflow_templates/"+path, "").status, path)
	}
}

func TestFolderFiles(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"old.png", "new.png", "newest.png", ".hidden"} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chtimes(path, time.Time{}, time.Unix(int64(1000+i), 0)))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	require.NoError(t, os.Symlink("old.png", filepath.Join(dir, "link.png")))
	h := newHost(t, &comfy.Options{Output: dir, Temp: filepath.Join(dir, "not made yet")})
	require.Equal(t, []any{"newest.png", "new.png", "old.png"}, h.get("/internal/files/output"))
	require.Equal(t, []any{}, h.get("/internal/files/temp"))
	for _, folder := range []string{"models", "..", "%2e%2e", "Output", "output%2f..", "%00"} {
		if a := h.send("GET", "/internal/files/"+folder, ""); folder != ".." {
			require.Equal(t, 400, a.status, folder)
		}
	}
}

// TestFrontEndFiles: the server sends the files of the host program's front end, or
// the built-in page.
func TestFrontEndFiles(t *testing.T) {
	own := newHost(t, nil)
	for _, path := range []string{"/", "/index.html"} {
		a := own.send("GET", path, "")
		require.Equal(t, 200, a.status)
		require.Equal(t, "text/html; charset=utf-8", a.header.Get("Content-Type"))
		require.Equal(t, "no-cache", a.header.Get("Cache-Control"))
		require.Contains(t, a.header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
	}
	front := fstest.MapFS{
		"index.html":           {Data: []byte("front")},
		"assets/app-1.js":      {Data: []byte("js"), ModTime: time.Unix(1000, 0)},
		"user.css":             {Data: []byte("own")},
		"templates/index.json": {Data: []byte("[1]")},
		"pic.png":              {Data: []byte("png")},
	}
	h := newHost(t, &comfy.Options{Frontend: front})
	for path, want := range map[string][4]string{
		"/":                     {"front", "text/html; charset=utf-8", "no-cache"},
		"/?x=1":                 {"front", "text/html; charset=utf-8", "no-cache"},
		"/assets/app-1.js":      {"js", "text/javascript; charset=utf-8", "no-cache"},
		"/user.css":             {"own", "text/css; charset=utf-8", "no-cache"},
		"/templates/index.json": {"[1]", "application/json", "no-cache"},
		"/pic.png":              {"png", "image/png", "public, max-age=86400"},
	} {
		a := h.send("GET", path, "")
		require.Equal(t, 200, a.status, path)
		require.Equal(t, want, [4]string{a.body, a.header.Get("Content-Type"), a.header.Get("Cache-Control")}, path)
		require.Empty(t, a.header.Get("Content-Security-Policy"), "the host's pages do what they like")
		require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
	}
	a := h.send("HEAD", "/assets/app-1.js", "")
	require.Equal(t, []any{200, "", "2"}, []any{a.status, a.body, a.header.Get("Content-Length")})
	a = h.send("GET", "/assets/app-1.js", "", "If-Modified-Since", time.Unix(2000, 0).UTC().Format(http.TimeFormat))
	require.Equal(t, 304, a.status)
	a = h.send("GET", "/assets/app-1.js", "", "If-None-Match", a.header.Get("ETag"))
	require.Equal(t, 304, a.status)
	for _, path := range []string{"/assets", "/assets/", "/none", "/none.png", "/index.html/", "/assets/app-1.js/", "/.hidden"} {
		require.Equal(t, 404, h.send("GET", path, "").status, path)
	}
	require.Equal(t, "public, max-age=3600", h.send("GET", "/none.png", "").header.Get("Cache-Control"))
}

func TestPreflight(t *testing.T) {
	h := newHost(t, &comfy.Options{Origins: []string{"https://app.example.com"}})
	for _, path := range []string{"/prompt", "/api/prompt", "/anything", "/ws"} {
		a := h.send("OPTIONS", path, "")
		require.Equal(t, []any{200, ""}, []any{a.status, a.body})
		require.Empty(t, a.header.Get("Access-Control-Allow-Origin"))
		a = h.send("OPTIONS", path, "", "Origin", "https://app.example.com", "Access-Control-Request-Method", "DELETE")
		require.Equal(t, 200, a.status)
		require.Equal(t, "https://app.example.com", a.header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, "true", a.header.Get("Access-Control-Allow-Credentials"))
		require.Equal(t, "POST, GET, DELETE, PUT, OPTIONS, PATCH", a.header.Get("Access-Control-Allow-Methods"))
		require.Contains(t, a.header.Get("Access-Control-Allow-Headers"), "Content-Type")
		require.Equal(t, "Origin", a.header.Get("Vary"))
	}
	require.Equal(t, "https://app.example.com",
		h.send("GET", "/features", "", "Origin", "https://app.example.com").header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, 403, h.send("OPTIONS", "/prompt", "", "Origin", "https://evil.example").status)
	require.Empty(t, newHost(t, nil).send("GET", "/features", "", "Origin", h.url).header.Get("Access-Control-Allow-Origin"))
}
