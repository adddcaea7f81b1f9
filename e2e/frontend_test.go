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

// frontend and oldFrontend are patterns for the folders with the static files of the
// official front end.
const (
	frontend    = ".venv/lib/python3*/site-packages/comfyui_frontend_package/static"
	oldFrontend = ".old/comfyui_frontend_package/static"
)

// serveFrontend serves a front end with an extension. The first workflow is a file of the folder
// browser/workflows. With ClassicCache, as in ComfyUI, a node that sends a note runs again after
// another workflow.
func serveFrontend(t *testing.T, frontend, first string) *server {
	t.Helper()
	static, err := filepath.Glob(frontend)
	require.NoError(t, err)
	require.Len(t, static, 1)
	opts := comfy.Options{
		Frontend:   os.DirFS(static[0]),
		Extensions: map[string]fs.FS{"e2e": os.DirFS("browser/extension")},
	}
	if first != "" {
		opts.Workflow, err = os.ReadFile(filepath.Join("browser", "workflows", first))
		require.NoError(t, err)
	}
	return serve(t, flow.ClassicCache(), opts)
}

// TestFrontEnd uses every feature of the official front end that a person uses, with
// both of its renderers for nodes. It writes screenshots to the folder shots.
func TestFrontEnd(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"page", "canvas"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := serveFrontend(t, frontend, "")
			saw := run(t, "node", "browser/frontend.mjs", s.address, way, "shots")
			requireLines(t, filepath.Join("browser", "frontend.jsonl"), strings.NewReplacer(), saw)
		})
	}
}

// TestFrontEndVisits visits the official front end of today and of a year ago: for the first time and
// later, in two tabs at once, and to look through the jobs.
func TestFrontEndVisits(t *testing.T) {
	t.Parallel()
	for script, frontend := range map[string]string{"first": frontend, "tabs": frontend, "panel": frontend, "old": oldFrontend} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			s := serveFrontend(t, frontend, "picture.json")
			saw := run(t, "node", filepath.Join("browser", script+".mjs"), s.address, "shots")
			requireLines(t, filepath.Join("browser", script+".jsonl"), strings.NewReplacer(), saw)
		})
	}
}
