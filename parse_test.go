package nodebus_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// allocated returns the memory that f allocates, in bytes.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

func tooLarge(t *testing.T, err error) *nodebus.ValidationError {
	t.Helper()
	var invalid *nodebus.ValidationError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "prompt_too_large", invalid.Type)
	return invalid
}

// TestParseNodesTooMany checks that reading stops at the limit: the work does not depend
// on how many nodes follow.
func TestParseNodesTooMany(t *testing.T) {
	graph := func(n int) []byte {
		return []byte("{" + strings.Repeat(`"x":{"class_type":"A","inputs":{}},`, n-1) + `"y":{}}`)
	}
	nodes, err := nodebus.ParseNodesWithin(graph(10), &nodebus.ParseOptions{Nodes: 10})
	require.NoError(t, err)
	require.Len(t, nodes, 10)

	_, err = nodebus.ParseNodesWithin(graph(11), &nodebus.ParseOptions{Nodes: 10})
	require.Equal(t, "The prompt has too many nodes", tooLarge(t, err).Message)
	require.EqualError(t, err, "nodebus: The prompt has too many nodes: more than 10 nodes; raise the limit, or split the prompt")

	many := graph(200_000)
	_, err = nodebus.ParseNodes(many)
	require.Contains(t, tooLarge(t, err).Details, "more than 100000 nodes")
	few := allocated(func() { _, err = nodebus.ParseNodesWithin(many, &nodebus.ParseOptions{Nodes: 10}) })
	require.NotNil(t, tooLarge(t, err))
	require.Less(t, few, 1<<20)
}

// TestParseNodesTooMuchMemory parses short JSON of values that take much more memory than
// their text.
func TestParseNodesTooMuchMemory(t *testing.T) {
	for name, value := range map[string]string{"lists": "[]", "objects": "{}", "small objects": `{"":0}`, "strings": `""`, "digits": "0"} {
		body := strings.Repeat(value+",", 8<<20/(len(value)+1)) + "0"
		for where, graph := range map[string]string{
			"an input":         `{"1":{"class_type":"A","inputs":{"x":[` + body + `]}}}`,
			"a nested input":   `{"1":{"class_type":"A","inputs":{"x":{"y":[[` + body + `]]}}}}`,
			"_meta":            `{"1":{"class_type":"A","inputs":{},"_meta":[` + body + `]}}`,
			"the class":        `{"1":{"class_type":[` + body + `],"inputs":{}}}`,
			"an unknown entry": `{"1":{"class_type":"A","inputs":{},"x":[` + body + `]}}`,
		} {
			t.Run(name+" in "+where, func(t *testing.T) {
				var err error
				used := allocated(func() {
					_, err = nodebus.ParseNodesWithin([]byte(graph), &nodebus.ParseOptions{Bytes: 4 << 20})
				})
				require.Equal(t, "The prompt needs too much memory", tooLarge(t, err).Message)
				require.Contains(t, err.Error(), fmt.Sprintf("more than %d bytes after decoding, from %d bytes of JSON; raise the limit, or submit less", 4<<20, len(graph)))
				require.Less(t, used, 10<<20, "a copy of the JSON, at most")
			})
		}
	}
}

// TestParseNodesDefaultMemory checks that the default limit admits a large graph and
// refuses the attack.
func TestParseNodesDefaultMemory(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{`)
	for i := range 99_999 {
		fmt.Fprintf(&b, `"%d":{"class_type":"Blend","inputs":{"a":["%d",0],"b":["%d",1],"amount":0.25,"mode":"soft"}},`, i, i+1, i+1)
	}
	b.WriteString(`"99999":{"class_type":"Load","inputs":{}}}`)
	nodes, err := nodebus.ParseNodes([]byte(b.String()))
	require.NoError(t, err)
	require.Len(t, nodes, 100_000)

	attack := []byte(`{"1":{"class_type":"A","inputs":{"x":[` + strings.Repeat("[],", 20<<20/3) + `0]}}}`)
	used := allocated(func() { _, err = nodebus.ParseNodes(attack) })
	require.NotNil(t, tooLarge(t, err))
	require.Less(t, used, 10<<20)
}

// TestNodesHaveNoLimitsWhenReadAgain checks that a queue or a store can read what a
// program with higher limits has accepted.
func TestNodesHaveNoLimitsWhenReadAgain(t *testing.T) {
	graph := []byte("{" + strings.Repeat(`"x":{"class_type":"A","inputs":{}},`, 100_000) + `"y":{}}`)
	var nodes nodebus.Nodes
	require.NoError(t, json.Unmarshal(graph, &nodes))
	require.Len(t, nodes, 100_001)
}
