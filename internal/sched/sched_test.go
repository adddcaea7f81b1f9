package sched_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/nodebus/nodebus/internal/sched"
	"github.com/stretchr/testify/require"
)

// graph is a random acyclic graph: needs[i] lists the sources of i, all larger than i.
type graph struct {
	needs  [][]int32
	root   []bool
	urgent []bool
}

func randomGraph(r *rand.Rand, n int) graph {
	g := graph{make([][]int32, n), make([]bool, n), make([]bool, n)}
	for i := range n {
		g.root[i] = r.IntN(6) == 0
		g.urgent[i] = r.IntN(10) == 0
		for range r.IntN(4) {
			if i+1 < n {
				g.needs[i] = append(g.needs[i], int32(i+1+r.IntN(n-i-1)))
			}
		}
	}
	return g
}

func build(g graph) *sched.Sched {
	s := &sched.Sched{}
	fill(s, g)
	return s
}

// fill adds a graph to an empty Sched.
func fill(s *sched.Sched, g graph) {
	links := 0
	for _, from := range g.needs {
		links += len(from)
	}
	s.Reserve(len(g.needs), links)
	for i := range g.needs {
		s.Add(int32(i), g.root[i], g.urgent[i])
	}
	for i, from := range g.needs {
		for _, f := range from {
			s.Link(f, int32(i))
		}
	}
	for i := range g.needs {
		s.Open(int32(i))
	}
}

// naive picks a node by a direct translation of the rule in the package comment.
func naive(g graph, gone, out []bool) int32 {
	ready := func(i int) bool {
		return !gone[i] && !out[i] && !slices.ContainsFunc(g.needs[i], func(f int32) bool { return !gone[f] })
	}
	feeds := func(i int, is func(int) bool) bool {
		for to := range g.needs {
			if slices.Contains(g.needs[to], int32(i)) && is(to) {
				return true
			}
		}
		return false
	}
	root := func(i int) bool { return g.root[i] }
	rules := []func(int) bool{
		func(i int) bool { return g.root[i] || g.urgent[i] },
		func(i int) bool { return feeds(i, root) },
		func(i int) bool { return feeds(i, func(to int) bool { return feeds(to, root) }) },
		func(int) bool { return true },
	}
	for _, rule := range rules {
		for i := range g.needs {
			if ready(i) && rule(i) {
				return int32(i)
			}
		}
	}
	return -1
}

func TestOrderIsTheRulesOrder(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		g := randomGraph(r, 1+r.IntN(40))
		checkOrder(t, r, build(g), g, seed)
	}
}

// TestResetSchedIsLikeNew uses one Sched for many graphs of different sizes, and leaves
// some of them at any point.
func TestResetSchedIsLikeNew(t *testing.T) {
	var s sched.Sched
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		g := randomGraph(r, 1+r.IntN(300))
		fill(&s, g)
		for range r.IntN(len(g.needs)) {
			if i, ok := s.Next(); ok && r.IntN(4) > 0 {
				s.Done(i)
			}
		}
		s.Reset()
		require.Zero(t, s.Ready())
		require.Zero(t, s.Pending())
		g = randomGraph(r, 1+r.IntN(40))
		fill(&s, g)
		checkOrder(t, r, &s, g, seed)
		s.Reset()
	}
	g := randomGraph(rand.New(rand.NewPCG(1, 3)), 300)
	fill(&s, g)
	require.Zero(t, testing.AllocsPerRun(5, func() {
		s.Reset()
		fill(&s, g)
	}))
}

// checkOrder runs g, which s contains, and compares the order with naive.
func checkOrder(t *testing.T, r *rand.Rand, s *sched.Sched, g graph, seed uint64) {
	t.Helper()
	gone, out := make([]bool, len(g.needs)), make([]bool, len(g.needs))
	var running []int32
	for s.Pending() > 0 {
		want := naive(g, gone, out)
		got, ok := s.Next()
		require.Equal(t, want >= 0, ok, "seed %d", seed)
		if ok {
			require.Equal(t, want, got, "seed %d", seed)
			out[got] = true
			running = append(running, got)
		}
		if !ok || r.IntN(2) == 0 { // end a random running node
			k := r.IntN(len(running))
			i := running[k]
			running = slices.Delete(running, k, k+1)
			s.Done(i)
			gone[i], out[i] = true, false
			require.True(t, s.IsDone(i))
		}
	}
	require.Zero(t, s.Ready())
	require.Nil(t, s.Cycle())
}

func TestAgainWaitsForMoreAndKeepsItsPlace(t *testing.T) {
	var s sched.Sched
	s.Add(0, true, false)
	s.Add(1, false, false)
	s.Open(0)
	s.Open(1)
	i, _ := s.Next()
	require.Equal(t, int32(0), i)
	s.Again(0) // node 0 turns out to need node 2
	require.True(t, s.Add(2, false, false))
	require.False(t, s.Add(2, false, false))
	require.False(t, s.IsDone(2))
	require.True(t, s.Added(2))
	require.False(t, s.Added(9))
	s.Link(2, 0)
	s.Open(2)
	s.Open(0)
	i, _ = s.Next()
	require.Equal(t, int32(2), i, "it feeds a root now, so it goes before node 1")
	s.Done(2)
	i, _ = s.Next()
	require.Equal(t, int32(0), i)
	s.Again(0)
	s.Link(2, 0) // done already
	s.Open(0)
	i, _ = s.Next()
	require.Equal(t, int32(0), i)
	s.Done(0)
}

func TestStandInWaitsInANodesPlace(t *testing.T) {
	var s sched.Sched
	for i := range int32(3) {
		s.Add(i, false, false)
	}
	s.Open(0)
	s.Open(1)
	i, _ := s.Next()
	require.Equal(t, int32(0), i)
	s.StandIn(3, 0) // node 0 asks for node 2
	s.Link(2, 3)
	s.Open(3)
	s.StandIn(4, 0) // another goroutine of node 0 asks for node 2, too
	s.Link(2, 4)
	s.Open(4)
	s.Open(2)
	require.Equal(t, 5, s.Pending())
	i, _ = s.Next()
	require.Equal(t, int32(1), i)
	j, _ := s.Next()
	require.Equal(t, int32(2), j)
	s.Done(2)
	i, _ = s.Next()
	require.Equal(t, int32(3), i, "in the place of 0")
	s.Done(3)
	i, _ = s.Next()
	require.Equal(t, int32(4), i)
	s.Done(4)
	_, ok := s.Next()
	require.False(t, ok)
	s.Again(0) // node 0 is again an ordinary node
	s.Open(0)
	i, _ = s.Next()
	require.Equal(t, int32(0), i)
	s.Done(0)
	s.Done(1)
	require.Zero(t, s.Pending())
}

func TestCycleThroughAStandIn(t *testing.T) {
	var s sched.Sched
	s.Add(0, false, false)
	s.Open(0)
	s.Next()
	s.Add(1, false, false) // node 1 needs node 0, and node 0 asks for node 1
	s.Link(0, 1)
	s.Open(1)
	s.StandIn(2, 0)
	s.Link(1, 2)
	s.Open(2)
	_, ok := s.Next()
	require.False(t, ok)
	require.ElementsMatch(t, []int32{0, 1, 2}, s.Cycle())
}

func TestReadyNodeIsPromotedByANewConsumer(t *testing.T) {
	var s sched.Sched
	s.Add(0, false, false)
	s.Add(1, false, false)
	s.Open(0)
	s.Open(1)
	s.Add(2, true, false)
	s.Link(1, 2)
	s.Open(2)
	i, _ := s.Next()
	require.Equal(t, int32(1), i)
}

func TestCycleIsARing(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		n := 2 + r.IntN(30)
		g := randomGraph(r, n)
		for range r.IntN(3) { // a backward edge, which may close a ring
			from := r.IntN(n)
			to := n - 1 - r.IntN(n-from)
			g.needs[to] = append(g.needs[to], int32(from))
		}
		s := build(g)
		for {
			i, ok := s.Next()
			if !ok {
				break
			}
			s.Done(i)
		}
		ring := s.Cycle()
		require.Equal(t, s.Pending() > 0, ring != nil, "seed %d", seed)
		for k, i := range ring {
			next := ring[(k+1)%len(ring)]
			require.Contains(t, g.needs[next], i, "seed %d: %v", seed, ring)
		}
	}
}

// TestFailedNodesTakeTheirConsumersAlong lets random nodes fail and compares which nodes run
// with a walk over the graph.
func TestFailedNodesTakeTheirConsumersAlong(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 4))
		g := randomGraph(r, 1+r.IntN(40))
		fails := make([]bool, len(g.needs))
		lost := make([]bool, len(g.needs)) // sources are larger than their consumers
		for i := len(fails) - 1; i >= 0; i-- {
			fails[i] = r.IntN(8) == 0
			lost[i] = slices.ContainsFunc(g.needs[i], func(from int32) bool { return lost[from] || fails[from] })
		}
		s := build(g)
		ran, dropped := make([]bool, len(fails)), make([]bool, len(fails))
		for {
			i, ok := s.Next()
			if !ok {
				break
			}
			require.False(t, ran[i] || dropped[i])
			if ran[i] = true; !fails[i] {
				s.Done(i)
				continue
			}
			s.Fail(i, func(i int32) bool {
				require.False(t, ran[i] || dropped[i], "once for each node")
				dropped[i] = true
				return true
			})
		}
		require.Zero(t, s.Pending(), "seed %d", seed)
		require.Equal(t, lost, dropped, "seed %d", seed)
		for i := range ran {
			require.Equal(t, !lost[i], ran[i], "seed %d", seed)
		}
	}
}

// TestFailReleasesAStandIn: what is not dropped runs, as after Done.
func TestFailReleasesAStandIn(t *testing.T) {
	var s sched.Sched
	s.Add(0, true, false)
	s.Open(0)
	s.Next()
	s.Add(1, false, false) // node 0 asks for node 1, which fails
	s.StandIn(2, 0)
	s.Link(1, 2)
	s.Open(2)
	s.Open(1)
	i, _ := s.Next()
	require.Equal(t, int32(1), i)
	s.Fail(1, func(i int32) bool { require.Equal(t, int32(2), i); return false })
	i, ok := s.Next()
	require.True(t, ok)
	require.Equal(t, int32(2), i)
	s.Done(2)
	s.Fail(0, nil)
	require.Zero(t, s.Pending())
}

func TestManyNodes(t *testing.T) {
	var s sched.Sched
	const n = 300_000 // needs four levels in the bitset
	for i := range int32(n) {
		s.Add(i, false, false)
		s.Open(i)
	}
	for want := range int32(n) {
		i, ok := s.Next()
		require.True(t, ok)
		require.Equal(t, want, i)
		s.Done(i)
	}
}

func BenchmarkSched(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		for name, link := range map[string]func(s *sched.Sched){
			"chain": func(s *sched.Sched) {
				for i := range int32(n - 1) {
					s.Link(i+1, i)
				}
			},
			"wide": func(s *sched.Sched) {
				for i := range int32(n - 1) {
					s.Link(i+1, 0)
				}
			},
		} {
			b.Run(name+"-"+strconv.Itoa(n), func(b *testing.B) {
				for b.Loop() {
					var s sched.Sched
					s.Reserve(n, n)
					for i := range int32(n) {
						s.Add(i, i == 0, false)
					}
					link(&s)
					for i := range int32(n) {
						s.Open(i)
					}
					for i, ok := s.Next(); ok; i, ok = s.Next() {
						s.Done(i)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/node")
			})
		}
	}
}
