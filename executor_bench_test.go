package nodebus_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// step is a trivial node.
type step struct{ In int }

func (n step) Run(*nodebus.Context) (int, error) { return n.In + 1, nil }

// sink takes a list of any length as separate inputs would be: it reads the last.
type sink struct{ In int }

func (n sink) Run(*nodebus.Context) (nodebus.UI, error) { return nil, nil }

func benchRegistry() *nodebus.Registry {
	r := nodebus.NewRegistry()
	nodebus.Register(r, step{}, nodebus.Info{Name: "Step"})
	nodebus.Register(r, sink{}, nodebus.Info{Name: "Sink"})
	return r
}

// chain is n nodes, each waiting for the one before; wide is n that wait for
// nobody, each of which is an output of its own.
func chain(n int) nodebus.Nodes {
	g := nodebus.NewGraph()
	var last any = 0
	for range n - 1 {
		last = g.Add("Step", nodebus.Inputs{"in": last})
	}
	g.Add("Sink", nodebus.Inputs{"in": last})
	return g.Nodes()
}

func wide(n int) nodebus.Nodes {
	g := nodebus.NewGraph()
	for i := range n {
		g.Add("Sink", nodebus.Inputs{"in": i})
	}
	return g.Nodes()
}

func cpuTime() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkExecute runs graphs of trivial nodes with their events published to
// one subscriber. It reports nanoseconds, CPU nanoseconds and allocations a
// node.
func BenchmarkExecute(b *testing.B) {
	for _, shape := range []struct {
		name string
		make func(int) nodebus.Nodes
	}{{"chain", chain}, {"wide", wide}} {
		for _, n := range []int{1000, 100_000} {
			for _, mode := range []string{"nocache", "miss", "hit"} {
				b.Run(fmt.Sprintf("%s-%d/%s", shape.name, n, mode), func(b *testing.B) {
					benchExecute(b, shape.make(n), mode)
				})
			}
		}
	}
}

func benchExecute(b *testing.B, nodes nodebus.Nodes, mode string) {
	h := nodebus.NewHub(nil)
	ctx, cancel := context.WithCancel(b.Context())
	events := h.Subscribe(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, err := range events {
			if err != nil {
				b.Error(err)
			}
		}
	}()
	opts := &nodebus.LocalOptions{}
	if mode == "nocache" {
		opts.Cache = nodebus.NoCache()
	}
	r := benchRegistry()
	local := nodebus.NewLocal(r, opts)
	prompt := &nodebus.Prompt{ID: "0", ClientID: "c", Nodes: nodes}
	require.NoError(b, nodebus.Validate(r, prompt))
	run := func(i int) {
		prompt.ID = strconv.Itoa(i)
		if _, err := local.Execute(ctx, prompt, h); err != nil {
			b.Fatal(err)
		}
		_ = h.Publish(nodebus.Event{PromptID: prompt.ID, Payload: nodebus.Executing{PromptID: prompt.ID}})
	}
	run(0)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu := cpuTime()
	n := 0
	for b.Loop() {
		n++
		if mode == "miss" {
			local.Free()
		}
		run(n)
	}
	cpu = cpuTime() - cpu
	runtime.ReadMemStats(&after)
	total := float64(len(nodes)) * float64(n)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/total, "ns/node")
	b.ReportMetric(cpu/total, "cpu-ns/node")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/total, "allocs/node")
	b.ReportMetric(0, "ns/op")
	cancel()
	<-done
	require.NoError(b, h.Close())
}
