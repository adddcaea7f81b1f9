package picture_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/leak"
	"github.com/nodebus/nodebus/picture"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// square is the image of the tests.
func square() image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, 32, 32))
	for i := range img.Pix {
		img.Pix[i] = byte(i)
	}
	return img
}

// node returns the context of a node.
func node(t *testing.T, nodes nodebus.Nodes, extra any) *nodebus.Context {
	return nodebus.NewContext(t.Context(), nodebus.CallInfo{
		Place: nodebus.Place{UniqueID: "9"},
		Job:   &nodebus.Job{Prompt: &nodebus.Prompt{Nodes: nodes, Extra: map[string]any{"extra_pnginfo": extra}}},
	})
}

var graph = nodebus.Nodes{{ID: "9", Class: "SaveImage", Inputs: nodebus.Inputs{
	"images": nodebus.Link{Node: "8", Slot: 0}, "filename_prefix": "Grüße 🎨 <b>",
}}}

// TestMetadataOf: the texts are JSON in ASCII, and lose nothing.
func TestMetadataOf(t *testing.T) {
	m, err := picture.MetadataOf(node(t, graph, map[string]any{
		"workflow": map[string]any{"seed": json.Number("18446744073709551615"), "title": "世界\u2028𝄞\x01"},
		"ds":       []any{1.5, nil, true},
	}))
	require.NoError(t, err)
	require.Len(t, m, 3)
	for name, text := range m {
		require.Equal(t, -1, strings.IndexFunc(text, func(r rune) bool { return r > '~' || r < ' ' }), name)
	}
	require.JSONEq(t, `[1.5, null, true]`, m["ds"])
	require.Contains(t, m["workflow"], "18446744073709551615")
	require.Contains(t, m["workflow"], `\u4e16\u754c\u2028\ud834\udd1e\u0001`)
	back, err := nodebus.ParseNodes([]byte(m["prompt"]))
	require.NoError(t, err)
	require.Equal(t, graph[0].Inputs, back[0].Inputs)
}

func TestMetadataOfLittle(t *testing.T) {
	for name, c := range map[string]struct {
		nodes nodebus.Nodes
		extra any
		want  picture.Metadata
	}{
		"nothing":       {nil, nil, picture.Metadata{}},
		"no object":     {nil, "text", picture.Metadata{}},
		"only a prompt": {nodebus.Nodes{{ID: "1", Class: "A"}}, []any{}, picture.Metadata{"prompt": `{"1":{"inputs":{},"class_type":"A"}}`}},
		"only extra":    {nil, map[string]any{"workflow": nil}, picture.Metadata{"workflow": "null"}},
		// A client cannot replace the prompt that has made the picture.
		"a prompt in extra": {nodebus.Nodes{{ID: "1", Class: "A"}}, map[string]any{"prompt": 1}, picture.Metadata{"prompt": `{"1":{"inputs":{},"class_type":"A"}}`}},
	} {
		got, err := picture.MetadataOf(node(t, c.nodes, c.extra))
		require.NoError(t, err, name)
		if text, ok := got["prompt"]; ok {
			require.JSONEq(t, c.want["prompt"], text, name)
			delete(got, "prompt")
			delete(c.want, "prompt")
		}
		require.Equal(t, c.want, got, name)
	}
	_, err := picture.MetadataOf(node(t, nil, map[string]any{"workflow": make(chan int)}))
	var refused *picture.MetadataError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "workflow", refused.Name)
	require.Error(t, picture.WritePNG(node(t, nil, map[string]any{"w": func() {}}), io.Discard, square()))
	require.Error(t, picture.WriteJPEG(node(t, nil, map[string]any{"w": func() {}}), io.Discard, square(), nil))
}

// format is one of the two formats.
type format struct {
	write  func(*nodebus.Context, io.Writer, image.Image) error
	encode func(io.Writer, image.Image, picture.Metadata) error
	decode func(io.Reader) (image.Image, error)
}

var formats = map[string]format{
	"PNG": {
		picture.WritePNG,
		func(w io.Writer, img image.Image, m picture.Metadata) error { return picture.EncodePNG(w, img, m, nil) },
		png.Decode,
	},
	"JPEG": {
		func(c *nodebus.Context, w io.Writer, img image.Image) error { return picture.WriteJPEG(c, w, img, nil) },
		func(w io.Writer, img image.Image, m picture.Metadata) error {
			return picture.EncodeJPEG(w, img, m, nil)
		},
		jpeg.Decode,
	},
}

// TestWriteAndRead: Read finds what was written, and the image is whole.
func TestWriteAndRead(t *testing.T) {
	for name, f := range formats {
		for what, m := range map[string]picture.Metadata{
			"nothing":    {},
			"as ComfyUI": {"prompt": `{"1":{}}`, "workflow": `{"nodes":[]}`},
			"short":      {"a": "", "b": "1", "c": "12"},
			"no prompt":  {"workflow": "{}", "zz": "x:y:z"},
			"other text": {"Comment": "Grüße, 世界", "Größe": "\t\n"},
		} {
			var file bytes.Buffer
			require.NoError(t, f.encode(&file, square(), m))
			got, err := picture.Read(bytes.NewReader(file.Bytes()))
			require.NoError(t, err, "%s: %s", name, what)
			require.Equal(t, m, got, "%s: %s", name, what)
			img, err := f.decode(&file)
			require.NoError(t, err)
			require.Equal(t, square().Bounds(), img.Bounds())
		}
		var file bytes.Buffer
		require.NoError(t, f.write(node(t, graph, map[string]any{"workflow": 1}), &file, square()))
		got, err := picture.Read(&file)
		require.NoError(t, err)
		require.Equal(t, "1", got["workflow"])
		require.Contains(t, got["prompt"], "SaveImage")
	}
	var file bytes.Buffer
	require.NoError(t, picture.EncodePNG(&file, square(), nil, &png.Encoder{CompressionLevel: png.NoCompression}))
	require.Greater(t, file.Len(), 32*32*4)
	img, err := png.Decode(&file)
	require.NoError(t, err)
	require.Equal(t, square(), img)
}

// TestPNGChunks: the chunks are where ComfyUI writes them, in its order.
func TestPNGChunks(t *testing.T) {
	var file bytes.Buffer
	require.NoError(t, picture.EncodePNG(&file, square(), picture.Metadata{"a": "ä", "workflow": "{}", "prompt": "[]"}, nil))
	var chunks []string
	for b := file.Bytes()[8:]; len(b) > 0; {
		n := binary.BigEndian.Uint32(b)
		if typ := string(b[4:8]); typ == "tEXt" || typ == "iTXt" {
			chunks = append(chunks, typ+" "+string(b[8:8+n]))
		} else {
			chunks = append(chunks, typ)
		}
		b = b[12+n:]
	}
	require.Equal(t, []string{"IHDR", "tEXt prompt\x00[]", "tEXt workflow\x00{}", "iTXt a\x00\x00\x00\x00\x00ä", "IDAT", "IEND"}, chunks)
}

// TestJPEGTags: the prompt is in Model, and the workflow in Make.
func TestJPEGTags(t *testing.T) {
	var file bytes.Buffer
	require.NoError(t, picture.EncodeJPEG(&file, square(), picture.Metadata{"z": "1", "workflow": "{}", "prompt": "[]"}, &jpeg.Options{Quality: 90}))
	require.Equal(t, "\xff\xd8\xff\xe1\x00\x50Exif\x00\x00II\x2a\x00\x08\x00\x00\x00"+
		"\x03\x00"+
		"\x0e\x01\x02\x00\x04\x00\x00\x00z:1\x00"+
		"\x0f\x01\x02\x00\x0c\x00\x00\x00\x32\x00\x00\x00"+
		"\x10\x01\x02\x00\x0a\x00\x00\x00\x3e\x00\x00\x00"+
		"\x00\x00\x00\x00workflow:{}\x00prompt:[]\x00", file.String()[:84])
}

// TestRefused: nothing is written if the metadata does not fit.
func TestRefused(t *testing.T) {
	many := picture.Metadata{}
	for i := range 18 {
		many[strings.Repeat("x", i+1)] = "x"
	}
	for what, c := range map[string]struct {
		m       picture.Metadata
		formats string
		tooLong bool
	}{
		"not UTF-8":          {picture.Metadata{"a": "\xff"}, "PNG JPEG", false},
		"name not UTF-8":     {picture.Metadata{"\xff": "a"}, "PNG JPEG", false},
		"NUL":                {picture.Metadata{"a": "b\x00c"}, "PNG JPEG", false},
		"NUL in a name":      {picture.Metadata{"a\x00": "b"}, "PNG JPEG", false},
		"no name":            {picture.Metadata{"": "b"}, "PNG JPEG", false},
		"colon":              {picture.Metadata{"a:b": "c"}, "JPEG", false},
		"long name":          {picture.Metadata{strings.Repeat("n", 80): "c"}, "PNG", false},
		"name in Cyrillic":   {picture.Metadata{"имя": "c"}, "PNG", false},
		"space before":       {picture.Metadata{" a": "c"}, "PNG", false},
		"two spaces":         {picture.Metadata{"a  b": "c"}, "PNG", false},
		"a long workflow":    {picture.Metadata{"workflow": strings.Repeat("x", 1<<16)}, "JPEG", true},
		"too much":           {picture.Metadata{"workflow": strings.Repeat("x", 64<<20)}, "PNG JPEG", true},
		"more tags than fit": {many, "JPEG", true},
	} {
		for name, f := range formats {
			var file bytes.Buffer
			err := f.encode(&file, square(), c.m)
			if !strings.Contains(" "+c.formats, " "+name) {
				require.NoError(t, err, "%s: %s", name, what)
				got, err := picture.Read(&file)
				require.NoError(t, err)
				require.Equal(t, c.m, got, "%s: %s", name, what)
				continue
			}
			var refused *picture.MetadataError
			require.ErrorAs(t, err, &refused, "%s: %s", name, what)
			require.Equal(t, c.tooLong, errors.Is(err, picture.ErrTooLong), "%s: %s", name, what)
			require.Zero(t, file.Len())
		}
	}
}

// dry is an image that cannot be read, and full is a writer that takes n bytes.
type dry struct{ image.Image }

func (dry) At(_, _ int) color.Color { panic("dry") }

type full struct{ n int }

var errFull = errors.New("full")

func (f *full) Write(p []byte) (int, error) {
	n := min(f.n, len(p))
	if f.n -= n; n < len(p) {
		return n, errFull
	}
	return n, nil
}

func TestWriteFails(t *testing.T) {
	for name, f := range formats {
		m := picture.Metadata{"prompt": "{}"}
		var panicked *nodebus.PanicError
		require.ErrorAs(t, f.encode(io.Discard, dry{square()}, m), &panicked, name)
		require.ErrorAs(t, f.encode(io.Discard, nil, m), &panicked, name)
		var file bytes.Buffer
		require.Error(t, f.encode(&file, image.NewGray(image.Rect(0, 0, 1<<32, 1)), m), name)
		require.ErrorContains(t, f.encode(&file, image.Black, m), "too large", "its sides have 2e9 pixels")
		require.Zero(t, file.Len())
		require.NoError(t, f.encode(&file, square(), m))
		for n := range 100 {
			require.ErrorIs(t, f.encode(&full{n}, square(), m), errFull, "%s, after %d bytes", name, n)
		}
		require.NoError(t, f.encode(&full{file.Len()}, square(), m), name)
	}
}
