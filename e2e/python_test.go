//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

var pause = flag.Duration("pause", 0, "how long the bots of TestBots wait between two prompts; the long form has 70s")

// TestPythonClients runs packages from PyPI that control a server: a command line, a wrapper
// that connects late, a package that makes Python functions from the classes of nodes, and
// an SDK with a proxy of its own in front of the server. A file beside each lists the expected
// observations. Each of them saves one picture only, because a cached node does not save its
// picture again.
func TestPythonClients(t *testing.T) {
	for _, name := range []string{"comfycli", "simplified", "comfyscript", "comfysdk"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, flow.NewCache(nil), comfy.Options{})
			saw := run(t, ".venv/bin/python", filepath.Join("clients", name+".py"), s.address)
			pictures, err := filepath.Glob(filepath.Join(s.output, "*"))
			require.NoError(t, err)
			require.Len(t, pictures, 1)
			picture, err := os.ReadFile(pictures[0])
			require.NoError(t, err)
			sum := sha256.Sum256(picture)
			requireLines(t, filepath.Join("clients", name+".jsonl"), strings.NewReplacer("SHA256", hex.EncodeToString(sum[:])), saw)
		})
	}
}

// TestBots runs bots that keep one socket for all their prompts. Each of them gets each
// message of each prompt once, whether it reads during the pauses or not, and whether it
// answers pings or not.
func TestBots(t *testing.T) {
	t.Parallel()
	s := serve(t, flow.NewCache(nil), comfy.Options{})
	saw := run(t, ".venv/bin/python", filepath.Join("clients", "bot.py"), s.address, fmt.Sprint(pause.Seconds()))
	requireLines(t, filepath.Join("clients", "bot.jsonl"), strings.NewReplacer(), saw)
}
