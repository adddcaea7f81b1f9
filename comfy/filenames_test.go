package comfy_test

import (
	"bytes"
	"log/slog"
	"net/url"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// oddNames are names that Linux and macOS have, and Windows does not.
var oddNames = []string{
	"12:30:00.png", "a:b", ":", "C:x.png", "a.txt::$DATA", "why?.png", "a*.png", `say "x".png`, "<b>.png", "a|b.png",
	"ends.", "ends ", "a.png .", "CON", "NUL.png", "com1", "aux.tar.gz",
}

// TestOddNames: names that the file system has can be uploaded, viewed and stored as user data. Only
// Windows refuses them, with a text that says so.
func TestOddNames(t *testing.T) {
	around, opts := folders(t)
	h := newHost(t, opts)
	want := map[string]string{}
	picture := string(pngOf(t, glass(2, 2)))
	for _, name := range oddNames {
		escaped := url.QueryEscape(name)
		stored := []answered{
			h.upload("/upload/image", name, picture),
			h.upload("/upload/image", "a.png", picture, "subfolder", "in/"+name+"/deep"),
			h.upload("/upload/mask", name, picture, "type", "temp", "original_ref", `{"filename":`+strconv.Quote(name)+`,"type":"input"}`),
			h.post("/userdata/"+url.PathEscape("workflows/"+name), "flow"),
			h.post("/userdata/x", "x"),
			h.post("/userdata/x/move/"+url.PathEscape("moved/"+name), ""),
		}
		read := []answered{
			h.send("GET", "/view?type=input&filename="+escaped, ""),
			h.send("GET", "/view?type=input&filename="+escaped+"+[input]", ""),
			h.send("GET", "/view?type=input&filename=a.png&subfolder=in%2F"+escaped+"%2Fdeep", ""),
			h.send("GET", "/view?type=input&channel=rgb&filename="+escaped, ""),
			h.send("GET", "/userdata/"+url.PathEscape("workflows/"+name), ""),
			h.send("DELETE", "/userdata/"+url.PathEscape("moved/"+name), ""),
		}
		if runtime.GOOS == "windows" {
			for i, a := range append(stored, read...) {
				if i != 4 { // a plain name
					require.Equal(t, 400, a.status, "%d %q: %s", i, name, a.body)
					require.Contains(t, at(t, a.json(t), "error"), "Windows")
				}
			}
			continue
		}
		for i, a := range append(stored, read...) {
			require.Contains(t, []int{200, 204}, a.status, "%d %q: %s", i, name, a.body)
		}
		require.Equal(t, map[string]any{"name": name, "subfolder": "", "type": "input"}, stored[0].json(t))
		require.Equal(t, map[string]any{"name": "a.png", "subfolder": "in/" + name + "/deep", "type": "input"}, stored[1].json(t))
		require.Equal(t, picture, read[0].body)
		require.Equal(t, picture, read[1].body)
		require.Equal(t, picture, read[2].body)
		require.Equal(t, "flow", read[4].body)
		want["input/"+name], want["input/in/"+name+"/deep/a.png"] = picture, picture
		want["data/default/workflows/"+name] = "flow"
	}
	got := tree(t, around)
	for name, content := range want {
		require.Equal(t, content, got[name], "%q", name)
	}
	for _, path := range []string{"comfy.settings.json.", "comfy.settings.json ", "Comfy.Settings.json. ."} {
		require.Contains(t, []int{400, 403}, h.send("GET", "/userdata/"+url.PathEscape(path), "").status, "some file systems take %q for the settings", path)
	}
}

// TestNamesOfNoSystem: what leads out of a folder, or is a folder for some clients and no folder
// for others, is refused on every system.
func TestNamesOfNoSystem(t *testing.T) {
	around, opts := folders(t)
	h := newHost(t, opts)
	for _, name := range []string{`a\b.png`, `..\a.png`, `C:\a.png`, "a\nb.png", "a\x7f", "...", ".. ", " ", ". .", "a\x00b"} {
		for what, a := range map[string]answered{
			"upload":    h.upload("/upload/image", name, "x"),
			"subfolder": h.upload("/upload/image", "a.png", "x", "subfolder", "in/"+name),
			"view":      h.send("GET", "/view?filename="+url.QueryEscape(name), ""),
			"userdata":  h.post("/userdata/"+url.PathEscape("in/"+name), "x"),
		} {
			require.Equal(t, 400, a.status, "%s %q: %s", what, name, a.body)
			require.Regexp(t, "invalid file name|not a valid multipart form", at(t, a.json(t), "error"), what)
		}
	}
	require.Empty(t, tree(t, around))
}

// TestErrorsShowNoMachine: the errors of files have no path of this machine and no word of Go.
func TestErrorsShowNoMachine(t *testing.T) {
	around, opts := folders(t)
	put(t, around, "file", []byte("x"))
	put(t, opts.Input, "dir/a.png", []byte("x"))
	opts.Output, opts.Temp = filepath.Join(around, "file"), filepath.Join(around, "file", "below") // no folders
	opts.Data = filepath.Join(around, "file")
	h := newHost(t, opts)
	answers := map[string]answered{
		"upload to a file":     h.upload("/upload/image", "a.png", "x", "type", "output"),
		"upload below a file":  h.upload("/upload/image", "a.png", "x", "type", "temp"),
		"upload to a folder":   h.upload("/upload/image", "dir", "x", "overwrite", "true"),
		"upload through files": h.upload("/upload/image", "b.png", "x", "subfolder", "dir/a.png/c"),
		"upload a long name":   h.upload("/upload/image", "b.png", "x", "subfolder", "dir/"+strings.Repeat("x", 300)),
		"view in a file":       h.send("GET", "/view?filename=a.png", ""),
		"view below a file":    h.send("GET", "/view?filename=a.png&type=temp&preview=webp", ""),
		"list a file":          h.send("GET", "/internal/files/output", ""),
		"userdata":             h.post("/userdata/a.json", "x"),
		"userdata list":        h.send("GET", "/v2/userdata", ""),
		"settings":             h.post("/settings/a", "1"),
		"form of another type": h.post("/upload/image", "x", "Content-Type", "text/plain"),
		"form without a type":  h.post("/upload/image", "x"),
		"form without a bound": h.post("/upload/image", "x", "Content-Type", "multipart/form-data"),
		"form without an end":  h.post("/upload/image", "--b\r\n", "Content-Type", "multipart/form-data; boundary=b"),
		"form of odd lines":    h.post("/upload/image", "--b\r\nno header\r\n\r\nx\r\n--b--\r\n", "Content-Type", "multipart/form-data; boundary=b"),
		"mask of no JSON":      h.upload("/upload/mask", "a.png", "x", "original_ref", `{"filename":5}`),
		"mask of no picture":   h.upload("/upload/mask", "b.png", "x", "original_ref", `{"filename":"a.png","subfolder":"dir","type":"input"}`),
	}
	for what, a := range answers {
		if what == "userdata list" && a.status == 200 { // nothing is stored
			continue
		}
		require.GreaterOrEqual(t, a.status, 400, "%s: %s", what, a.body)
		text := at(t, a.json(t), "error")
		require.NotContains(t, text, filepath.ToSlash(around), what)
		require.NotRegexp(t, `openat|mkdirat|renameat|linkat|statat|json:|mime:|multipart:|http:|NextPart|Go |syscall|os\.|\*`, text, what)
	}
}

// TestUploadWithoutTemporaryFolder: a server that cannot keep a large form says so, and logs the
// reason.
func TestUploadWithoutTemporaryFolder(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "gone"))
	if runtime.GOOS == "windows" {
		t.Setenv("TMP", filepath.Join(t.TempDir(), "gone"))
	}
	var log bytes.Buffer
	around, opts := folders(t)
	opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
	h := newHost(t, opts)
	a := h.upload("/upload/image", "a.png", string(make([]byte, 2<<20)))
	require.Equal(t, []any{503, `{"error":"the file cannot be read or written now"}`}, []any{a.status, a.body})
	require.Contains(t, log.String(), "multipart-")
	require.Empty(t, tree(t, around))
}
