package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// graph is a graph with numbered nodes. succ lists the nodes that wait for a node, pred
// lists the nodes that a node waits for.
type graph struct {
	name  string
	n     int
	edges int
	succ  [][]int32
	pred  [][]int32
}

func newGraph(name string, n int) *graph {
	return &graph{name: name, n: n, succ: make([][]int32, n), pred: make([][]int32, n)}
}

func (g *graph) edge(from, to int) {
	g.succ[from] = append(g.succ[from], int32(to))
	g.pred[to] = append(g.pred[to], int32(from))
	g.edges++
}

// chain returns n nodes. Each node waits for the node before it.
func chain(n int) *graph {
	g := newGraph("chain", n)
	for i := 1; i < n; i++ {
		g.edge(i-1, i)
	}
	return g
}

// wide returns n nodes that wait for nothing, and one node that waits for all of them.
func wide(n int) *graph {
	g := newGraph("wide", n+1)
	for i := range n {
		g.edge(i, n)
	}
	return g
}

// layered returns layers of 100 nodes. Each node waits for four nodes of the layer
// before it.
func layered(n int) *graph {
	const width = 100
	g := newGraph("layered", n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := width; i < n; i++ {
		for _, p := range r.Perm(width)[:4] {
			g.edge((i/width-1)*width+p, i)
		}
	}
	return g
}

// parseGraphs parses a list like "chain:1000,wide:1000".
func parseGraphs(list string) (gs []*graph, err error) {
	shapes := map[string]func(int) *graph{"chain": chain, "wide": wide, "layered": layered}
	for s := range strings.SplitSeq(list, ",") {
		shape, count, _ := strings.Cut(s, ":")
		n, err := strconv.Atoi(count)
		if shapes[shape] == nil || err != nil || n < 1 {
			return nil, fmt.Errorf("-graphs: %q is not valid; use chain, wide or layered, a colon and a positive number", s)
		}
		gs = append(gs, shapes[shape](n))
	}
	return gs, nil
}
