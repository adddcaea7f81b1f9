package nodebus_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// eventTypePattern matches a method EventType that returns a constant.
var eventTypePattern = regexp.MustCompile(`EventType\(\) string\s*\{\s*return "([^"]+)"`)

// TestDocsWire checks that docs/wire.md has a section for each standard payload, that the
// codec writes its examples, and that its tables name the keys of the examples.
func TestDocsWire(t *testing.T) {
	text, err := os.ReadFile("docs/wire.md")
	require.NoError(t, err)
	types := payloadTypes(t, string(text))
	types["feature_flags"] = true // a Custom of package comfy
	blocks, err := pageBlocks("docs/wire.md", string(text))
	require.NoError(t, err)
	examples := map[string]int{}
	for _, b := range blocks {
		where := fmt.Sprintf("%s:%d", b.page, b.line)
		switch {
		case b.lang == "json" && strings.Contains(b.code, `"nodebus.watch"`), b.lang == "json" && strings.Contains(b.code, `"nodebus.unwatch"`):
			requireRequest(t, b.code, where)
		case b.lang == "json":
			typ := requireTextExample(t, types, b.code, where)
			requireTable(t, string(text), typ, b.code, where)
			examples[typ]++
		case b.lang == "hex":
			examples[requireBinaryExample(t, b.code, where)]++
		default:
			continue
		}
	}
	for typ, standard := range types {
		require.True(t, !standard || examples[typ] > 0, "docs/wire.md has no example of %s", typ)
	}
}

// payloadTypes returns the event types in the files of this package and of fold, and whether they are
// standard types. The page must have a section for each standard type.
func payloadTypes(t *testing.T, page string) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	require.NoError(t, err)
	states, err := filepath.Glob("fold/*.go")
	require.NoError(t, err)
	paths = append(paths, states...)
	types := map[string]bool{}
	for _, path := range paths {
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, m := range eventTypePattern.FindAllStringSubmatch(string(source), -1) {
			if !strings.HasSuffix(path, "_test.go") {
				types[m[1]] = true
				require.Contains(t, page, "\n### `"+m[1]+"`\n", "docs/wire.md has no section for the type")
			}
		}
	}
	require.True(t, types[nodebus.Executed{}.EventType()])
	return types
}

// requireTextExample checks that a message is decoded to a standard payload and is
// encoded to the same JSON. It returns the event type.
func requireTextExample(t *testing.T, types map[string]bool, code, where string) string {
	t.Helper()
	ev, err := nodebus.JSON.Decode(nodebus.Frame{Data: []byte(code)})
	require.NoError(t, err, where)
	require.True(t, types[ev.Payload.EventType()], where)
	envelope := strings.Contains(code, `"cursor":`)
	require.True(t, envelope || !isExtension(ev.Payload), "%s: this type has an envelope", where)
	frame, err := nodebus.JSONCodec{Envelope: envelope}.Encode(ev)
	require.NoError(t, err)
	require.JSONEq(t, code, string(frame.Data), where)
	return frame.Type
}

// requireBinaryExample is the same for a binary frame.
func requireBinaryExample(t *testing.T, code, where string) string {
	t.Helper()
	data, err := hex.DecodeString(strings.Join(strings.Fields(code), ""))
	require.NoError(t, err, where)
	ev, err := nodebus.JSON.Decode(nodebus.Frame{Binary: true, Data: data})
	require.NoError(t, err, where)
	frame, err := nodebus.JSONCodec{Envelope: ev.Epoch != "", BarePreviews: true}.Encode(ev)
	require.NoError(t, err)
	require.True(t, frame.Binary)
	require.Equal(t, data, frame.Data, where)
	return frame.Type
}

// requireRequest checks that a session accepts a message of a client, and answers.
func requireRequest(t *testing.T, code, where string) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		h := nodebus.NewHub(nil)
		defer func() { _ = h.Close() }()
		got := &frameTape{}
		s := h.Join("me", &nodebus.SessionOptions{May: func(string) bool { return true }})
		go func() { _ = s.Serve(context.Background(), got) }()
		require.True(t, s.Receive([]byte(code)), where)
		synctest.Wait()
		require.Len(t, got.frames, 1, where)
		require.NotContains(t, string(got.frames[0].Data), `"error"`, where)
	})
}

var (
	rowPattern = regexp.MustCompile(`(?m)^\| (` + "`[^|]+`" + `) \|[^|]*\| ([^|]*) \|`)
	keyPattern = regexp.MustCompile("`([a-z_]+)[.`]")
)

// requireTable checks an example against the table of keys in the section of its type: the
// table names each key, and the example has each key that is always there.
func requireTable(t *testing.T, page, typ, code, where string) {
	t.Helper()
	_, section, found := strings.Cut(page, "\n### `"+typ+"`\n")
	require.True(t, found, where)
	section, _, _ = strings.Cut(section, "\n### ")
	var message struct{ Data map[string]any }
	require.NoError(t, json.Unmarshal([]byte(code), &message), where)
	named := map[string]bool{}
	for _, row := range rowPattern.FindAllStringSubmatch(section, -1) {
		for _, key := range keyPattern.FindAllStringSubmatch(row[1], -1) {
			named[key[1]] = true
			_, has := message.Data[key[1]]
			require.True(t, has || row[2] != "always", "%s: the example of %s has no %s", where, typ, key[1])
		}
	}
	for key := range message.Data {
		require.True(t, named[key], "%s: the table of %s has no %s", where, typ, key)
	}
}
