package flow_test

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// These benchmarks measure the cost of lists, lazy inputs, nodes made at run time,
// and cache keys. Each op does the measured work once and a reference task ("limit")
// once. The benchmark reports the cost for each node or element, and the CPU time of
// the work as a multiple of the CPU time of the limit.

// byTurns runs limit and work alternately until the benchmark ends.
func byTurns(b *testing.B, n int, unit string, work, limit func()) {
	runtime.GC()
	var w, l cost
	for b.Loop() {
		l.add(limit)
		w.add(work)
	}
	reportBeside(b, &w, &l, n, unit)
}

func reportBeside(b *testing.B, work, limit *cost, n int, unit string) {
	work.report(b, n, unit)
	b.ReportMetric(limit.cpu/float64(b.N)/float64(n), "limit-cpu-ns/"+unit)
	b.ReportMetric(work.cpu/limit.cpu, "×limit")
}

// These nodes make other nodes. askChain makes a chain and waits for its result;
// returnChain makes a chain and returns its result. turn makes a Step and another
// turn, until N is 0.
type (
	askChain    struct{ N int }
	returnChain struct{ N int }
	turn        struct{ N, In int }
)

func makeChain(ctx *nodebus.Context, n int) (*nodebus.Graph, nodebus.Link) {
	g := ctx.NewGraph()
	last := g.Add("Step", nodebus.Inputs{"in": 0})
	for range n - 1 {
		last = g.Add("Step", nodebus.Inputs{"in": last})
	}
	return g, last
}

func (n askChain) Run(ctx *nodebus.Context) (int, error) {
	g, last := makeChain(ctx, n.N)
	return nodebus.Eval[int](ctx, g, last)
}

func (n returnChain) Run(ctx *nodebus.Context) (nodebus.Out[int], error) {
	g, last := makeChain(ctx, n.N)
	return nodebus.Out[int]{Graph: g, From: last}, nil
}

func (n turn) Run(ctx *nodebus.Context) (nodebus.Out[int], error) {
	if n.N == 0 {
		return nodebus.Out[int]{Value: n.In}, nil
	}
	g := ctx.NewGraph()
	next := g.Add("Turn", nodebus.Inputs{"n": n.N - 1, "in": g.Add("Step", nodebus.Inputs{"in": n.In})})
	return nodebus.Out[int]{Graph: g, From: next}, nil
}

// BenchmarkExpand runs nodes made at run time. The limit is a prompt with the same
// number of nodes.
func BenchmarkExpand(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		for _, way := range []struct {
			name, class string
			in          nodebus.Inputs
		}{
			{"eval", "Ask", nodebus.Inputs{"n": n}},
			{"return", "Return", nodebus.Inputs{"n": n}},
			{"loop", "Turn", nodebus.Inputs{"n": n / 2, "in": 0}},
		} {
			b.Run(fmt.Sprintf("%s-%d", way.name, n), func(b *testing.B) {
				reg := benchRegistry()
				flow.Register(reg, askChain{}, nodebus.Info{Name: "Ask"})
				flow.Register(reg, returnChain{}, nodebus.Info{Name: "Return"})
				flow.Register(reg, turn{}, nodebus.Info{Name: "Turn"})
				r := newBenchRig(b, reg, flow.NoCache())
				g := nodebus.NewGraph()
				g.Add("Sink", nodebus.Inputs{"in": g.Add(way.class, way.in)})
				p, limit := r.prompt(g.Nodes()), r.prompt(chain(n))
				byTurns(b, n, "node", func() { r.run(p) }, func() { r.run(limit) })
			})
		}
	}
}

// numbers returns a list; total takes a list.
type (
	numbers struct{ N int }
	total   struct{ Values nodebus.List[int] }
)

func (n numbers) Run(*nodebus.Context) (nodebus.List[int], error) {
	return make(nodebus.List[int], n.N), nil
}

func (n total) Run(*nodebus.Context) (nodebus.UI, error) {
	sum := 0
	for _, v := range n.Values {
		sum += v
	}
	return nodebus.UI{"sum": {sum}}, nil
}

// BenchmarkList calls a node for each element of a list. The limit is a loop that
// calls the node and keeps the results.
func BenchmarkList(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			reg := benchRegistry()
			flow.Register(reg, numbers{}, nodebus.Info{Name: "Numbers"})
			flow.Register(reg, total{}, nodebus.Info{Name: "Total"})
			r := newBenchRig(b, reg, flow.NoCache())
			g := nodebus.NewGraph()
			g.Add("Total", nodebus.Inputs{"values": g.Add("Step", nodebus.Inputs{"in": g.Add("Numbers", nodebus.Inputs{"n": n})})})
			p := r.prompt(g.Nodes())
			byTurns(b, n, "element", func() { r.run(p) }, func() {
				kept := make([]any, 0, n)
				for i := range n {
					var node nodebus.Node[int] = &step{In: i}
					v, err := node.Run(nil)
					if err != nil {
						b.Fatal(err)
					}
					kept = append(kept, v)
				}
				runtime.KeepAlive(kept)
			})
		})
	}
}

// lazyStep waits for its lazy input.
type lazyStep struct{ In nodebus.Lazy[int] }

func (n lazyStep) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	_, err := n.In.Get(ctx)
	return nil, err
}

// BenchmarkLazy runs many nodes that each wait for a lazy input from another node.
// The limit is the same graph with inputs that are not lazy.
func BenchmarkLazy(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			reg := benchRegistry()
			flow.Register(reg, lazyStep{}, nodebus.Info{Name: "Lazy"})
			r := newBenchRig(b, reg, flow.NoCache())
			pairs := func(class string) *nodebus.Prompt {
				g := nodebus.NewGraph()
				for i := range n {
					g.Add(class, nodebus.Inputs{"in": g.Add("Step", nodebus.Inputs{"in": i})})
				}
				return r.prompt(g.Nodes())
			}
			lazy, plain := pairs("Lazy"), pairs("Sink")
			byTurns(b, n, "wait", func() { r.run(lazy) }, func() { r.run(plain) })
		})
	}
}

// oracle is a cache that has a result for every key. It calls first once, at the
// first Get.
type oracle struct{ first func() }

func (o *oracle) Get(string) (flow.Result, bool) {
	if o.first != nil {
		o.first()
		o.first = nil
	}
	return flow.Result{Outputs: []any{0}}, true
}
func (*oracle) Put(string, flow.Result)  {}
func (*oracle) Retain(func(string) bool) {}

// BenchmarkSignature computes the cache keys of a chain, where each key depends on
// all upstream nodes. It measures the time until the first call of the cache. The
// limit computes the same number of hashes, each from the hash before it.
func BenchmarkSignature(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			o := &oracle{}
			r := newBenchRig(b, benchRegistry(), o)
			p := r.prompt(chain(n))
			runtime.GC()
			var keys, limit cost
			for b.Loop() {
				limit.add(func() {
					buf := make([]byte, len("Step")+4+sha256.Size)
					for range n {
						sum := sha256.Sum256(buf)
						copy(buf[len("Step")+4:], sum[:])
					}
				})
				o.first = keys.end
				keys.begin()
				r.run(p)
			}
			reportBeside(b, &keys, &limit, n, "node")
		})
	}
}

// BenchmarkCache gets existing keys, gets missing keys, and puts existing keys. The
// limit is a map with a lock.
func BenchmarkCache(b *testing.B) {
	const n = 10_000
	var known, unknown []string
	for i := range n {
		sum := sha256.Sum256([]byte(fmt.Sprint(i)))
		known, unknown = append(known, string(sum[:])), append(unknown, string(sum[1:])+"x")
	}
	for _, kind := range []struct {
		name string
		opts flow.CacheOptions
	}{{"defaults", flow.CacheOptions{}}, {"entries", flow.CacheOptions{Entries: 2 * n}}, {"bytes", flow.CacheOptions{Bytes: 1 << 30}}} {
		for _, op := range []struct {
			name string
			keys []string
			do   func(c flow.Cache, key string)
		}{
			{"hit", known, func(c flow.Cache, key string) { c.Get(key) }},
			{"miss", unknown, func(c flow.Cache, key string) { c.Get(key) }},
			{"put", known, func(c flow.Cache, key string) { c.Put(key, flow.Result{Outputs: []any{key}}) }},
		} {
			b.Run(kind.name+"/"+op.name, func(b *testing.B) {
				cache, limit := flow.NewCache(&kind.opts), &lockedMap{m: map[string]flow.Result{}}
				all := func(c flow.Cache) func() {
					for _, key := range known {
						c.Put(key, flow.Result{Outputs: []any{key}})
					}
					return func() {
						for _, key := range op.keys {
							op.do(c, key)
						}
					}
				}
				byTurns(b, n, "key", all(cache), all(limit))
			})
		}
	}
}

type lockedMap struct {
	mu sync.Mutex
	m  map[string]flow.Result
}

func (c *lockedMap) Get(key string) (flow.Result, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.m[key]
	return r, ok
}

func (c *lockedMap) Put(key string, r flow.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m[key] = r
}

func (*lockedMap) Retain(func(string) bool) {}
