package comfy_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// kept runs a test twice: with user data in a folder, and in memory.
func kept(t *testing.T, multi bool, test func(t *testing.T, h *host)) {
	for name, dir := range map[string]string{"folder": t.TempDir(), "memory": ""} {
		t.Run(name, func(t *testing.T) { test(t, newHost(t, &comfy.Options{Data: dir, MultiUser: multi})) })
	}
}

func TestUserdataFiles(t *testing.T) {
	kept(t, false, func(t *testing.T, h *host) {
		for _, c := range []struct {
			method, path, body string
			status             int
			want               string
		}{
			{"GET", "/userdata/a.json", "", 404, ""},
			{"DELETE", "/userdata/a.json", "", 404, ""},
			{"POST", "/userdata/a.json", "one", 200, `"a.json"`},
			{"GET", "/userdata/a.json", "", 200, "one"},
			{"POST", "/userdata/a.json", "two", 200, `"a.json"`},
			{"POST", "/userdata/a.json?overwrite=true", "three", 200, `"a.json"`},
			{"POST", "/userdata/a.json?overwrite=false", "four", 409, ""},
			{"GET", "/api/userdata/a.json", "", 200, "three"},
			{"POST", "/api/userdata/workflows%2Fdeep%2F%c3%a9%20b.json", "b", 200, `"workflows/deep/é b.json"`},
			{"GET", "/userdata/workflows%2Fdeep%2F%C3%A9%20b.json", "", 200, "b"},
			{"GET", "/userdata/workflows%2Fdeep", "", 404, ""},
			{"POST", "/userdata/workflows%2Fdeep", "x", 409, ""},
			{"POST", "/userdata/a.json%2Fx", "x", 409, ""},
			{"DELETE", "/userdata/workflows", "", 404, ""},
			{"POST", "/userdata/a.json/move/c.json", "", 200, `"c.json"`},
			{"GET", "/userdata/a.json", "", 404, ""},
			{"POST", "/userdata/a.json/move/d.json", "", 404, ""},
			{"POST", "/userdata/e.json", "e", 200, `"e.json"`},
			{"POST", "/userdata/c.json/move/e.json?overwrite=false", "", 409, ""},
			{"GET", "/userdata/e.json", "", 200, "e"},
			{"POST", "/api/userdata/c.json/move/workflows%2Fnew%2Fe.json", "", 200, `"workflows/new/e.json"`},
			{"POST", "/userdata/workflows%2Fnew%2Fe.json/move/e.json", "", 200, `"e.json"`},
			{"GET", "/userdata/e.json", "", 200, "three"},
			{"POST", "/userdata/workflows/move/flows", "", 404, ""}, // a folder is not a file
			{"POST", "/userdata/e.json/move/e.json%2Fx", "", 409, ""},
			{"DELETE", "/api/userdata/e.json", "", 204, ""},
			{"GET", "/userdata/e.json", "", 404, ""},
			{"POST", "/userdata/empty", "", 200, `"empty"`},
			{"GET", "/userdata/empty", "", 200, ""},
			{"GET", "/userdata/comfy.settings.json", "", 403, ""}, // only the settings routes serve this file
			{"POST", "/userdata/Comfy.Settings.json", "{}", 403, ""},
			{"POST", "/userdata/empty/move/comfy.settings.json", "", 403, ""},
			{"DELETE", "/userdata/.%2Fcomfy.settings.json", "", 403, ""},
			{"GET", "/userdata/..%2Fusers.json", "", 403, ""},
			{"GET", "/userdata/a%5Cb", "", 400, ""},
		} {
			a := h.send(c.method, c.path, c.body)
			require.Equal(t, c.status, a.status, "%s %s: %s", c.method, c.path, a.body)
			if c.status < 400 {
				require.Equal(t, c.want, a.body, "%s %s", c.method, c.path)
				continue
			}
			require.Contains(t, a.json(t), "error")
		}
	})
}

func TestUserdataInfo(t *testing.T) {
	kept(t, false, func(t *testing.T, h *host) {
		begin := float64(time.Now().Add(-time.Second).Unix())
		info := func(a answered) map[string]any {
			t.Helper()
			require.Equal(t, 200, a.status, a.body)
			got := a.json(t).(map[string]any)
			require.Greater(t, got["modified"], begin)
			require.Equal(t, got["modified"], got["created"])
			delete(got, "modified")
			delete(got, "created")
			return got
		}
		require.Equal(t, map[string]any{"path": "in/a.json", "size": 3.0}, info(h.post("/userdata/in%2Fa.json?full_info=true", "abc")))
		require.Equal(t, map[string]any{"path": "b.json", "size": 3.0}, info(h.post("/userdata/in%2Fa.json/move/b.json?full_info=TRUE", "")))
		require.Equal(t, `"b.json"`, h.post("/userdata/b.json?full_info=1", "").body)
	})
}

func TestUserdataList(t *testing.T) {
	kept(t, false, func(t *testing.T, h *host) {
		require.Equal(t, 404, h.send("GET", "/userdata?dir=workflows", "").status, "nothing is stored yet")
		require.Equal(t, []any{}, h.get("/v2/userdata"))
		for _, name := range []string{"workflows%2Fb.json", "workflows%2Fa.json", "workflows%2Fz%2Fc.json", "workflows%2F.index.json", "workflows%2F.git%2Fx", "Top.txt"} {
			require.Equal(t, 200, h.post("/userdata/"+name, "12345").status)
		}
		for query, want := range map[string]string{
			"dir=workflows":                         `["a.json","b.json"]`,
			"dir=workflows/":                        `["a.json","b.json"]`,
			"dir=workflows&recurse=true":            `["a.json","b.json","z/c.json"]`,
			"dir=workflows&recurse=false":           `["a.json","b.json"]`,
			"dir=workflows&recurse=true&split=true": `[["a.json","a.json"],["b.json","b.json"],["z/c.json","z","c.json"]]`,
			"dir=workflows%2Fz&split=true":          `[["c.json","c.json"]]`,
			"dir=.":                                 `["Top.txt"]`,
		} {
			require.Equal(t, want, h.send("GET", "/userdata?"+query, "").body, query)
			require.Equal(t, want, h.send("GET", "/api/userdata?"+query, "").body, query)
		}
		full := h.get("/userdata?dir=workflows&recurse=true&full_info=true&split=true")
		require.Len(t, full, 3)
		require.Equal(t, "created modified path size", strings.Join(sortedNames(at(t, full, 0).(map[string]any)), " "))
		require.Equal(t, "z/c.json", at(t, full, 2, "path"))
		for query, status := range map[string]int{
			"": 400, "dir=": 400, "dir=none": 404, "dir=workflows/a.json": 404, "dir=..": 403, "dir=/": 403, "dir=workflows/../..": 403, "dir=a%00": 400,
		} {
			require.Equal(t, status, h.send("GET", "/userdata?"+query, "").status, query)
		}
	})
}

func TestUserdataTree(t *testing.T) {
	kept(t, false, func(t *testing.T, h *host) {
		for _, name := range []string{"b.txt", "A.txt", "dir%2Fx.json", "dir%2Fsub%2Fy.json"} {
			require.Equal(t, 200, h.post("/userdata/"+name, "12345").status)
		}
		names := func(path string) (all []string) {
			for _, e := range h.get(path).([]any) {
				entry := e.(map[string]any)
				if entry["type"] == "file" {
					require.EqualValues(t, 5, entry["size"])
					require.Greater(t, entry["modified"], 1.7e9)
				} else {
					require.Len(t, entry, 3)
				}
				all = append(all, fmt.Sprint(entry["type"], " ", entry["path"], " ", entry["name"]))
			}
			return all
		}
		all := []string{
			"directory dir dir", "directory dir/sub sub", // folders first
			"file A.txt A.txt", "file b.txt b.txt", "file dir/x.json x.json", "file dir/sub/y.json y.json",
		}
		require.Equal(t, all, names("/v2/userdata"))
		require.Equal(t, all, names("/api/v2/userdata?path="))
		require.Equal(t, []string{"directory dir/sub sub", "file dir/x.json x.json", "file dir/sub/y.json y.json"}, names("/v2/userdata?path=dir"))
		for query, status := range map[string]int{"path=none": 404, "path=b.txt": 404, "path=..": 403, "path=/etc": 403, "path=dir%5C..": 400} {
			require.Equal(t, status, h.send("GET", "/v2/userdata?"+query, "").status, query)
		}
	})
}

// TestUserdataIsReplacedWhole: a request that reads a file during a write receives
// the complete old or the complete new file. If the body of a write is incomplete,
// the file does not change.
func TestUserdataIsReplacedWhole(t *testing.T) {
	kept(t, false, func(t *testing.T, h *host) {
		require.Equal(t, 200, h.post("/userdata/a", strings.Repeat("0", 1<<16)).status)
		written := make(chan struct{})
		go func() {
			defer close(written)
			for i := range 20 {
				h.post("/userdata/a", strings.Repeat(fmt.Sprint(i%10), 1<<16))
			}
		}()
		for reading := true; reading; {
			select {
			case <-written:
				reading = false
			default:
			}
			body := h.send("GET", "/userdata/a", "").body
			require.Equal(t, strings.Repeat(body[:1], 1<<16), body)
		}
		before := h.send("GET", "/userdata/a", "").body
		require.Equal(t, 400, cut("/userdata/a", "half")(h).status)
		require.Equal(t, before, h.send("GET", "/userdata/a", "").body)
	})
}

// TestUserdataLinks: a symbolic link works only if its target is inside the folder
// of all user data.
func TestUserdataLinks(t *testing.T) {
	around, opts := folders(t)
	h := newHost(t, opts)
	put(t, around, "secret", []byte("secret"))
	put(t, opts.Data, "default/in/real", []byte("real"))
	put(t, opts.Data, "other/file", []byte("of another"))
	for link, to := range map[string]string{
		"out": "../../secret", "up": "../..", "self": "self", "fine": "in/real", "dir": "in", "none": "nowhere",
	} {
		require.NoError(t, os.Symlink(to, filepath.Join(opts.Data, "default", link)))
	}
	require.Equal(t, "real", h.send("GET", "/userdata/fine", "").body)
	for path, status := range map[string]int{"out": 403, "up%2Fsecret": 403, "self": 404, "none": 404} {
		require.Equal(t, status, h.send("GET", "/userdata/"+path, "").status, path)
	}
	require.Equal(t, 403, h.post("/userdata/up%2Fnew", "x").status)
	require.Equal(t, []any{"fine", "in/real"}, h.get("/userdata?dir=.&recurse=true"))
	require.Equal(t, 200, h.post("/userdata/out", "mine").status, "the link is replaced")
	require.Equal(t, "secret", tree(t, around)["secret"])
}

// TestUserdataThatCannotBeRead: the lists leave out a folder that the program may not
// read, and the log names it. Entries that are gone or lead nowhere need no log line.
func TestUserdataThatCannotBeRead(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read every folder")
	}
	dir := t.TempDir()
	put(t, dir, "default/a.txt", []byte("a"))
	put(t, dir, "default/private/b.txt", []byte("b"))
	put(t, dir, "default/sub/c.txt", []byte("c"))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "default", "link")))
	private := filepath.Join(dir, "default", "private")
	require.NoError(t, os.Chmod(private, 0))
	t.Cleanup(func() { _ = os.Chmod(private, 0o700) })
	var log bytes.Buffer
	h := newHost(t, &comfy.Options{Data: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, path := range []string{"/userdata?dir=.&recurse=true", "/v2/userdata"} {
		log.Reset()
		a := h.send("GET", path, "")
		require.Equal(t, 200, a.status, a.body)
		require.Contains(t, a.body, "a.txt")
		require.Contains(t, a.body, "sub/c.txt")
		require.NotContains(t, a.body, "b.txt")
		require.Contains(t, log.String(), "private", path)
		require.NotContains(t, log.String(), "link")
	}
}
