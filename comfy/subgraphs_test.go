package comfy_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image/gif"
	"image/jpeg"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// blueprint returns a workflow whose first node is a subgraph, with more members of the subgraph and
// of the workflow.
func blueprint(subgraph, extra string) string {
	return `{"nodes":[{"id":1,"type":"5f-1","pos":[0,0],"inputs":[],"outputs":[]}],"links":[],"version":0.4,` +
		`"definitions":{"subgraphs":[{"id":"5f-1","name":"Twice"` + subgraph + `}]}` + extra + `}`
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

// TestNewest8_Subgraphs: the blueprints of the host program, by ids that stay, with what the front
// end reads about them. What is no blueprint is left out, because the front end would complain.
func TestNewest8_Subgraphs(t *testing.T) {
	full := blueprint(`,"category":"Maths/Simple","essentials_category":"Basics"`, `,"extra":{"BlueprintSearchAliases":["double","×2"]}`)
	pack := fstest.MapFS{
		"Twice it.json": file(blueprint("", "")), "in/Full \u00e9.json": file(full), ".hidden.json": file(full), "readme.md": file("x"),
		"plain.json": file(`{"nodes":[{"type":"KSampler"}]}`), "api.json": file(`{"1":{"class_type":"A","inputs":{}}}`), "list.json": file(`[]`),
		"broken.json": file(`{`), "empty.json": file(``), "other.json": file(strings.Replace(full, "5f-1", "6", 1)),
	}
	twins(t, "/global_subgraphs", func(t *testing.T, path string) {
		var log bytes.Buffer
		opts := &comfy.Options{Subgraphs: map[string]fs.FS{"maths": pack, "more": fstest.MapFS{"Twice it.json": file(full)}, "none": nil}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		h := newHost(t, opts)
		list := h.get(path).(map[string]any)
		byPlace := map[string]map[string]any{}
		for id, entry := range list {
			require.Regexp(t, `^[0-9a-f]{64}$`, id)
			byPlace[at(t, entry, "info", "node_pack").(string)+" "+at(t, entry, "name").(string)] = entry.(map[string]any)
			one := h.get(path + "/" + id).(map[string]any)
			text := one["data"].(string)
			require.Contains(t, []string{full, blueprint("", "")}, text, "the workflow is a string")
			delete(one, "data")
			require.Equal(t, entry, one)
		}
		rich := map[string]any{"category": "Maths/Simple", "search_aliases": []any{"double", "×2"}}
		require.Equal(t, map[string]map[string]any{
			"maths Twice it": {"source": "custom_node", "name": "Twice it", "info": map[string]any{"node_pack": "maths"}},
			"maths Full é":   {"source": "custom_node", "name": "Full é", "info": with(rich, "node_pack", "maths"), "essentials_category": "Basics"},
			"more Twice it":  {"source": "custom_node", "name": "Twice it", "info": with(rich, "node_pack", "more"), "essentials_category": "Basics"},
		}, byPlace)
		for _, name := range []string{"plain", "api", "list", "broken", "empty", "other"} {
			require.Contains(t, log.String(), name+".json")
		}
		for _, id := range []string{"x", strings.Repeat("0", 64), "maths", "%2e%2e"} {
			require.Equal(t, "null", h.send("GET", path+"/"+id, "").body)
		}
		require.Equal(t, list, newHost(t, opts).get(path), "the ids are the same after a restart")
	})
}

func with(m map[string]any, name string, v any) map[string]any {
	out := map[string]any{name: v}
	for name, v := range m {
		out[name] = v
	}
	return out
}

// TestNewest8_ModelFolders: the folders have a list of extensions; it is empty, for all files.
func TestNewest8_ModelFolders(t *testing.T) {
	twins(t, "/experiment/models", func(t *testing.T, path string) {
		h := newHost(t, &comfy.Options{Models: map[string]fs.FS{"loras": fstest.MapFS{
			"a.safetensors": file("x"), "a.png": file("x"), "a.preview.PNG": file("x"), "sub/b.gguf": file("x"), "sub/b.preview.webp": file("x"),
			"alone.png": file("x"), "c.txt": file("x"),
		}}})
		require.Equal(t, `[{"name":"loras","folders":["models/loras"],"extensions":[]}]`, h.send("GET", path, "").body)
		require.Equal(t, []any{"a.safetensors", "alone.png", "c.txt", "sub/b.gguf"}, h.get("/models/loras"), "the previews of models are no models")
		files := h.get(path + "/loras").([]any)
		require.Len(t, files, 4)
		for _, f := range files {
			require.Equal(t, strings.Fields("created modified name pathIndex size"), sortedNames(f.(map[string]any)))
		}
	})
}

// TestNewest8_ModelPreviews: the preview of a model is the picture beside it, or else the one in its
// metadata.
func TestNewest8_ModelPreviews(t *testing.T) {
	var jpg, moving bytes.Buffer
	require.NoError(t, jpeg.Encode(&jpg, glass(2, 2), nil))
	require.NoError(t, gif.Encode(&moving, glass(2, 2), nil))
	picture := string(pngOf(t, glass(2, 2)))
	webp := "RIFF\x04\x00\x00\x00WEBPVP8 " // its beginning is enough
	covers := func(all ...string) *fstest.MapFile {
		list, err := json.Marshal(all)
		require.NoError(t, err)
		text, err := json.Marshal(string(list))
		require.NoError(t, err)
		return file(safetensors(`{"__metadata__":{"ssmd_cover_images":` + string(text) + `}}`))
	}
	in64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	models := fstest.MapFS{
		"a.safetensors": file("x"), "a.png": file(picture), "a.jpg": file(jpg.String()),
		"b.v1.ckpt": file("x"), "b.v1.preview.jpeg": file(jpg.String()), "b.png": file(picture),
		"sub/c d.gguf": file("x"), "sub/c d.webp": file(webp),
		"e.pt": file("x"), "e.png": file(webp), // the extension is wrong
		"f.pt": file("x"), "f.png": file("<svg onload='alert(1)'/>"), "f.preview.gif": file(moving.String()),
		"g.pt": file("x"), "g.png": file("<script>"), "g.svg": file("<svg xmlns='http://www.w3.org/2000/svg'/>"),
		"h.safetensors": covers("%%", in64("<svg/>"), in64(picture), in64(jpg.String())),
		"i.safetensors": covers(in64("no picture")), "j.safetensors": file(safetensors(`{"__metadata__":{"ssmd_cover_images":5}}`)),
		"k.safetensors": file(safetensors(`{}`)), "l.pt": file("x"), "dir.png/x.pt": file("x"),
	}
	h := newHost(t, &comfy.Options{Models: map[string]fs.FS{"loras": models, "nothing": nil}})
	twins(t, "/experiment/models/preview", func(t *testing.T, path string) {
		for name, want := range map[string][2]string{
			"a.safetensors":    {"image/png", picture},
			"a.webp":           {"image/png", picture}, // the front end asks for this extension
			"b.v1.ckpt":        {"image/jpeg", jpg.String()},
			"sub/c%20d.webp":   {"image/webp", webp},
			"sub%2Fc%20d.gguf": {"image/webp", webp},
			"e.webp":           {"image/webp", webp},
			"f.webp":           {"image/gif", moving.String()},
			"h.safetensors":    {"image/png", picture},
			"h.webp":           {"image/png", picture},
		} {
			a := h.send("GET", path+"/loras/0/"+name, "")
			require.Equal(t, 200, a.status, name)
			require.Equal(t, want, [2]string{a.header.Get("Content-Type"), a.body}, name)
			require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
			require.Equal(t, "no-cache", a.header.Get("Cache-Control"))
			require.Equal(t, 206, h.send("GET", path+"/loras/0/"+name, "", "Range", "bytes=0-3").status)
			require.Equal(t, 200, h.send("HEAD", path+"/loras/0/"+name, "").status)
		}
		for place, status := range map[string]int{
			"loras/x/a.webp": 400, "loras/1/a.webp": 400, "loras/-1/a.webp": 400, "loras/0.0/a.webp": 400, "loras/%20/a.webp": 400,
			"loras/0/sub%2F..%2F..%2Fa.webp": 403, "loras/0/..%2Fa.webp": 403, "loras/0/%2Fetc%2Fpasswd": 403, "loras/0/a%00.webp": 400,
			"loras/0/g.webp": 404, "loras/0/i.webp": 404, "loras/0/j.webp": 404, "loras/0/k.webp": 404, "loras/0/l.webp": 404, "loras/0/none.webp": 404,
			"loras/0/dir.webp": 404, "loras/0/sub": 404, "loras/0/": 400, "unknown/0/a.webp": 404, "nothing/0/a.webp": 404,
		} {
			a := h.send("GET", path+"/"+place, "")
			require.Equal(t, status, a.status, place)
			require.Contains(t, a.json(t), "error")
		}
	})
}

// TestNewest8_ModelPreviewsOfAFolder: a symbolic link that leads out of a folder of the host program
// shows a picture only if the host program's file system follows it.
func TestNewest8_ModelPreviewsOfAFolder(t *testing.T) {
	around := t.TempDir()
	put(t, around, "secret.png", pngOf(t, glass(1, 1)))
	put(t, around, "models/a.pt", []byte("x"))
	require.NoError(t, os.Symlink("../secret.png", around+"/models/a.png"))
	root, err := os.OpenRoot(around + "/models")
	require.NoError(t, err)
	t.Cleanup(func() { _ = root.Close() })
	h := newHost(t, &comfy.Options{Models: map[string]fs.FS{"linked": os.DirFS(around + "/models"), "closed": root.FS()}})
	require.Equal(t, 200, h.send("GET", "/experiment/models/preview/linked/0/a.webp", "").status)
	require.Equal(t, 404, h.send("GET", "/experiment/models/preview/closed/0/a.webp", "").status)
}
