package comfy_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// TestNewest5_Times: with full_info, the times of user data are whole milliseconds, which the
// front end compares with Date.now(). The list of version 2 has seconds.
func TestNewest5_Times(t *testing.T) {
	kept(t, false, func(t *testing.T, h *host) {
		begin := time.Now().Add(-time.Second)
		check := func(text string) {
			t.Helper()
			var info struct{ Modified, Created int64 } // a fraction would be an error
			require.NoError(t, json.Unmarshal([]byte(strings.Trim(text, "[]")), &info), text)
			require.GreaterOrEqual(t, info.Modified, begin.UnixMilli())
			require.LessOrEqual(t, info.Modified, time.Now().UnixMilli())
			require.Equal(t, info.Modified, info.Created)
		}
		check(h.post("/userdata/workflows%2Fa.json?full_info=true", "{}").body)
		check(h.post("/userdata/workflows%2Fa.json/move/workflows%2Fb.json?full_info=true", "").body)
		check(h.send("GET", "/userdata?dir=workflows&full_info=true", "").body)
		check(h.send("GET", "/api/userdata?dir=workflows&recurse=true&split=false&full_info=true", "").body) // as the front end asks
		seconds := at(t, h.get("/v2/userdata?path=workflows"), 0, "modified")
		require.InDelta(t, float64(begin.UnixMilli())/1000, seconds, 3600)
	})
}

// activeNames has names of files that can run code in a browser.
var activeNames = []string{
	"a.html", "a.HTM", "a.xhtml", "a.xht", "a.mhtml", "a.mht", "a.shtml", "a.js", "a.mjs", "a.cjs", "a.css", "a.svg", "a.SVG",
	"a.svgz", "a.xml", "a.xsl", "a.xslt", "a.rss", "a.atom", "a.rdf", "a.hta", "a.wasm", "a.pdf", "a.swf", "a.png.svg",
}

// TestNewest5_ActiveFiles: a browser saves a file of a client or a node that could run code, and
// no cache keeps it, because the answer depends on what the browser asks for.
func TestNewest5_ActiveFiles(t *testing.T) {
	out := t.TempDir()
	h := newHost(t, &comfy.Options{Output: out})
	const text = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
	for _, name := range activeNames {
		put(t, out, "sub/"+name, []byte(text))
		require.Equal(t, 200, h.post("/userdata/sub%2F"+name, text).status)
		for _, path := range []string{"/view?type=output&subfolder=sub&filename=" + name, "/api/view?filename=sub/" + name, "/view?preview=webp&filename=sub/" + name, "/userdata/sub%2F" + name, "/api/userdata/sub%2F" + name} {
			for _, dest := range []string{"", "document", "iframe", "empty", "object", "embed", "script", "style", "Image", "image, document", "video"} {
				a := h.send("GET", path, "", "Sec-Fetch-Dest", dest)
				require.Equal(t, 200, a.status, path)
				require.Equal(t, text, a.body)
				require.Equal(t, "application/octet-stream", a.header.Get("Content-Type"), path)
				require.Equal(t, `attachment; filename="`+name+`"`, a.header.Get("Content-Disposition"), path)
				requireGuarded(t, a)
			}
		}
	}
}

func requireGuarded(t *testing.T, a answered) {
	t.Helper()
	require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
	require.Equal(t, []string{"Sec-Fetch-Dest"}, a.header.Values("Vary"))
	require.Equal(t, []string{"no-store"}, a.header.Values("Cache-Control"))
	policy := a.header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.Contains(t, policy, "; sandbox")
	require.NotContains(t, policy, "allow-")
}

// TestNewest5_SVGAsPicture: a page can show an SVG of a client as a picture, in which browsers run
// no script.
func TestNewest5_SVGAsPicture(t *testing.T) {
	out := t.TempDir()
	const text = "<svg xmlns='http://www.w3.org/2000/svg'/>"
	h := newHost(t, &comfy.Options{Output: out, Origins: []string{"pages.example.com"}})
	for _, name := range activeNames {
		put(t, out, name, []byte(text))
		require.Equal(t, 200, h.post("/userdata/"+name, text).status)
		for path, disposition := range map[string]string{"/view?filename=": "inline", "/api/view?preview=webp;90&filename=": "inline", "/userdata/": "attachment"} {
			a := h.send("GET", path+name, "", "Sec-Fetch-Dest", "image")
			require.Equal(t, text, a.body)
			requireGuarded(t, a)
			want := []string{"application/octet-stream", `attachment; filename="` + name + `"`}
			if strings.EqualFold(name[len(name)-4:], ".svg") {
				want = []string{"image/svg+xml", disposition + `; filename="` + name + `"`}
			}
			require.Equal(t, want, []string{a.header.Get("Content-Type"), a.header.Get("Content-Disposition")}, path+name)
		}
	}
	for _, path := range []string{"/view?filename=a.svg", "/userdata/a.svg"} {
		whole := h.send("GET", path, "", "Sec-Fetch-Dest", "image")
		head := h.send("HEAD", path, "", "Sec-Fetch-Dest", "image")
		require.Equal(t, 200, head.status)
		require.Empty(t, head.body)
		head.header.Del("Date")
		whole.header.Del("Date")
		require.Equal(t, whole.header, head.header)

		part := h.send("GET", path, "", "Range", "bytes=1-3")
		require.Equal(t, []any{206, "svg", "application/octet-stream"}, []any{part.status, part.body, part.header.Get("Content-Type")})
		require.Contains(t, part.header.Get("Content-Disposition"), "attachment")
		requireGuarded(t, part)
		part = h.send("GET", path, "", "Range", "bytes=1-3", "Sec-Fetch-Dest", "image")
		require.Equal(t, []any{206, "svg", "image/svg+xml"}, []any{part.status, part.body, part.header.Get("Content-Type")})
		requireGuarded(t, part)
		same := h.send("GET", path, "", "If-None-Match", whole.header.Get("ETag"))
		require.Equal(t, 304, same.status)
		requireGuarded(t, same)

		foreign := h.send("GET", path, "", "Origin", "https://pages.example.com", "Sec-Fetch-Dest", "image")
		require.Equal(t, []string{"Origin", "Sec-Fetch-Dest"}, foreign.header.Values("Vary"))
	}
	for _, path := range []string{"/view?filename=none.svg", "/userdata/none.svg"} {
		a := h.send("GET", path, "", "Sec-Fetch-Dest", "image")
		require.Equal(t, []any{404, "application/json; charset=utf-8"}, []any{a.status, a.header.Get("Content-Type")})
		require.Empty(t, a.header.Get("Content-Disposition")+a.header.Get("Content-Security-Policy"))
	}
}

// TestNewest5_Userdata: a browser saves a file of user data, and applies only the style sheet of
// the user, which the page of the front end links to.
func TestNewest5_Userdata(t *testing.T) {
	kept(t, false, func(t *testing.T, h *host) {
		for name, want := range map[string][2]string{
			"user.css":           {"text/css; charset=utf-8", `inline; filename="user.css"`},
			"./user.css":         {"text/css; charset=utf-8", `inline; filename="user.css"`},
			"USER.CSS":           {"application/octet-stream", `attachment; filename="USER.CSS"`},
			"other.css":          {"application/octet-stream", `attachment; filename="other.css"`},
			"sub/user.css":       {"application/octet-stream", `attachment; filename="user.css"`},
			"workflows/a.json":   {"application/json", `attachment; filename="a.json"`},
			"a.png":              {"image/png", `attachment; filename="a.png"`},
			"workflows/é b.json": {"application/json", `attachment; filename="_ b.json"; filename*=UTF-8''%C3%A9%20b.json`},
			"a.txt":              {"text/plain; charset=utf-8", `attachment; filename="a.txt"`},
			"a":                  {"application/octet-stream", `attachment; filename="a"`},
		} {
			path := "/userdata/" + url.PathEscape(name)
			require.Equal(t, 200, h.post(path, "text of "+name).status)
			for _, path := range []string{path, "/api" + path} {
				a := h.send("GET", path, "")
				require.Equal(t, []any{200, "text of " + name}, []any{a.status, a.body}, path)
				require.Equal(t, want, [2]string{a.header.Get("Content-Type"), a.header.Get("Content-Disposition")}, path)
				require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
				require.Contains(t, []string{"no-cache", "no-store"}, a.header.Get("Cache-Control"), "a later file may have the same name")
			}
		}
	})
}

// TestNewest5_Hash: this server finds no file by the hash of its content, so there is none of
// such a name, and an upload cannot make one.
func TestNewest5_Hash(t *testing.T) {
	_, opts := folders(t)
	h := newHost(t, opts)
	hash := "blake3:" + strings.Repeat("0a", 32)
	for _, query := range []string{"", "&type=input", "&type=temp&subfolder=x", "&type=models", "&subfolder=..", "&preview=webp", "&channel=rgb", "+[input]"} {
		a := h.send("GET", "/view?filename="+hash+query, "")
		require.Equal(t, 404, a.status, query)
		require.Contains(t, at(t, a.json(t), "error"), "hash")
	}
	for _, name := range []string{hash, "blake3:", "blake3:a.png"} {
		a := h.upload("/upload/image", name, "x")
		require.Equal(t, 400, a.status)
		require.Contains(t, at(t, a.json(t), "error"), "blake3:")
	}
}
