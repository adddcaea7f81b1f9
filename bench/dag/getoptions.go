package main

import (
	"context"
	"io"
	"log" //nolint:depguard // the type of its logger
	"strconv"
	"time"

	"github.com/DavidGamba/go-getoptions"
	"github.com/DavidGamba/go-getoptions/dag"
)

// getOptions is DavidGamba/go-getoptions/dag. It polls; a graph can be run only
// once, so that a run includes building it.
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
