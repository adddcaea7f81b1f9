package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSummary(t *testing.T) {
	for _, c := range []struct{ kind, in, want string }{
		{"ws", `kind,clients,rep,phase,deliveries,lost,cpu_s_per_M
us,2,0,idle,2,0,rss=10,goroutines=2.00
us,2,0,blast,100,0,0.3
raw-shard,2,0,blast,100,0,0.1
us,2,1,blast,100,0,0.5
raw-shard,2,1,blast,100,0,0.3
`, `
idle, 2 clients

| peer | runs | rss | goroutines |
|---|--:|--:|--:|
| us | 1 | 10.0 | 2.00 |

blast, 2 clients

| peer | runs | deliveries | lost | cpu_s_per_M | × limit |
|---|--:|--:|--:|--:|--:|
| us | 2 | 100 | 0 | 0.400 (0.300–0.500) | 2.00 |
| raw-shard | 2 | 100 | 0 | 0.200 (0.100–0.300) | 1.00 |
`},
		{"dag", `runner,graph,nodes,edges,rep,build_ns_node,cpu_ns_node
limit-observed,chain,3,2,0,1,100
us,chain,3,2,0,1,12345
`, `
chain, 3 nodes, 2 edges

| peer | runs | build_ns_node | cpu_ns_node | × limit |
|---|--:|--:|--:|--:|
| limit-observed | 1 | 1.00 | 100 | 1.00 |
| us | 1 | 1.00 | 12 k | 123.45 |
`},
		{"bench", `goos: linux
BenchmarkX/size=1/peer=limit-2   100   10 ns/op   5 cpu-ns/op
BenchmarkX/size=1/peer=us-2      100   30 ns/op   2000000 cpu-ns/op
PASS
`, `
BenchmarkX size=1

| peer | runs | ns/op | cpu-ns/op | × limit |
|---|--:|--:|--:|--:|
| limit | 1 | 10.0 | 5.00 | 1.00 |
| us | 1 | 30.0 | 2.00 M | 400000.00 |
`},
	} {
		t.Run(c.kind, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "in")
			require.NoError(t, os.WriteFile(file, []byte(c.in), 0o600))
			var out strings.Builder
			require.NoError(t, run([]string{c.kind, file}, &out))
			require.Equal(t, c.want, out.String())
		})
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{nil, {"ws"}, {"other", "file"}, {"ws", "no such file"}} {
		require.Error(t, run(args, &strings.Builder{}), args)
	}
}
