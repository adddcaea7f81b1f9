package main

import (
	"context"
	"io"
	"log" //nolint:depguard // dag.Logger has this type
	"strconv"
	"time"

	"github.com/DavidGamba/go-getoptions"
	"github.com/DavidGamba/go-getoptions/dag"
)

// getOptions runs DavidGamba/go-getoptions/dag. This library polls. It can run a graph
// only once, so each run includes the time to build the graph.
func getOptions(g *graph, f func(int)) (run, end func()) {
	dag.Logger = log.New(io.Discard, "", 0)
	return func() {
		d := dag.NewGraph("g")
		d.TickerDuration = 10 * time.Microsecond
		d.SetMaxParallel(workers)
		tasks := make([]*dag.Task, g.n)
		for i := range tasks {
			tasks[i] = dag.NewTask(strconv.Itoa(i), func(context.Context, *getoptions.GetOpt, []string) error {
				f(i)
				return nil
			})
			d.AddTask(tasks[i])
		}
		for i, succ := range g.succ {
			for _, s := range succ {
				d.TaskDependensOn(tasks[s], tasks[i])
			}
		}
		must(d.Run(context.Background(), nil, nil))
	}, nothing
}
