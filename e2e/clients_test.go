//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// repeats is a flag because a client that does not listen yet is a matter of chance.
var repeats = flag.Int("repeat", 1, "how often each client runs; a client that hangs once in twenty runs shows with 20")

// TestClients runs each client with the same graphs. A file beside the client lists
// the expected observations, one line for each scenario.
func TestClients(t *testing.T) {
	for _, c := range []struct {
		command, script, want string
	}{
		{"node", "saintno.mjs", "saintno.jsonl"},
		{"node", "comfy-ui-client.mjs", "comfy-ui-client.jsonl"},
		{"node", "stable-canvas.mjs", "stable-canvas.jsonl"},
		{".venv/bin/python", "plain.py", "plain.jsonl"},
	} {
		t.Run(c.script, func(t *testing.T) {
			t.Parallel()
			for range *repeats {
				follow(t, c.command, filepath.Join("clients", c.script), filepath.Join("clients", c.want))
			}
		})
	}
}

// follow runs a client of the graphs on a server of its own, and compares what it saw.
func follow(t *testing.T, command, script, want string) {
	t.Helper()
	logs := comfy.NewLogs()
	_, _ = logs.Write([]byte("ready\n"))
	s := serve(t, flow.NewCache(nil), comfy.Options{Logs: logs})
	saw := run(t, command, script, s.address)
	pictures, err := filepath.Glob(filepath.Join(s.output, "*"))
	require.NoError(t, err)
	require.Len(t, pictures, 1, "a cached node does not save its picture again")
	picture, err := os.ReadFile(pictures[0])
	require.NoError(t, err)
	sum := sha256.Sum256(picture)

	requireLines(t, want, strings.NewReplacer("SHA256", hex.EncodeToString(sum[:])), saw)
}
