//go:build e2e

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// frontend is where the static files of the official front end are.
const frontend = ".venv/lib/python3*/site-packages/comfyui_frontend_package/static"

// TestFrontEnd goes through everything a person does in the official front end,
// in both of its ways to draw nodes. Screenshots are left in the folder shots.
func TestFrontEnd(t *testing.T) {
	static, err := filepath.Glob(frontend)
	require.NoError(t, err)
	require.Len(t, static, 1)
	for _, way := range []string{"page", "canvas"} {
		t.Run(way, func(t *testing.T) {
			s := serve(t, nil, comfy.Options{
				Frontend:   os.DirFS(static[0]),
				Extensions: map[string]fs.FS{"e2e": os.DirFS("browser/extension")},
			})
			saw := run(t, "node", "browser/frontend.mjs", s.address, way, "shots")
			requireLines(t, filepath.Join("browser", "frontend.jsonl"), strings.NewReplacer(), saw)
		})
	}
}
