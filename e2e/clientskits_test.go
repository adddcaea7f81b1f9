//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestKits runs clients that bring their own graphs. A file beside each lists the expected
// observations.
func TestKits(t *testing.T) {
	for _, name := range []string{"comfyui-utils", "comfykit-runs"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range *repeats {
				s := serve(t, flow.NewCache(nil), comfy.Options{})
				saw := run(t, ".venv/bin/python", filepath.Join("clients", name+".py"), s.address)
				var sums []string
				for i := 1; ; i++ {
					picture, err := os.ReadFile(filepath.Join(s.output, fmt.Sprintf("picture_%05d_.png", i)))
					if os.IsNotExist(err) {
						break
					}
					require.NoError(t, err)
					sum := sha256.Sum256(picture)
					sums = append(sums, fmt.Sprint("SHA256-", i), hex.EncodeToString(sum[:]))
				}
				requireLines(t, filepath.Join("clients", name+".jsonl"), strings.NewReplacer(sums...), saw)
			}
		})
	}
}
