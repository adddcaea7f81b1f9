package sched_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nodebus/nodebus/internal/sched"
	"github.com/stretchr/testify/require"
)

// lazyRun runs a graph whose nodes ask for some of their sources only when they run, with
// one worker. It keeps the schedule a second time in plain lists, for naive.
type lazyRun struct {
	s     sched.Sched
	asks  [][]int32 // by node: the sources that the node still asks for
	all   graph     // by node: the sources that the node needs from the start
	plain graph     // by node: the sources of all, and what the node has asked for so far
	order []int32   // the nodes in the order in which they were added
	gone  []bool
	next  int32           // the next stand-in
	waits map[int32]int32 // the waiting node of each stand-in
}

// need adds node i and what it needs.
func (l *lazyRun) need(i int32) {
	var added []int32
	stack := []int32{i}
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !l.s.Add(i, l.all.root[i], l.all.urgent[i]) {
			continue
		}
		added = append(added, i)
		l.order = append(l.order, i)
		for _, from := range l.all.needs[i] {
			l.s.Link(from, i)
			l.plain.needs[i] = append(l.plain.needs[i], from)
			stack = append(stack, from)
		}
	}
	for _, i := range added {
		l.s.Open(i)
	}
}

// run runs node i until it asks for a source that is not done, or ends.
func (l *lazyRun) run(i int32) {
	for len(l.asks[i]) > 0 {
		from := l.asks[i][0]
		l.asks[i] = l.asks[i][1:]
		if l.gone[from] {
			continue
		}
		l.need(from)
		l.s.StandIn(l.next, i)
		l.s.Link(from, l.next)
		l.s.Open(l.next)
		l.waits[l.next] = i
		l.next++
		l.plain.needs[i] = append(l.plain.needs[i], from)
		return
	}
	l.s.Done(i)
	l.gone[i] = true
}

// want returns the node that must run next.
func (l *lazyRun) want() int32 {
	n := len(l.order)
	g := graph{make([][]int32, n), make([]bool, n), make([]bool, n)}
	gone := make([]bool, n)
	for p, i := range l.order {
		g.root[p], g.urgent[p], gone[p] = l.all.root[i], l.all.urgent[i], l.gone[i]
		for _, from := range l.plain.needs[i] {
			g.needs[p] = append(g.needs[p], int32(slices.Index(l.order, from)))
		}
		if gone[p] {
			g.needs[p] = nil // it waits for nothing any more
		}
	}
	if p := naive(g, gone, make([]bool, n)); p >= 0 {
		return l.order[p]
	}
	return -1
}

// TestOrderWithLazyRequests checks the order when nodes get new consumers while they
// wait, are ready, or wait themselves for a source that they asked for.
func TestOrderWithLazyRequests(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 4))
		n := 2 + r.IntN(30)
		g := randomGraph(r, n)
		l := &lazyRun{all: g, plain: graph{needs: make([][]int32, n)}, asks: make([][]int32, n), gone: make([]bool, n), next: int32(n), waits: map[int32]int32{}}
		for i := range n {
			var now []int32
			for _, from := range g.needs[i] {
				if r.IntN(3) == 0 {
					l.asks[i] = append(l.asks[i], from)
				} else {
					now = append(now, from)
				}
			}
			g.needs[i] = now
		}
		for i := range n {
			if g.root[i] {
				l.need(int32(i))
			}
		}
		for l.s.Pending() > 0 {
			want := l.want()
			got, ok := l.s.Next()
			require.True(t, ok, "seed %d", seed)
			if i, waits := l.waits[got]; waits {
				l.s.Done(got)
				got = i
			}
			require.Equal(t, want, got, "seed %d", seed)
			l.run(got)
		}
		require.Equal(t, int32(-1), l.want(), "seed %d", seed)
	}
}
