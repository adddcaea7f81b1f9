package main

import (
	"strconv"

	"github.com/heimdalr/dag"
)

// heimdalr runs heimdalr/dag. This library starts from one vertex, so an additional
// root vertex comes before all nodes that wait for nothing. The library starts a
// goroutine for each vertex, without a limit.
func heimdalr(g *graph, f func(int)) (run, end func()) {
	d := dag.NewDAG()
	id := func(i int) string { return "n" + strconv.Itoa(i) }
	must(d.AddVertexByID("root", -1))
	for i := range g.n {
		must(d.AddVertexByID(id(i), i))
	}
	for i := range g.n {
		if len(g.pred[i]) == 0 {
			must(d.AddEdge("root", id(i)))
		}
		for _, s := range g.succ[i] {
			must(d.AddEdge(id(i), id(int(s))))
		}
	}
	return func() {
		_, err := d.DescendantsFlow("root", nil, func(d *dag.DAG, id string, _ []dag.FlowResult) (any, error) {
			v, err := d.GetVertex(id)
			if err != nil {
				return nil, err
			}
			if i := v.(int); i >= 0 {
				f(i)
			}
			return nil, nil
		})
		must(err)
	}, nothing
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
