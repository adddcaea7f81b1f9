package main

import (
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/nodebus/nodebus/internal/leak"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// TestRunnersKeepTheOrder checks that each node runs once, after its predecessors.
func TestRunnersKeepTheOrder(t *testing.T) {
	for _, g := range []*graph{chain(50), wide(50), layered(300)} {
		for _, r := range runners() {
			t.Run(g.name+"/"+r.name, func(t *testing.T) {
				var mu sync.Mutex
				ran := map[int]int{}
				run, end := r.make(g, func(i int) {
					mu.Lock()
					defer mu.Unlock()
					for _, p := range g.pred[i] {
						require.Positive(t, ran[int(p)])
					}
					ran[i]++
				})
				defer end()
				for want := 1; want <= 2; want++ {
					run()
					require.Len(t, ran, g.n)
					for _, times := range ran {
						require.Equal(t, want, times)
					}
					if want == 1 && g.n > 100 {
						return // some peers are slow
					}
				}
			})
		}
	}
}

func TestMeasureAll(t *testing.T) {
	var out strings.Builder
	require.NoError(t, measureAll([]string{"-reps", "1", "-graphs", "chain:20,wide:20"}, &out))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 1+2*len(runners()))
	for _, l := range lines {
		require.Equal(t, strings.Count(header, ","), strings.Count(l, ","), l)
	}
	require.Error(t, measureAll([]string{"-graphs", "ring:3"}, &out))

	out.Reset()
	require.NoError(t, measureAll([]string{"-reps", "1", "-graphs", "chain:20", "-runners", "limit,nodebus"}, &out))
	require.Equal(t, 3, strings.Count(out.String(), "\n"))
	require.ErrorContains(t, measureAll([]string{"-runners", "limit,nodbus"}, &out), "nodbus")
}
