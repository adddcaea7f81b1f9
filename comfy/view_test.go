package comfy_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// put writes a file in dir. It creates the folders that are missing.
func put(t testing.TB, dir, name string, content []byte) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, content, 0o600))
}

// glass returns a picture of w by h pixels in one colour that is half transparent.
func glass(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := 0; i < len(img.Pix); i += 4 {
		copy(img.Pix[i:], []byte{200, 100, 50, 128})
	}
	return img
}

func pngOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	return b.Bytes()
}

// decoded returns the format, the size and the first pixel of the picture in an
// answer.
func decoded(t testing.TB, body string) (kind string, size image.Point, first color.NRGBA) {
	t.Helper()
	img, kind, err := image.Decode(strings.NewReader(body))
	require.NoError(t, err)
	return kind, img.Bounds().Size(), color.NRGBAModel.Convert(img.At(0, 0)).(color.NRGBA)
}

func TestView(t *testing.T) {
	out, in, temp := t.TempDir(), t.TempDir(), t.TempDir()
	put(t, out, "a.png", []byte("output a"))
	put(t, out, "sub/deep/b é.txt", []byte("output b"))
	put(t, in, "a.png", []byte("input a"))
	put(t, temp, "a.png", []byte("temp a"))
	h := newHost(t, &comfy.Options{Output: out, Input: in, Temp: temp})
	twins(t, "/view", func(t *testing.T, path string) {
		for query, want := range map[string]string{
			"filename=a.png":                                   "output a",
			"filename=a.png&type=output&subfolder=":            "output a",
			"filename=a.png&type=input":                        "input a",
			"filename=a.png&type=temp&rand=0.123&x=y":          "temp a",
			"filename=a.png%20[temp]":                          "temp a",
			"filename=a.png[input]&type=output":                "input a",
			"filename=a.png&channel=rgba":                      "output a",
			"filename=b%20%C3%A9.txt&subfolder=sub/deep":       "output b",
			"filename=deep/b+%C3%A9.txt&subfolder=sub":         "output b",
			"filename=.%2Fsub%2F%2Fdeep%2Fb+%C3%A9.txt":        "output b",
			"filename=b%20%C3%A9.txt&subfolder=sub%2Fdeep%2F.": "output b",
		} {
			a := h.send("GET", path+"?"+query, "")
			require.Equal(t, 200, a.status, query)
			require.Equal(t, want, a.body, query)
			require.Equal(t, "no-cache", a.header.Get("Cache-Control"))
			require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
		}
		for query, status := range map[string]int{
			"":                                   404, // no filename
			"type=output":                        404,
			"filename=":                          400,
			"filename=.":                         400,
			"filename=/a.png":                    400,
			"filename=../a.png":                  400,
			"filename=sub/../a.png":              400,
			"filename=a.png&type=":               400,
			"filename=a.png&type=models":         400,
			"filename=a.png&type=Output":         400,
			"filename=a.png&subfolder=..":        403,
			"filename=a.png&subfolder=sub/../..": 403,
			"filename=a.png&subfolder=/":         403,
			"filename=a.png&subfolder=none":      404,
			"filename=none.png":                  404,
			"filename=sub":                       404,
			"filename=a.png/b":                   404,
			"filename=[temp]":                    400,
		} {
			a := h.send("GET", path+"?"+query, "")
			require.Equal(t, status, a.status, query)
			require.Contains(t, a.json(t), "error")
			require.NotContains(t, a.body, out, "where folders are is not told")
			require.Empty(t, a.header.Get("Content-Disposition"))
		}
	})
}

func TestViewHeaders(t *testing.T) {
	out := t.TempDir()
	h := newHost(t, &comfy.Options{Output: out})
	for name, want := range map[string][2]string{
		"a.png":           {"image/png", `inline; filename="a.png"`},
		"a.JPG":           {"image/jpeg", `inline; filename="a.JPG"`},
		"sub/a.webp":      {"image/webp", `inline; filename="a.webp"`},
		"a.mp4":           {"video/mp4", `inline; filename="a.mp4"`},
		"a.flac":          {"audio/flac", `inline; filename="a.flac"`},
		"a.json":          {"application/json", `inline; filename="a.json"`},
		"a.glb":           {"model/gltf-binary", `inline; filename="a.glb"`},
		"a.txt":           {"text/plain; charset=utf-8", `inline; filename="a.txt"`},
		"a.html":          {"application/octet-stream", `attachment; filename="a.html"`},
		"a.HTM":           {"application/octet-stream", `attachment; filename="a.HTM"`},
		"a.js":            {"application/octet-stream", `attachment; filename="a.js"`},
		"a.css":           {"application/octet-stream", `attachment; filename="a.css"`},
		"a.svg":           {"application/octet-stream", `attachment; filename="a.svg"`},
		"a.xml":           {"application/octet-stream", `attachment; filename="a.xml"`},
		"a.xhtml":         {"application/octet-stream", `attachment; filename="a.xhtml"`},
		"a":               {"application/octet-stream", `attachment; filename="a"`},
		"a.png.exe":       {"application/octet-stream", `attachment; filename="a.png.exe"`},
		"é\"; x=y.png":    {"image/png", `inline; filename="__; x=y.png"; filename*=UTF-8''%C3%A9%22%3B%20x=y.png`},
		"100% <b>&'*.png": {"image/png", `inline; filename="100% <b>&'*.png"`},
		"日本 \u202e.png":   {"image/png", `inline; filename="__ _.png"; filename*=UTF-8''%E6%97%A5%E6%9C%AC%20%E2%80%AE.png`},
	} {
		put(t, out, name, []byte("<script>"))
		a := h.send("GET", "/view?filename="+url.QueryEscape(name), "")
		require.Equal(t, 200, a.status, name)
		require.Equal(t, want, [2]string{a.header.Get("Content-Type"), a.header.Get("Content-Disposition")}, name)
		require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
	}
}

func TestViewRanges(t *testing.T) {
	out := t.TempDir()
	put(t, out, "a.mp4", []byte("0123456789"))
	h := newHost(t, &comfy.Options{Output: out})
	for asked, want := range map[string][3]any{
		"bytes=0-3":     {206, "0123", "bytes 0-3/10"},
		"bytes=4-":      {206, "456789", "bytes 4-9/10"},
		"bytes=-2":      {206, "89", "bytes 8-9/10"},
		"bytes=8-100":   {206, "89", "bytes 8-9/10"},
		"bytes=20-":     {416, "invalid range: failed to overlap\n", "bytes */10"},
		"bytes=5-2":     {416, "invalid range\n", ""},
		"lines=1-2":     {416, "invalid range\n", ""},
		"bytes=0-9,0-9": {200, "0123456789", ""}, // the ranges are larger than the file
	} {
		a := h.send("GET", "/view?filename=a.mp4", "", "Range", asked)
		require.Equal(t, want, [3]any{a.status, a.body, a.header.Get("Content-Range")}, asked)
	}
	a := h.send("GET", "/view?filename=a.mp4", "")
	require.Equal(t, "bytes", a.header.Get("Accept-Ranges"))
	require.Equal(t, 304, h.send("GET", "/view?filename=a.mp4", "", "If-None-Match", a.header.Get("ETag")).status)
	put(t, out, "a.mp4", []byte("9876543210"))
	require.Equal(t, 206, h.send("GET", "/view?filename=a.mp4", "", "Range", "bytes=0-3").status)
	require.Equal(t, 200, h.send("GET", "/view?filename=a.mp4", "", "Range", "bytes=0-3", "If-Range", a.header.Get("ETag")).status,
		"half of one file and half of another make none")
}

// gallery returns a host with pictures of several formats. Most have 6 by 4 pixels
// in one colour.
func gallery(t *testing.T) *host {
	out := t.TempDir()
	solid := glass(6, 4)
	for i := 3; i < len(solid.Pix); i += 4 {
		solid.Pix[i] = 255
	}
	put(t, out, "glass.png", pngOf(t, glass(6, 4)))
	put(t, out, "part.png", pngOf(t, glass(9, 9).SubImage(image.Rect(2, 3, 8, 7))))
	put(t, out, "solid.png", pngOf(t, solid))
	deep := image.NewRGBA64(image.Rect(0, 0, 6, 4))
	deep.Set(0, 0, color.NRGBA64{200 << 8, 100 << 8, 50 << 8, 128 << 8})
	put(t, out, "deep.png", pngOf(t, deep))
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, solid, &jpeg.Options{Quality: 100}))
	put(t, out, "solid.jpg", b.Bytes())
	b.Reset()
	require.NoError(t, gif.Encode(&b, solid, nil))
	put(t, out, "solid.gif", b.Bytes())
	put(t, out, "clip.mp4", []byte("a film"))
	return newHost(t, &comfy.Options{Output: out})
}

// TestViewPictures: previews and channels of the pictures that the server can read.
func TestViewPictures(t *testing.T) {
	h := gallery(t)
	transparent, black, opaque := color.NRGBA{200, 100, 50, 128}, color.NRGBA{0, 0, 0, 128}, color.NRGBA{200, 100, 50, 255}
	for query, want := range map[string]struct {
		typ   string
		pixel color.NRGBA
	}{
		"filename=glass.png&preview=webp;90":              {"image/png", transparent}, // the server cannot write WebP
		"filename=glass.png&preview=":                     {"image/png", transparent},
		"filename=glass.png&preview=odd;x":                {"image/png", transparent},
		"filename=part.png&preview=webp":                  {"image/png", transparent},
		"filename=deep.png&preview=webp":                  {"image/png", transparent},
		"filename=glass.png&preview=jpeg;100":             {"image/jpeg", opaque},
		"filename=glass.png&preview=jpeg;9999":            {"image/jpeg", opaque},
		"filename=glass.png&preview=webp;90&channel=rgb":  {"image/jpeg", opaque},
		"filename=glass.png&preview=jpeg;90&channel=rgba": {"image/png", transparent},
		"filename=glass.png&preview=jpeg;90&channel=a":    {"image/png", transparent},
		"filename=solid.png&preview=webp":                 {"image/jpeg", opaque},
		"filename=solid.jpg&preview=webp;80":              {"image/jpeg", opaque},
		"filename=solid.gif&preview=webp":                 {"image/jpeg", opaque},
		"filename=glass.png&channel=rgb":                  {"image/png", opaque},
		"filename=glass.png&channel=a":                    {"image/png", black},
		"filename=part.png&channel=a":                     {"image/png", black},
		"filename=deep.png&channel=a":                     {"image/png", black},
		"filename=deep.png&channel=rgb":                   {"image/png", opaque},
		"filename=solid.jpg&channel=a":                    {"image/png", color.NRGBA{0, 0, 0, 255}},
		"filename=solid.jpg&channel=rgb":                  {"image/png", opaque},
	} {
		a := h.send("GET", "/view?"+query, "")
		require.Equal(t, 200, a.status, "%s: %s", query, a.body)
		require.Equal(t, want.typ, a.header.Get("Content-Type"), query)
		require.Equal(t, fmt.Sprint(len(a.body)), a.header.Get("Content-Length"))
		kind, size, first := decoded(t, a.body)
		require.Equal(t, want.typ, "image/"+kind, query)
		require.Equal(t, image.Pt(6, 4), size, query)
		near := func(x, y uint8) { t.Helper(); require.InDelta(t, x, y, 20, "%s: %v", query, first) }
		near(want.pixel.R, first.R)
		near(want.pixel.G, first.G)
		near(want.pixel.B, first.B)
		near(want.pixel.A, first.A)
		name, _, _ := strings.Cut(strings.TrimPrefix(query, "filename="), "&")
		require.Equal(t, `inline; filename="`+name+`"`, a.header.Get("Content-Disposition"))
	}
}

func TestViewPictureQuality(t *testing.T) {
	h := gallery(t)
	rough := h.send("GET", "/view?filename=solid.png&preview=jpeg;1", "")
	fine := h.send("GET", "/view?filename=solid.png&preview=jpeg;100", "")
	require.Less(t, len(rough.body), len(fine.body), "the quality counts")
}

// TestViewNoPicture: if the server cannot read the picture, the preview is the file
// itself.
func TestViewNoPicture(t *testing.T) {
	h := gallery(t)
	a := h.send("GET", "/view?filename=clip.mp4&preview=webp;90", "")
	require.Equal(t, []any{200, "a film", "video/mp4"}, []any{a.status, a.body, a.header.Get("Content-Type")}, "as it is")
	for query, status := range map[string]int{
		"filename=clip.mp4&channel=a":           415,
		"filename=none.png&preview=webp":        404,
		"filename=none.png&channel=rgb":         404,
		"filename=../a.png&preview=webp":        400,
		"filename=a.png&channel=a&subfolder=..": 403,
	} {
		require.Equal(t, status, h.send("GET", "/view?"+query, "").status, query)
	}
}
