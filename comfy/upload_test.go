package comfy_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// form returns a form with a file in the field image, and more fields, which are
// pairs of a name and a value. The filename is not cleaned.
func form(filename, content string, fields ...string) (body, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		_ = w.WriteField(fields[i], fields[i+1])
	}
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(filename)
	part, _ := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="image"; filename="` + quoted + `"`}})
	_, _ = part.Write([]byte(content))
	_ = w.Close()
	return b.String(), w.FormDataContentType()
}

func (h *host) upload(path, filename, content string, fields ...string) answered {
	h.t.Helper()
	body, typ := form(filename, content, fields...)
	return h.post(path, body, "Content-Type", typ)
}

// folders returns options with all folders, and the folder around that contains
// only these folders.
func folders(t testing.TB) (around string, opts *comfy.Options) {
	around = t.TempDir()
	return around, &comfy.Options{
		Input: filepath.Join(around, "input"), Output: filepath.Join(around, "output"),
		Temp: filepath.Join(around, "temp"), Data: filepath.Join(around, "data"),
	}
}

// tree returns the content of all files below a folder by path. The content of a
// symbolic link is "-> " and its target.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if to, err := os.Readlink(path); err == nil {
			all[filepath.ToSlash(name)] = "-> " + to
			return nil
		}
		content, err := os.ReadFile(path)
		all[filepath.ToSlash(name)] = string(content)
		return err
	}))
	return all
}

func TestUpload(t *testing.T) {
	twins(t, "/upload/image", func(t *testing.T, path string) {
		around, opts := folders(t)
		h := newHost(t, opts)
		for _, c := range []struct {
			name, content string
			fields        []string
			want          string // name, folder, type
		}{
			{"a.png", "one", nil, "a.png  input"},
			{"a.png", "one", nil, "a.png  input"}, // the same content again
			{"a.png", "two", nil, "a (1).png  input"},
			{"a.png", "three", nil, "a (2).png  input"},
			{"a.png", "two", nil, "a (1).png  input"},
			{"a.png", "four", []string{"overwrite", "true"}, "a.png  input"},
			{"a.png", "five", []string{"overwrite", "1"}, "a.png  input"},
			{"a.png", "six", []string{"overwrite", "false"}, "a (3).png  input"},
			{"a.png", "six", []string{"overwrite", "True"}, "a (3).png  input"},
			{"a.png", "seven", []string{"type", "temp"}, "a.png  temp"},
			{"a.png", "eight", []string{"type", "output", "subfolder", "s/t"}, "a.png s/t output"},
			{"a.png", "nine", []string{"type", "", "subfolder", "./u//v/"}, "a.png u/v input"},
			{"a", "ten", nil, "a  input"},
			{"a", "ten more", nil, "a (1)  input"},
			{".png", "eleven", nil, ".png  input"},
			{"日本 (1).png", "12", nil, "日本 (1).png  input"},
			{"日本 (1).png", "13", nil, "日本 (1) (1).png  input"},
			{"empty.png", "", nil, "empty.png  input"},
		} {
			a := h.upload(path, c.name, c.content, c.fields...)
			require.Equal(t, 200, a.status, a.body)
			got := a.json(t).(map[string]any)
			require.Len(t, got, 3)
			require.Equal(t, c.want, fmt.Sprintf("%s %s %s", got["name"], got["subfolder"], got["type"]))
			view := fmt.Sprintf("/view?filename=%s&subfolder=%s&type=%s", strings.ReplaceAll(got["name"].(string), " ", "%20"), got["subfolder"], got["type"])
			require.Equal(t, c.content, h.send("GET", view, "").body)
		}
		require.Equal(t, map[string]string{
			"input/a.png": "five", "input/a (1).png": "two", "input/a (2).png": "three", "input/a (3).png": "six",
			"temp/a.png": "seven", "output/s/t/a.png": "eight", "input/u/v/a.png": "nine", "input/a": "ten", "input/a (1)": "ten more",
			"input/.png": "eleven", "input/日本 (1).png": "12", "input/日本 (1) (1).png": "13", "input/empty.png": "",
		}, tree(t, around))
	})
}

func TestUploadRefuses(t *testing.T) {
	around, opts := folders(t)
	opts.Temp = ""
	h := newHost(t, opts)
	put(t, opts.Input, "dir/a.png", []byte("a"))
	before := tree(t, around)
	for name, c := range map[string]struct {
		name   string
		fields []string
		status int
	}{
		"no name":                {"", nil, 400},
		"a dot":                  {".", nil, 400},
		"a folder in the name":   {"dir/b.png", nil, 400},
		"a name that leads out":  {"../b.png", nil, 400},
		"an absolute name":       {"/b.png", nil, 400},
		"a name with a NUL":      {"b\x00.png", nil, 400},
		"a folder that is out":   {"b.png", []string{"subfolder", ".."}, 400},
		"an absolute folder":     {"b.png", []string{"subfolder", "/tmp"}, 400},
		"a folder in and out":    {"b.png", []string{"subfolder", "dir/../../x"}, 400},
		"a type of no folder":    {"b.png", []string{"type", "models"}, 400},
		"a type with a path":     {"b.png", []string{"type", "../input"}, 400},
		"a folder not named":     {"b.png", []string{"type", "temp"}, 403},
		"a folder in its place":  {"dir", []string{"overwrite", "true"}, 409},
		"a file in the way":      {"b.png", []string{"subfolder", "dir/a.png"}, 409},
		"the longest name twice": {strings.Repeat("x", 256), nil, 400},
	} {
		for _, path := range []string{"/upload/image", "/upload/mask"} {
			if path == "/upload/mask" && c.status == 409 {
				continue // the picture does not exist, so the server stores nothing
			}
			a := h.upload(path, c.name, "new", append(c.fields, "original_ref", `{"filename":"none.png"}`)...)
			require.Equal(t, c.status, a.status, "%s: %s", name, a.body)
			require.Contains(t, a.json(t), "error")
		}
	}
	for name, c := range map[string]struct{ typ, body string }{
		"no form":        {"application/json", `{"image":"x"}`},
		"no type":        {"", "x"},
		"no boundary":    {"multipart/form-data", "x"},
		"no end":         {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"b.png\"\r\n\r\nx"},
		"no parts":       {"multipart/form-data; boundary=b", "--b--\r\n"},
		"nothing":        {"multipart/form-data; boundary=b", ""},
		"no file":        {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\nx\r\n--b--\r\n"},
		"another file":   {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"b.png\"\r\n\r\nx\r\n--b--\r\n"},
		"an odd header":  {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"image; filename=b.png\r\n\r\nx\r\n--b--\r\n"},
		"a mixed form":   {"multipart/mixed; boundary=b", "--b--\r\n"},
		"another binary": {"image/png", "\x89PNG"},
	} {
		a := h.post("/upload/image", c.body, "Content-Type", c.typ)
		require.Equal(t, 400, a.status, "%s: %s", name, a.body)
		require.Contains(t, a.json(t), "error")
	}
	require.Equal(t, before, tree(t, around))
}

// leftovers lists the temporary files of large forms.
func leftovers(t testing.TB) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(os.TempDir(), "multipart-*"))
	require.NoError(t, err)
	return all
}

// TestLargeUpload: a form that is too large for memory goes to a temporary file.
// The server always removes the temporary file, even if it refuses the form.
func TestLargeUpload(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	large := strings.Repeat("0123456789", 105_000)
	for name, authorize := range map[string]bool{"open": false, "authorized": true} {
		t.Run(name, func(t *testing.T) {
			around, opts := folders(t)
			opts.MaxBody = 2 << 20
			if authorize {
				opts.Authorize = everyone
			}
			h := newHost(t, opts)
			for what, c := range map[string]struct {
				query, name, content string
				status               int
			}{
				"stored":            {"", "a.png", large, 200},
				"semicolons":        {"?a=1;2", "a.png", large, 200},
				"a name that is no": {"", "..", large, 400},
				"an odd query":      {"?%zz", "a.png", large, 200},
				"too much":          {"", "b.png", large + large, 413},
			} {
				a := h.upload("/upload/image"+c.query, c.name, c.content)
				require.Equal(t, c.status, a.status, "%s: %s", what, a.body)
				require.Empty(t, leftovers(t), what)
			}
			require.Equal(t, map[string]string{"input/a.png": large}, tree(t, around))
		})
	}
}

// everyone is an Authorize function that allows everything.
var everyone = func(*http.Request) (nodebus.Grant, error) { return nodebus.Grant{}, nil }

// TestUploadsAtOnce: several uploads at the same time have the same name and
// different contents. Each content gets its own name, and each file is complete.
func TestUploadsAtOnce(t *testing.T) {
	around, opts := folders(t)
	h := newHost(t, opts)
	var all sync.WaitGroup
	answers := make([]answered, 12)
	for i := range answers {
		all.Go(func() {
			answers[i] = h.upload("/upload/image", "a.png", strings.Repeat(fmt.Sprintf("%x", i/2), 50_000))
		})
	}
	all.Wait()
	names := map[string]bool{}
	for i, a := range answers {
		require.Equal(t, 200, a.status, a.body)
		require.Equal(t, answers[i/2*2].body, a.body, "the same content is stored once")
		names[at(t, a.json(t), "name").(string)] = true
	}
	require.Len(t, names, 6)
	stored := tree(t, around)
	require.Len(t, stored, 6)
	for name, content := range stored {
		require.Equal(t, strings.Repeat(content[:1], 50_000), content, name)
	}
}
