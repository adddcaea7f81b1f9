package comfy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"io/fs"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// idle is a queue whose Take never returns a prompt.
type idle struct{ flow.Queue }

func (idle) Take(ctx context.Context, _ func(string) bool) (flow.Lease, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// newIdleHost returns a host that runs nothing: all submitted prompts wait.
func newIdleHost(t testing.TB, opts *comfy.Options) *host {
	return newHostOf(t, opts, &flow.EngineOptions{Queue: idle{flow.NewQueue(nil)}})
}

// serve sends a request to the handler without a connection. It checks that the
// status is below 500, and that the body is JSON if the Content-Type says so.
func (h *host) serve(t *testing.T, method string, u *url.URL, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
	r.Host, r.URL = "localhost", u
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.server.ServeHTTP(w, r)
	require.Less(t, w.Code, 500, "%s %s: %s", method, u, w.Body)
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json; charset") {
		require.True(t, json.Valid(w.Body.Bytes()), "%s %s: %s", method, u, w.Body)
	}
	return w
}

func FuzzPrompt(f *testing.F) {
	for _, graph := range []string{quick, three, waitFor("a"), chain(3), `{}`, `[]`, `{"1":{"class_type":"Show","inputs":{"ui":"{}"},"_meta":{"title":"x"}}}`} {
		f.Add(`{"prompt":` + graph + `,"client_id":"me","prompt_id":"x","number":1,"front":true,"partial_execution_targets":["1"]}`)
		f.Add(`{"prompt":` + graph + `,"extra_data":{"client_id":"a","extra_pnginfo":{"workflow":{"id":"w"}},"api_key_comfy_org":"k"}}`)
	}
	f.Add(`{"prompt":{"1":{"class_type":"RefTypes","inputs":{"i":"3","f":1e300,"s":null,"b":[],"c":{"__value__":["red"]}}},"2":{"class_type":"RefOutput","inputs":{"value":["1",0]}}}}`)
	h := newIdleHost(f, &comfy.Options{MaxNodes: 100})
	f.Fuzz(func(t *testing.T, body string) {
		if w := h.serve(t, "POST", &url.URL{Path: "/prompt"}, body); w.Code != 200 {
			require.Contains(t, w.Body.String(), `"error"`)
			return
		}
		// An accepted prompt can be listed and deleted.
		var list struct{ Jobs []struct{ ID string } }
		require.Equal(t, 200, h.serve(t, "GET", &url.URL{Path: "/queue"}, "").Code)
		require.NoError(t, json.Unmarshal(h.serve(t, "GET", &url.URL{Path: "/api/jobs"}, "").Body.Bytes(), &list))
		require.Len(t, list.Jobs, 1)
		u := &url.URL{Path: "/api/jobs/" + list.Jobs[0].ID, RawPath: "/api/jobs/" + url.PathEscape(list.Jobs[0].ID)}
		if list.Jobs[0].ID != "." && list.Jobs[0].ID != ".." { // a path cannot contain these ids
			require.Equal(t, 200, h.serve(t, "GET", u, "").Code)
		}
		h.serve(t, "POST", &url.URL{Path: "/queue"}, `{"clear":true}`)
		require.Zero(t, h.engine.Remaining())
	})
}

func FuzzCommands(f *testing.F) {
	paths := []string{"/queue", "/history", "/interrupt", "/free", "/api/jobs/cancel", "/users", "/settings", "/settings/a", "/internal/logs/subscribe"}
	for i, body := range []string{`{"clear":true,"delete":["a"]}`, `{"delete":["x"]}`, `{"prompt_id":"x"}`, `{"free_memory":true}`, `{"job_ids":["x",5]}`, `{"username":"Ann"}`, `{"a":{"b":[1,2]}}`, `[1e400,"\ud800"]`, `{"enabled":true,"clientId":"me"}`} {
		f.Add(uint8(i), body)
		f.Add(uint8(i), "")
	}
	h := newIdleHost(f, &comfy.Options{Logs: comfy.NewLogs()})
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		path := paths[int(which)%len(paths)]
		method := "POST"
		if strings.HasPrefix(path, "/internal") {
			method = "PATCH"
		}
		w := h.serve(t, method, &url.URL{Path: path}, body)
		require.Contains(t, []int{200, 400, 413}, w.Code)
		require.Equal(t, 200, h.serve(t, "GET", &url.URL{Path: "/settings"}, "").Code)
		require.Equal(t, 200, h.serve(t, "GET", &url.URL{Path: "/queue"}, "").Code)
	})
}

// FuzzQueries: no query makes a route fail.
func FuzzQueries(f *testing.F) {
	h := newIdleHost(f, nil)
	for _, query := range []string{
		"status=pending,failed&workflow_id=w&sort_by=execution_duration&sort_order=asc&limit=2&offset=1", "limit=-1", "offset=9223372036854775807&limit=1",
		"max_items=2&offset=-1", "max_items=x", "status=;%00", "%zz", "filename=a.png&type=temp&subfolder=s&preview=webp;90&channel=rgb", "dir=.&recurse=true&split=true&full_info=true", "path=x",
	} {
		f.Add(query)
	}
	sub, err := h.engine.Submit(f.Context(), &nodebus.Prompt{Nodes: nodebus.Nodes{{ID: "1", Class: "Secret", Inputs: nodebus.Inputs{}}}}, nil)
	require.NoError(f, err)
	require.NoError(f, h.engine.Store().Put(f.Context(), flow.Record{Prompt: &nodebus.Prompt{ID: "old"}, State: nodebus.Failed}))
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/api/jobs", "/history", "/view", "/userdata", "/v2/userdata", "/view_metadata/x"} {
			h.serve(t, "GET", &url.URL{Path: path, RawQuery: query}, "")
		}
		require.Contains(t, h.serve(t, "GET", &url.URL{Path: "/queue", RawQuery: query}, "").Body.String(), sub.ID)
	})
}

// lair returns a host and the folder around that contains the folders of the host.
// Beside these folders there are two files: secret.txt, and a file whose name ends
// in words. Both files contain words. words is random, because the fuzzer may store
// its own file secret.txt, but it cannot guess words as a name or as content.
func lair(f *testing.F) (h *host, around, words string) {
	around, opts := folders(f)
	words = rand.Text()
	put(f, around, "secret.txt", []byte(words))
	put(f, around, "zz"+words, []byte(words))
	for _, dir := range []string{opts.Input, opts.Output, opts.Temp, filepath.Join(opts.Data, "default")} {
		put(f, dir, "file", []byte("inside"))
		require.NoError(f, os.Symlink(around, filepath.Join(dir, "up")))
		require.NoError(f, os.Symlink("../secret.txt", filepath.Join(dir, "out")))
	}
	opts.MaxBody = 1 << 20
	return newIdleHost(f, opts), around, words
}

// beside returns the names of the files and folders in a folder.
func beside(t *testing.T, dir string) (names string) {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names += e.Name() + " "
	}
	return names
}

// FuzzNames: no name makes the server read or write outside the folders.
func FuzzNames(f *testing.F) {
	for _, name := range []string{"file", "../secret.txt", "up/secret.txt", "out", "a/b", `..\x`, "C:x", "aux", "a. ", "\x00", "a//../b", "file [temp]", "日", strings.Repeat("x", 300)} {
		f.Add(name, "")
		f.Add("file", name)
	}
	h, around, words := lair(f)
	f.Fuzz(func(t *testing.T, name, dir string) {
		query := url.Values{"filename": {name}, "subfolder": {dir}, "dir": {dir}, "path": {dir}}.Encode()
		file := &url.URL{Path: "/userdata/" + dir + "/" + name, RawPath: "/userdata/" + url.PathEscape(dir+"/"+name)}
		var read bytes.Buffer
		for _, path := range []string{"/view", "/userdata", "/v2/userdata"} {
			_, _ = io.Copy(&read, h.serve(t, "GET", &url.URL{Path: path, RawQuery: query}, "").Body)
		}
		body, typ := form(name, "pwned", "subfolder", dir)
		h.serve(t, "POST", &url.URL{Path: "/upload/image"}, body, "Content-Type", typ)
		h.serve(t, "POST", file, "pwned")
		_, _ = io.Copy(&read, h.serve(t, "GET", file, "").Body)
		moved := &url.URL{Path: "/userdata/x/move/" + dir, RawPath: "/userdata/" + url.PathEscape(name) + "/move/" + url.PathEscape(dir)}
		h.serve(t, "POST", moved, "")
		h.serve(t, "DELETE", file, "")
		require.NotContains(t, read.String(), words, "neither what is around is read, nor is it listed")
		require.Equal(t, "data input output secret.txt temp zz"+words+" ", beside(t, around))
		secret, err := os.ReadFile(filepath.Join(around, "secret.txt"))
		require.NoError(t, err)
		require.Equal(t, words, string(secret))
	})
}

func FuzzUpload(f *testing.F) {
	for _, name := range []string{"a.png", "../a", "a\"; x=\"b", ""} {
		body, typ := form(name, "content", "overwrite", "true", "subfolder", "s", "type", "input", "original_ref", `{"filename":"file"}`)
		f.Add(typ, body)
	}
	f.Add("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=image; filename*=UTF-8''%2e%2e%2fx\r\n\r\nx\r\n--b--\r\n")
	f.Add("multipart/form-data; boundary=b", "--b\r\n\r\n--b--")
	f.Add("image/png", "\x89PNG")
	h, around, words := lair(f)
	f.Fuzz(func(t *testing.T, typ, body string) {
		for _, path := range []string{"/upload/image", "/upload/mask"} {
			w := h.serve(t, "POST", &url.URL{Path: path}, body, "Content-Type", typ)
			if w.Code != 200 {
				continue
			}
			var stored struct{ Name, Subfolder, Type string }
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &stored))
			if path == "/upload/image" {
				query := url.Values{"filename": {stored.Name}, "subfolder": {stored.Subfolder}, "type": {stored.Type}}.Encode()
				require.Equal(t, 200, h.serve(t, "GET", &url.URL{Path: "/view", RawQuery: query}, "").Code, "what is stored can be viewed")
			}
		}
		require.Equal(t, "data input output secret.txt temp zz"+words+" ", beside(t, around))
	})
}

func FuzzMetadata(f *testing.F) {
	for _, header := range []string{`{"__metadata__":{"a":"b"}}`, `{"__metadata__":null}`, `{}`, `[]`, `{"__metadata__":{"a":` + nested(20) + `}}`} {
		f.Add([]byte(safetensors(header)))
	}
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\x7f{}"))
	f.Add([]byte{})
	model := &fstest.MapFile{}
	h := newIdleHost(f, &comfy.Options{Models: map[string]fs.FS{"m": fstest.MapFS{"a.safetensors": model}}})
	f.Fuzz(func(t *testing.T, file []byte) {
		model.Data = file
		w := h.serve(t, "GET", &url.URL{Path: "/view_metadata/m", RawQuery: "filename=a.safetensors"}, "")
		require.Contains(t, []int{200, 404}, w.Code)
	})
}

// FuzzSocket: no message of a client ends its connection or the server.
func FuzzSocket(f *testing.F) {
	for _, text := range []string{`{"type":"feature_flags","data":{"supports_preview_metadata":true}}`, `{"type":5}`, `[]`, `null`, `{`, "\xff", nested(50), `{"type":"x"}{"type":"feature_flags"}`} {
		f.Add([]byte(text), false)
		f.Add([]byte(text), true)
	}
	h := newIdleHost(f, nil)
	f.Fuzz(func(t *testing.T, data []byte, binary bool) {
		c, _, err := websocket.Dial(t.Context(), h.url+"/ws", nil)
		require.NoError(t, err)
		defer func() { _ = c.CloseNow() }()
		typ := websocket.MessageText
		if binary {
			typ = websocket.MessageBinary
		}
		require.NoError(t, c.Write(t.Context(), typ, data))
		gone := make(chan struct{})
		go func() { // Ping needs a concurrent Read to receive the pong
			defer close(gone)
			for err == nil {
				_, _, err = c.Read(t.Context())
			}
		}()
		require.NoError(t, c.Ping(t.Context()))
		_ = c.CloseNow()
		<-gone
	})
}
