package flow_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// Execution semantics, section 4.4: every node that depends on itself has a problem
// that shows a cycle.

// ringGraph returns a graph of nodes named 0, 1, … with up to two sources each, and
// an output node that needs node 0.
func ringGraph(sources [][]int) nodebus.Nodes {
	g := nodebus.NewGraph()
	for i, from := range sources {
		inputs := in{"a": 1, "b": 1}
		for k, s := range from {
			inputs[[]string{"a", "b"}[k]] = nodebus.Link{Node: fmt.Sprint(s)}
		}
		g.AddAs(fmt.Sprint(i), "Add", inputs)
	}
	g.AddAs("o", "Show", in{"in": nodebus.Link{Node: "0"}})
	return g.Nodes()
}

// ringsTold returns the reported cycle of each node.
func ringsTold(t *testing.T, ve *nodebus.ValidationError) map[string]string {
	told := map[string]string{}
	for id, n := range ve.Nodes {
		require.Len(t, n.Errors, 1, "node %s has one problem", id)
		require.Equal(t, "dependency_cycle", n.Errors[0].Type)
		require.Equal(t, []string{"o"}, n.DependentOutputs)
		told[id] = strings.ReplaceAll(n.Errors[0].Details, " (Add)", "")
	}
	return told
}

func TestSection44EveryNodeOfARingIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		sources [][]int
		want    map[string]string
	}{
		"two ways around": {
			[][]int{{1, 3}, {2}, {0}, {2}},
			map[string]string{"0": "0 -> 1 -> 2 -> 0", "1": "1 -> 2 -> 0 -> 1", "2": "2 -> 0 -> 1 -> 2", "3": "3 -> 2 -> 0 -> 3"},
		},
		"two rings through one node": {
			[][]int{{1, 2}, {0}, {0}},
			map[string]string{"0": "0 -> 2 -> 0", "1": "1 -> 0 -> 1", "2": "2 -> 0 -> 2"},
		},
		"one ring before another": {
			[][]int{{1}, {0, 2}, {3}, {2}},
			map[string]string{"0": "0 -> 1 -> 0", "1": "1 -> 0 -> 1", "2": "2 -> 3 -> 2", "3": "3 -> 2 -> 3"},
		},
		"nodes before and after a ring": {
			[][]int{{1}, {2}, {1, 3}, {}},
			map[string]string{"1": "1 -> 2 -> 1", "2": "2 -> 1 -> 2"},
		},
		"a node linked to itself": {
			[][]int{{0, 1}, {}},
			map[string]string{"0": "0 -> 0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, ve := validate(t, ringGraph(c.sources))
			require.NotNil(t, ve)
			require.Equal(t, c.want, ringsTold(t, ve))
		})
	}
}

// TestSection44RingsOfAnyGraph checks in random graphs that exactly the nodes that
// depend on themselves have a problem, and that the problem shows a cycle through
// the node.
func TestSection44RingsOfAnyGraph(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 4))
	for range 2000 {
		sources := make([][]int, 1+rnd.IntN(9))
		for i := range sources {
			for range rnd.IntN(3) {
				sources[i] = append(sources[i], rnd.IntN(len(sources)))
			}
		}
		needed := upstream(sources, 0)
		needed[0] = true
		_, ve := validate(t, ringGraph(sources))
		told := map[string]string{}
		if ve != nil {
			told = ringsTold(t, ve)
		}
		for i := range sources {
			ring, is := told[fmt.Sprint(i)]
			require.Equal(t, needed[i] && upstream(sources, i)[i], is, "%v: node %d", sources, i)
			if is {
				requireRing(t, sources, i, ring)
			}
		}
	}
}

// upstream returns the nodes that node i depends on.
func upstream(sources [][]int, i int) map[int]bool {
	seen := map[int]bool{}
	walk := []int{i}
	for len(walk) > 0 {
		for _, s := range sources[walk[0]] {
			if !seen[s] {
				seen[s] = true
				walk = append(walk, s)
			}
		}
		walk = walk[1:]
	}
	return seen
}

func requireRing(t *testing.T, sources [][]int, i int, ring string) {
	t.Helper()
	var at []int
	for id := range strings.SplitSeq(ring, " -> ") {
		var n int
		_, err := fmt.Sscan(id, &n)
		require.NoError(t, err)
		if len(at) > 0 {
			require.True(t, slices.Contains(sources[at[len(at)-1]], n), "%v: no link in %s to %d", sources, ring, n)
		}
		at = append(at, n)
	}
	require.Equal(t, []int{i, i}, []int{at[0], at[len(at)-1]}, "%v: %s", sources, ring)
	slices.Sort(at[1:])
	require.Len(t, slices.Compact(at[1:]), len(at)-1, "%v: %s contains a node twice", sources, ring)
}

func TestSection44LongRings(t *testing.T) {
	ringOf := func(n int) (sources [][]int) {
		for i := range n {
			sources = append(sources, []int{(i + 1) % n})
		}
		return sources
	}
	_, ve := validate(t, ringGraph(ringOf(32)))
	for i := range 32 {
		requireRing(t, ringOf(32), i, ringsTold(t, ve)[fmt.Sprint(i)])
	}
	_, ve = validate(t, ringGraph(ringOf(50)))
	told := ringsTold(t, ve)
	require.Equal(t, "20 -> 21 -> 22 -> 23 -> … -> 16 -> 17 -> 18 -> 19 -> 20", told["20"])
	require.Equal(t, "49 -> 0 -> … -> 45 -> 46 -> 47 -> 48 -> 49", told["49"])
	require.Equal(t, "0 -> 1 -> 2 -> 3 -> … -> 0", told["0"])
	require.Equal(t, []string{"0", "1", "2", "3"}, ve.Nodes["0"].Errors[0].Extra["cycle_nodes"])
}

// TestSection44ManyRings checks that the error has a limit, for any number of cycles, and
// says how many nodes it leaves out.
func TestSection44ManyRings(t *testing.T) {
	const n = 4000
	for name, source := range map[string]func(i int) []int{
		"all through one node":      func(i int) []int { return []int{(i + 1) % n, 0} },
		"all through the last node": func(i int) []int { return []int{(i + 1) % n, n - 1} },
		"each within another":       func(i int) []int { return []int{(i + 1) % n, max(i-1, 0)} },
	} {
		t.Run(name, func(t *testing.T) {
			sources := make([][]int, n)
			for i := range sources {
				sources[i] = source(i)
			}
			_, ve := validate(t, ringGraph(sources))
			require.Len(t, ringsTold(t, ve), 1000)
			require.Equal(t, n-1000, ve.Extra["more_nodes"])
			enc, err := json.Marshal(ve)
			require.NoError(t, err)
			require.Less(t, len(enc), 2_000_000)
		})
	}
	id := strings.Repeat("long", n) // the id appears in the cycles of many nodes
	g := nodebus.NewGraph()
	last := g.Link(id)
	for range 1000 {
		last = g.Add("Add", in{"a": last, "b": g.Link(id)})
	}
	g.AddAs(id, "Add", in{"a": last, "b": 1})
	g.AddAs("o", "Show", in{"in": last})
	_, ve := validate(t, g.Nodes())
	require.Len(t, ve.Nodes, 1000)
	require.Equal(t, 1, ve.Extra["more_nodes"])
	enc, err := json.Marshal(ve)
	require.NoError(t, err)
	require.Less(t, len(enc), 4_000_000)
}
