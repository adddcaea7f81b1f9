package main

import (
	"os"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/internal/leak"
	"github.com/nodebus/nodebus/nodetest"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

func TestRun(t *testing.T) {
	var out strings.Builder
	run(&out)
	require.Equal(t, `node 7: 1 of 5
node 7: 2 of 5
node 7: 3 of 5
node 7 found "ee" in line 4
node 7: 4 of 5
node 7: 5 of 5
shown: ["ee" stands in 1 of 5 lines]
success <nil>
`, out.String())
}

// TestSearch shows how the author of a node tests the node without an engine.
func TestSearch(t *testing.T) {
	rec := nodetest.New(t, &nodetest.Options{UniqueID: "3"})
	hits, err := Search{Title: "x", Word: "a", library: shelf{"x": "a\nb\nab"}}.Run(rec.Context())
	require.NoError(t, err)
	require.Equal(t, 2, hits.Count)
	require.Equal(t, []Found{{"3", "a", 1}, {"3", "a", 3}}, nodetest.Sent[Found](rec))
}
