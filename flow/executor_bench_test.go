package flow_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// step is a trivial node.
type step struct{ In int }

func (n step) Run(*nodebus.Context) (int, error) { return n.In + 1, nil }

// sink is an output node with one input. It shows nothing.
type sink struct{ In int }

func (n sink) Run(*nodebus.Context) (nodebus.UI, error) { return nil, nil }

func benchRegistry() *flow.Registry {
	r := flow.NewRegistry()
	flow.Register(r, step{}, nodebus.Info{Name: "Step"})
	flow.Register(r, sink{}, nodebus.Info{Name: "Sink"})
	return r
}

// chain returns a graph of n nodes, where each node waits for the node before it.
// wide returns a graph of n output nodes that wait for no other node.
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

// benchRig executes prompts and publishes their events to one subscriber.
type benchRig struct {
	b     *testing.B
	reg   *flow.Registry
	hub   *nodebus.Hub
	local *flow.Local
	ended chan struct{} // receives when the subscriber has read the last event of a prompt
	n     int
	plans map[*nodebus.Prompt]any // results of Prepare
}

// newBenchRig returns a rig with the given cache; nil selects the default cache. The
// hub keeps more bytes than by default, because on a busy machine the subscriber may
// not run for a while.
func newBenchRig(b *testing.B, reg *flow.Registry, cache flow.Cache) *benchRig {
	r := &benchRig{
		b: b, reg: reg, hub: openHub(b, &nodebus.HubOptions{KeepBytes: 1 << 30}), ended: make(chan struct{}),
		local: flow.NewLocal(reg, &flow.LocalOptions{Cache: cache}), plans: map[*nodebus.Prompt]any{},
	}
	events := r.hub.Subscribe(context.Background())
	go func() {
		for ev, err := range events {
			if err != nil {
				b.Error(err)
			}
			if e, ok := ev.Payload.(nodebus.Executing); ok && e.UniqueID == "" {
				r.ended <- struct{}{}
			}
		}
		close(r.ended)
	}()
	return r
}

// prompt prepares a prompt and runs it once.
func (r *benchRig) prompt(nodes nodebus.Nodes) *nodebus.Prompt {
	p := &nodebus.Prompt{ClientID: "c", Nodes: nodes}
	prepared, err := r.reg.Prepare(context.Background(), p)
	require.NoError(r.b, err)
	r.plans[p] = prepared
	r.run(p)
	return p
}

// run executes a prepared prompt under a new id, as an engine does. It returns when
// the subscriber has read the events.
func (r *benchRig) run(p *nodebus.Prompt) {
	r.n++
	p.ID = strconv.Itoa(r.n)
	if _, err := r.local.Execute(r.b.Context(), nodebus.Job{Prompt: p, Attempt: 1, Prepared: r.plans[p]}, r.hub); err != nil {
		r.b.Fatal(err)
	}
	if err := r.hub.Publish(nodebus.Event{PromptID: p.ID, To: p.ClientID, Payload: nodebus.Executing{PromptID: p.ID}}); err != nil {
		r.b.Fatal(err)
	}
	<-r.ended
}

func cpuTime() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

// cost holds the time, in nanoseconds, and the allocations of some work.
type cost struct {
	wall, cpu, allocs float64

	began       time.Time
	cpu0        float64
	allocsUntil uint64
}

func (c *cost) begin() {
	c.allocsUntil = allocations()
	c.cpu0, c.began = cpuTime(), time.Now()
}

func (c *cost) end() {
	c.wall += float64(time.Since(c.began))
	c.cpu += cpuTime() - c.cpu0
	c.allocs += float64(allocations() - c.allocsUntil)
}

func (c *cost) add(f func()) {
	c.begin()
	f()
	c.end()
}

func allocations() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// report reports the cost of each of the n items that one op processes.
func (c *cost) report(b *testing.B, n int, unit string) {
	total := float64(b.N) * float64(n)
	b.ReportMetric(c.wall/total, "ns/"+unit)
	b.ReportMetric(c.cpu/total, "cpu-ns/"+unit)
	b.ReportMetric(c.allocs/total, "allocs/"+unit)
	b.ReportMetric(0, "ns/op")
}

// BenchmarkExecute runs graphs of trivial nodes and publishes their events to one
// subscriber. It reports nanoseconds, CPU nanoseconds and allocations per node.
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
	var cache flow.Cache
	if mode == "nocache" {
		cache = flow.NoCache()
	}
	r := newBenchRig(b, benchRegistry(), cache)
	p := r.prompt(nodes)
	runtime.GC()
	var c cost
	for b.Loop() {
		c.add(func() {
			if mode == "miss" {
				r.local.Free()
			}
			r.run(p)
		})
	}
	c.report(b, len(nodes), "node")
}

// openHub returns a hub that is closed at the end of the test.
func openHub(t testing.TB, opts *nodebus.HubOptions) *nodebus.Hub {
	h := nodebus.NewHub(opts)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}
