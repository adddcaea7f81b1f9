//go:build e2e

package e2e

import (
	"bytes"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/refpack"
	"github.com/nodebus/nodebus/picture"
	"github.com/stretchr/testify/require"
)

// Sketch shows its work, and waits before each step. It leaves the encoding to nodebus.
type Sketch struct {
	Image refpack.Image
	Steps int `default:"3" min:"1" max:"100"`

	steps steps
}

// Run takes the steps. The progress follows the preview at once: the preview is still being
// encoded then.
func (n Sketch) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	for i := range n.Steps {
		if err := n.steps.wait(ctx); err != nil {
			return nil, err
		}
		if err := ctx.Preview(mosaic(n.Image, 1+32*(n.Steps-1-i)/n.Steps)); err != nil {
			return nil, err
		}
		ctx.Progress(float64(i+1), float64(n.Steps))
	}
	return nodebus.Text("done"), nil
}

// Batch sends finished pictures over the socket, one wider than the other.
type Batch struct {
	Count int `default:"8" min:"1" max:"100"`
}

// Run sends the pictures.
func (n Batch) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	for i := range n.Count {
		if err := ctx.Picture(image.NewGray(image.Rect(0, 0, 100+i, 50))); err != nil {
			return nil, err
		}
	}
	return nodebus.Text("done"), nil
}

// TestPicturesOverTheSocket runs a script as people write them for SaveImageWebsocket.
func TestPicturesOverTheSocket(t *testing.T) {
	t.Parallel()
	s := serve(t, flow.NewCache(nil), comfy.Options{})
	saw := run(t, ".venv/bin/python", filepath.Join("clients", "pictures.py"), s.address)
	requireLines(t, filepath.Join("clients", "pictures.jsonl"), strings.NewReplacer(), saw)
}

// TestPicture saves a picture from the official front end, drops the file into an empty
// editor, and sees the workflow again. A file without a workflow gives the graph of its
// prompt. The front end does not read JPEG files, but it reads the same Exif data in a WebP
// file. At the end, a node shows previews that nodebus encodes: each is drawn although the
// node waits for its next step. Both renderers for nodes are used. The test writes
// screenshots to the folder shots.
func TestPicture(t *testing.T) {
	t.Parallel()
	static, err := filepath.Glob(frontend)
	require.NoError(t, err)
	require.Len(t, static, 1)
	workflow, err := os.ReadFile(filepath.Join("browser", "workflows", "painting.json"))
	require.NoError(t, err)
	var file bytes.Buffer
	m := picture.Metadata{"workflow": string(workflow), "prompt": `{"1":{"class_type":"Fractal","inputs":{}}}`}
	require.NoError(t, picture.EncodeJPEG(&file, image.NewGray(image.Rect(0, 0, 64, 64)), m, nil))
	for _, way := range []string{"page", "canvas"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := serve(t, flow.ClassicCache(), comfy.Options{Frontend: os.DirFS(static[0])})
			require.NoError(t, os.WriteFile(filepath.Join(s.output, "painting.jpg"), file.Bytes(), 0o600))
			saw := run(t, "node", "browser/picture.mjs", s.address, way, "shots")
			requireLines(t, filepath.Join("browser", "picture.jsonl"), strings.NewReplacer(), saw)
		})
	}
}
