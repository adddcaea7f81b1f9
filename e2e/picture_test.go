//go:build e2e

package e2e

import (
	"bytes"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/picture"
	"github.com/stretchr/testify/require"
)

// TestPicture saves a picture from the official front end, drops the file into an empty
// editor, and sees the workflow again. A file without a workflow gives the graph of its
// prompt. The front end does not read JPEG files, but it reads the same Exif data in a WebP
// file. It writes screenshots to the folder shots.
func TestPicture(t *testing.T) {
	static, err := filepath.Glob(frontend)
	require.NoError(t, err)
	require.Len(t, static, 1)
	s := serve(t, flow.ClassicCache(), comfy.Options{Frontend: os.DirFS(static[0])})
	workflow, err := os.ReadFile(filepath.Join("browser", "workflows", "painting.json"))
	require.NoError(t, err)
	var file bytes.Buffer
	m := picture.Metadata{"workflow": string(workflow), "prompt": `{"1":{"class_type":"Fractal","inputs":{}}}`}
	require.NoError(t, picture.EncodeJPEG(&file, image.NewGray(image.Rect(0, 0, 64, 64)), m, nil))
	require.NoError(t, os.WriteFile(filepath.Join(s.output, "painting.jpg"), file.Bytes(), 0o600))
	saw := run(t, "node", "browser/picture.mjs", s.address, "shots")
	requireLines(t, filepath.Join("browser", "picture.jsonl"), strings.NewReplacer(), saw)
}
