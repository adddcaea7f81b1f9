package flow_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// What the results of a cache keep in memory.

// oneResult keeps the results with an output 1, of all that it is given.
type oneResult map[string]flow.Result

func (c oneResult) Get(key string) (flow.Result, bool) { r, ok := c[key]; return r, ok }
func (c oneResult) Retain(func(string) bool)           {}

func (c oneResult) Put(key string, r flow.Result) {
	if len(r.Outputs) == 1 && r.Outputs[0] == 1 {
		c[key] = r
	}
}

// nobody receives events.
type nobody struct{}

func (nobody) Publish(nodebus.Event) error { return nil }

// TestSection10AResultKeepsNothingElse checks that a cached result does not keep the
// results of other nodes of its prompt in memory, nor their keys.
func TestSection10AResultKeepsNothingElse(t *testing.T) {
	cache := oneResult{}
	var large weak.Pointer[[1 << 20]byte]
	func() {
		reg := flow.NewRegistry()
		flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
		flow.Register(reg, fn{f: func(_ *nodebus.Context, v, _ any) (any, error) {
			if v == "large" {
				p := new([1 << 20]byte)
				large = weak.Make(p)
				return p, nil
			}
			return v, nil
		}}, nodebus.Info{Name: "Id"})
		local := flow.NewLocal(reg, &flow.LocalOptions{Workers: 1, Cache: cache})
		run := func(nodes nodebus.Nodes) {
			_, err := execute(local, t.Context(), &nodebus.Prompt{ID: "p", Nodes: nodes}, nobody{}) // a hub would keep events
			require.NoError(t, err)
		}
		g := nodebus.NewGraph()
		g.Add("Show", in{"in": g.Add("Id", in{"in": 1}), "in2": g.Add("Id", in{"in": "large"})})
		run(g.Nodes())

		before := heap()
		for k := range 50 { // the keys of a prompt have 64 KiB
			g := nodebus.NewGraph()
			last := g.Add("Id", in{"in": 1, "more": k})
			for i := range 2000 {
				g.Add("Id", in{"in": i})
			}
			g.Add("Show", in{"in": last})
			run(g.Nodes())
		}
		require.Len(t, cache, 51)
		require.Less(t, heap()-before, int64(50*(64<<10)/4))
	}()
	runtime.GC()
	runtime.GC()
	require.Nil(t, large.Value())
	runtime.KeepAlive(cache)
}

// heap returns the bytes in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestSection10ExpansionsCountInTheBound checks that the results of nodes made at run time
// count in the limits of the bounded cache, and go when they are the oldest.
func TestSection10ExpansionsCountInTheBound(t *testing.T) {
	cache := &counting{Cache: flow.NewCache(&flow.CacheOptions{Bytes: 1 << 20})}
	inBubble(t, &flow.LocalOptions{Workers: 1, Cache: cache}, nil, func(r *rig) {
		r.fn("Large", func(_ *nodebus.Context, v, _ any) (any, error) { return strings.Repeat(fmt.Sprint(v), 50_000), nil })
		r.makers("Large", func(_ *nodebus.Context, g *nodebus.Graph, v, _ any) (nodebus.Link, error) {
			for k := range 9 {
				g.Add("Large", in{"in": fmt.Sprint(v, k)})
			}
			return g.Add("Large", in{"in": v}), nil
		})
		for k := range 40 {
			g := nodebus.NewGraph()
			made := g.Add("ThenLarge", in{"in": k})
			g.Add("Show", in{"in": made})
			r.run(g.Nodes())
		}
		held := 0
		for key, size := range cache.sizes {
			if _, ok := cache.Get(key); ok {
				held += size
			}
		}
		require.Positive(t, held)
		require.LessOrEqual(t, held, 1<<20)
	})
}

// counting notes the size of the texts in the results.
type counting struct {
	flow.Cache
	sizes map[string]int
}

func (c *counting) Put(key string, r flow.Result) {
	if c.sizes == nil {
		c.sizes = map[string]int{}
	}
	for _, v := range r.Outputs {
		if s, ok := v.(string); ok {
			c.sizes[key] += len(s)
		}
	}
	c.Cache.Put(key, r)
}
