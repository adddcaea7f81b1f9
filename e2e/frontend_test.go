//go:build e2e

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// frontend is a pattern for the folder with the static files of the official front end.
const frontend = ".venv/lib/python3*/site-packages/comfyui_frontend_package/static"

// TestFrontEnd uses every feature of the official front end that a person uses, with
// both of its renderers for nodes. It writes screenshots to the folder shots.
func TestFrontEnd(t *testing.T) {
	static, err := filepath.Glob(frontend)
	require.NoError(t, err)
	require.Len(t, static, 1)
	for _, way := range []string{"page", "canvas"} {
		t.Run(way, func(t *testing.T) {
			// With ClassicCache, as in ComfyUI, a node that sends a note runs again after another
			// workflow.
			s := serve(t, flow.ClassicCache(), comfy.Options{
				Frontend:   os.DirFS(static[0]),
				Extensions: map[string]fs.FS{"e2e": os.DirFS("browser/extension")},
			})
			saw := run(t, "node", "browser/frontend.mjs", s.address, way, "shots")
			requireLines(t, filepath.Join("browser", "frontend.jsonl"), strings.NewReplacer(), saw)
		})
	}
}
