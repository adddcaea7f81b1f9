//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestFrontEndClasses shows that the official front end reads what classes say about
// themselves: replacements, help, badges and search words.
func TestFrontEndClasses(t *testing.T) {
	t.Parallel()
	static, err := filepath.Glob(frontend)
	require.NoError(t, err)
	require.Len(t, static, 1)
	s := serve(t, flow.ClassicCache(), comfy.Options{Frontend: os.DirFS(static[0])})
	saw := run(t, "node", "browser/classes.mjs", s.address, "shots")
	requireLines(t, filepath.Join("browser", "classes.jsonl"), strings.NewReplacer(), saw)
}
