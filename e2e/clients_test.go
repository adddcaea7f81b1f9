//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestClients runs each client with the same graphs. A file beside the client lists
// the expected observations, one line for each scenario.
func TestClients(t *testing.T) {
	for _, c := range []struct{ command, script, want string }{
		{"node", "saintno.mjs", "saintno.jsonl"},
		{"node", "comfy-ui-client.mjs", "comfy-ui-client.jsonl"},
		{".venv/bin/python", "plain.py", "plain.jsonl"},
	} {
		t.Run(c.script, func(t *testing.T) {
			s := serve(t, flow.NewCache(nil), comfy.Options{})
			saw := run(t, c.command, filepath.Join("clients", c.script), s.address)
			pictures, err := filepath.Glob(filepath.Join(s.output, "*"))
			require.NoError(t, err)
			require.Len(t, pictures, 1, "a cached node does not save its picture again")
			picture, err := os.ReadFile(pictures[0])
			require.NoError(t, err)
			sum := sha256.Sum256(picture)

			requireLines(t, filepath.Join("clients", c.want), strings.NewReplacer("SHA256", hex.EncodeToString(sum[:])), saw)
		})
	}
}
