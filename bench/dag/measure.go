package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus/bench/internal/measure"
)

const header = "runner,graph,nodes,edges,rep,build_ns_node,run_ns_node,cpu_ns_node,allocs_node,bytes_node,held_bytes_node"

// enough is the minimum duration of a measurement. A graph is run repeatedly for this
// time, because a single run would end before its garbage is collected.
const enough = 300 * time.Millisecond

// measureOne runs a graph often enough for a measurement and returns a row of CSV.
func measureOne(r runner, g *graph) (row string, err error) {
	runtime.GC()
	debug.FreeOSMemory()
	var ran atomic.Int64
	var empty, built, after runtime.MemStats
	runtime.ReadMemStats(&empty)
	began := time.Now()
	run, end := r.make(g, func(int) { ran.Add(1) })
	defer end()
	build := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&built)
	held := float64(built.HeapAlloc) - float64(empty.HeapAlloc)

	rounds := 1
	wall, cpu := timed(rounds, run)
	if wall < enough {
		rounds = int(enough/max(wall, 50*time.Microsecond)) + 1
		ran.Store(0)
		runtime.GC()
		runtime.ReadMemStats(&built)
		wall, cpu = timed(rounds, run)
	}
	runtime.ReadMemStats(&after)
	if n := ran.Load(); n != int64(g.n*rounds) {
		return "", fmt.Errorf("%s, %s: %d of %d nodes ran", r.name, g.name, n, g.n*rounds)
	}
	nodes := float64(g.n * rounds)
	return fmt.Sprintf("%.1f,%.1f,%.1f,%.2f,%.1f,%.1f",
		float64(build)/float64(g.n), float64(wall)/nodes, float64(cpu)/nodes,
		float64(after.Mallocs-built.Mallocs)/nodes, float64(after.TotalAlloc-built.TotalAlloc)/nodes,
		held/float64(g.n)), nil
}

func timed(rounds int, run func()) (wall, cpu time.Duration) {
	user, system := measure.CPU()
	began := time.Now()
	for range rounds {
		run()
	}
	wall = time.Since(began)
	user2, system2 := measure.CPU()
	return wall, user2 - user + system2 - system
}
