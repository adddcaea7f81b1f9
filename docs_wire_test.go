package nodebus_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// eventTypePattern matches a method EventType that returns a constant.
var eventTypePattern = regexp.MustCompile(`EventType\(\) string\s*\{\s*return "([^"]+)"`)

// TestDocsWire checks that docs/wire.md has a section for each standard payload, and
// that the codec writes its examples.
func TestDocsWire(t *testing.T) {
	text, err := os.ReadFile("docs/wire.md")
	require.NoError(t, err)
	paths, err := filepath.Glob("*.go")
	require.NoError(t, err)
	types := map[string]bool{}
	for _, path := range paths {
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, m := range eventTypePattern.FindAllStringSubmatch(string(source), -1) {
			if types[m[1]] = !strings.HasSuffix(path, "_test.go"); types[m[1]] {
				require.Contains(t, string(text), "\n### `"+m[1]+"`\n", "docs/wire.md has no section for the type")
			}
		}
	}
	require.True(t, types[nodebus.Executed{}.EventType()])
	types["feature_flags"] = true // a Custom of package comfy
	blocks, err := pageBlocks("docs/wire.md", string(text))
	require.NoError(t, err)
	examples := 0
	for _, b := range blocks {
		switch b.lang {
		case "json":
			requireTextExample(t, types, b)
		case "hex":
			requireBinaryExample(t, b)
		default:
			continue
		}
		examples++
	}
	require.Greater(t, examples, 12)
}

// requireTextExample checks that a message is decoded to a standard payload and is
// encoded to the same JSON.
func requireTextExample(t *testing.T, types map[string]bool, b block) {
	t.Helper()
	ev, err := nodebus.JSON.Decode(nodebus.Frame{Data: []byte(b.code)})
	require.NoError(t, err, "%s:%d", b.page, b.line)
	require.True(t, types[ev.Payload.EventType()], "%s:%d", b.page, b.line)
	frame, err := nodebus.JSONCodec{Envelope: strings.Contains(b.code, `"id":`)}.Encode(ev)
	require.NoError(t, err)
	require.True(t, json.Valid(frame.Data))
	require.JSONEq(t, b.code, string(frame.Data), "%s:%d", b.page, b.line)
}

// requireBinaryExample is the same for a binary frame.
func requireBinaryExample(t *testing.T, b block) {
	t.Helper()
	data, err := hex.DecodeString(strings.Join(strings.Fields(b.code), ""))
	require.NoError(t, err, "%s:%d", b.page, b.line)
	ev, err := nodebus.JSON.Decode(nodebus.Frame{Binary: true, Data: data})
	require.NoError(t, err, "%s:%d", b.page, b.line)
	frame, err := nodebus.JSONCodec{BarePreviews: true}.Encode(ev)
	require.NoError(t, err)
	require.True(t, frame.Binary)
	require.Equal(t, data, frame.Data, "%s:%d", b.page, b.line)
}
