package comfy_test

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// attack is one hostile request and the expected status.
type attack struct {
	name string
	do   func(h *host) answered
	want int
}

// get, post, send and upload make the requests of attacks.
func get(path string, headers ...string) func(*host) answered {
	return send(http.MethodGet, path, "", headers...)
}

func post(path, body string, headers ...string) func(*host) answered {
	return send(http.MethodPost, path, body, headers...)
}

func send(method, path, body string, headers ...string) func(*host) answered {
	return func(h *host) answered { return h.send(method, path, body, headers...) }
}

func upload(name string, fields ...string) func(*host) answered {
	return func(h *host) answered { return h.upload("/upload/image", name, "<script>", fields...) }
}

// fortress returns a host that uses all options with files, and the folder around
// that contains the folders of the host. Beside these folders there are secret
// files, and the folders contain symbolic links to them.
func fortress(t *testing.T) (h *host, around string) {
	t.Setenv("TMPDIR", t.TempDir())
	around, opts := folders(t)
	put(t, around, "secret.txt", []byte("the secret"))
	put(t, around, "secret.safetensors", []byte(safetensors(`{"__metadata__":{"the":"secret"}}`)))
	host := filepath.Join(around, "host")
	put(t, host, "fine.js", []byte("fine"))
	for _, dir := range []string{opts.Input, opts.Output, filepath.Join(opts.Data, "default"), host} {
		put(t, dir, "real.png", pngOf(t, glass(2, 2)))
		put(t, dir, "bomb.png", []byte(bomb(t)))
		for name, to := range map[string]string{"out.txt": filepath.Join(around, "secret.txt"), "up": around, "zero": "/dev/zero", "loop": "loop"} {
			require.NoError(t, os.Symlink(to, filepath.Join(dir, name)))
		}
	}
	root, err := os.OpenRoot(host)
	require.NoError(t, err)
	t.Cleanup(func() { _ = root.Close() })
	opts.MaxBody, opts.MaxNodes, opts.MaxPerClient = 1<<20, 1000, 50
	opts.Frontend = root.FS()
	opts.Models = map[string]fs.FS{"models": root.FS()}
	opts.Extensions, opts.Templates = opts.Models, opts.Models
	return newHost(t, opts), around
}

// TestHostileRequests: each attack receives the expected status, which is below
// 500, and the answer shows no secret. After all attacks no file has changed, no
// temporary file is left, and the server still works.
func TestHostileRequests(t *testing.T) {
	h, around := fortress(t)
	before := tree(t, around)
	all := append(malformed(), attacks...)
	require.Greater(t, len(attacks), 130)
	for _, a := range all {
		t.Run(a.name, func(t *testing.T) {
			got := a.do(h)
			require.Equal(t, a.want, got.status, got.body)
			require.NotEqual(t, 5, got.status/100)
			require.NotContains(t, got.body, "the secret")
			require.NotContains(t, got.body, around, "where folders are is not told")
			require.NotContains(t, got.header, "X-Injected")
			require.False(t, strings.HasPrefix(got.header.Get("Location"), "//"), "that would be another server")
		})
	}
	require.Equal(t, before, tree(t, around))
	require.Empty(t, tree(t, os.TempDir()), "temporary files are left")
	require.Equal(t, `{"queue_running":[],"queue_pending":[]}`, h.send("GET", "/queue", "").body)
	require.Contains(t, h.ended(h.submit("me", quick)), "execution_success")
}

// malformed returns requests with bodies that are not valid JSON, for every route
// that reads JSON.
func malformed() (all []attack) {
	bodies := map[string]string{
		"nothing": ``, "a space": ` `, "half": `{`, "half a name": `{"a`, "no value": `{"a":}`, "one quote": `{'a':1}`, "no quotes": `{a:1}`,
		"NaN": `{"a":NaN}`, "Infinity": `{"a":-Infinity}`, "an octal": `{"a":01}`, "half a null": `nul`, "two": `{}{}`, "an odd escape": `{"a":"\x"}`,
		"a comma": `{"a":1,}`, "a comment": `{} // x`, "a control character": "{\"a\":\"\n\"}", "no UTF-8": "\xff\xfe", "UTF-16": "\x00{\x00}",
		"a mark": "\ufeff{}", "10 000 levels": nested(10_000), "open for ever": strings.Repeat(`{"a":[`, 50_000), "HTML": `<!doctype html>`,
	}
	for name, body := range bodies {
		for route, status := range map[string]int{
			"POST /prompt": 400, "POST /queue": 400, "POST /history": 400, "POST /free": 400, "POST /settings": 400, "POST /settings/a": 400,
			"POST /users": 400, "POST /api/jobs/cancel": 400, "PATCH /internal/logs/subscribe": 400, "POST /interrupt": 200, // as in ComfyUI
		} {
			method, path, _ := strings.Cut(route, " ")
			if tooDeep := strings.HasPrefix(body, "[[") || strings.HasPrefix(body, `{"a":[{`); tooDeep {
				status = 400
			}
			all = append(all, attack{route + ": " + name, send(method, path, body), status})
		}
	}
	return all
}

// TestInertContent: on no route does the server send an uploaded file with a
// content type that lets a browser run code in the file.
func TestInertContent(t *testing.T) {
	_, opts := folders(t)
	h := newHost(t, opts)
	const page = `<html><svg onload="alert(1)"><script>alert(1)</script>`
	for _, ext := range []string{
		"html", "htm", "xhtml", "xht", "shtml", "svg", "svgz", "xml", "xsl", "js", "mjs", "css", "wasm", "swf", "pdf", "php", "hta",
		"html.", "HTML", "SvG", "png", "jpg", "txt", "json", "",
	} {
		name := strings.TrimSuffix("page."+strings.TrimSuffix(ext, "."), ".")
		require.Equal(t, 200, h.upload("/upload/image", name, page, "overwrite", "true").status)
		require.Equal(t, 200, h.post("/userdata/"+name, page).status)
		for _, path := range []string{"/view?type=input&filename=" + name, "/userdata/" + name} {
			a := h.send("GET", path, "")
			require.Equal(t, page, a.body)
			require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"), path)
			require.NotRegexp(t, `html|svg|xml|javascript|wasm|pdf`, a.header.Get("Content-Type"), path)
			if strings.HasPrefix(path, "/view") {
				require.NotContains(t, a.header.Get("Content-Type"), "css")
				a = h.send("GET", path+"&preview=webp;90", "")
				require.Equal(t, page, a.body, "what is no picture is not made one")
				require.NotRegexp(t, `html|svg|xml|javascript|css`, a.header.Get("Content-Type"), path)
			}
		}
	}
}
