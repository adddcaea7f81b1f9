package flow_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Execution semantics, section 10: caching.

// counted registers a class that counts how often it runs.
func (r *rig) counted(name string) *atomic.Int64 {
	n := new(atomic.Int64)
	r.fn(name, func(_ *nodebus.Context, v, _ any) (any, error) {
		n.Add(1)
		return v, nil
	})
	return n
}

// pipe returns a graph of one node of a class, with the given input and id, and an
// output node.
func pipe(id, class string, v any) nodebus.Nodes {
	g := nodebus.NewGraph()
	g.AddAs(id+"o", "Show", in{"in": g.AddAs(id, class, in{"in": v})})
	return g.Nodes()
}

func TestSection10WhatIsTheSameIsComputedOnce(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		n := r.counted("Count")
		r.run(pipe("a", "Count", 1))
		o := r.run(pipe("a", "Count", 1))
		require.Equal(t, []string{"start", "cached a ao", "executed ao", "success", "executing "}, o.types())
		require.Equal(t, []any{"1"}, o.text("ao"))
		require.Equal(t, []any{"1"}, r.run(pipe("b", "Count", 1)).text("bo"), "ids do not matter")
		require.Equal(t, int64(1), n.Load())
		r.run(pipe("a", "Count", 2))
		require.Equal(t, int64(2), n.Load(), "literals do")
		r.run(pipe("a", "Count", "2"))
		require.Equal(t, int64(3), n.Load(), "and their types")
	})
}

func TestSection10UndeclaredInputsAreInTheKey(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		n := r.counted("Count")
		r.counted("Pass")
		flow.Register(r.reg, liveOthers{calls: n}, nodebus.Info{Name: "Others"})
		graph := func(name string, v any) nodebus.Nodes {
			g := nodebus.NewGraph()
			other := g.AddAs("other", "Pass", in{"in": v})
			class := "Count"
			if name == "mode.link" { // a link that no class declares fails the call
				class, v = "Others", other
			}
			g.AddAs("o", "Show", in{"in": g.AddAs("n", class, in{"in": 1, name: v})})
			return g.Nodes()
		}
		for k, c := range []struct {
			name string
			v    any
		}{{"more", 1}, {"more", 2}, {"more", []any{2}}, {"else", 2}, {"mode.link", 1}, {"mode.link", 2}} {
			for range 2 {
				r.run(graph(c.name, c.v))
				require.EqualValues(t, k+1, n.Load(), c)
			}
		}
	})
}

func TestSection10UnneededNodesAreListedToo(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.counted("Count")
		r.run(pipe("a", "Count", 1))
		g := nodebus.NewGraph()
		g.AddAs("unneeded", "Count", in{"in": 1})
		g.AddAs("o", "Show", in{"in": "x"})
		require.Equal(t, "cached unneeded", r.run(g.Nodes()).types()[1])
	})
}

func TestSection10ChangesReachDownstream(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		n, m := r.counted("Count"), r.counted("After")
		graph := func(v any) nodebus.Nodes {
			g := nodebus.NewGraph()
			g.AddAs("o", "Show", in{"in": g.AddAs("b", "After", in{"in": g.AddAs("a", "Count", in{"in": v})})})
			return g.Nodes()
		}
		r.run(graph(1))
		require.Equal(t, []any{"2"}, r.run(graph(2)).text("o"))
		require.Equal(t, [2]int64{2, 2}, [2]int64{n.Load(), m.Load()})
	})
}

func TestSection10Policies(t *testing.T) {
	for _, c := range []struct {
		name  string
		cache flow.Cache
		want  int64 // number of runs for the inputs A, B, A, B, A, A
	}{
		{"the default", nil, 2},
		{"what the last prompt used", flow.ClassicCache(), 5},
		{"nothing", flow.NoCache(), 6},
		{"everything", flow.NewCache(&flow.CacheOptions{}), 2},
		{"the last four results", flow.NewCache(&flow.CacheOptions{Entries: 4}), 2},
		{"the last two results", flow.NewCache(&flow.CacheOptions{Entries: 2}), 5},
		{"few bytes", flow.NewCache(&flow.CacheOptions{Bytes: 300}), 5},
		{"many bytes", flow.NewCache(&flow.CacheOptions{Bytes: 1 << 20}), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, &flow.LocalOptions{Cache: c.cache}, nil, func(r *rig) {
				n := r.counted("Count")
				for _, v := range []string{"A", "B", "A", "B", "A", "A"} {
					require.Equal(t, []any{v}, r.run(pipe("x", "Count", v)).text("xo"))
				}
				require.Equal(t, c.want, n.Load())
				r.local.Free()
				r.run(pipe("x", "Count", "A"))
				require.Equal(t, c.want+1, n.Load(), "Free drops everything")
			})
		})
	}
}

func TestSection10BytesHeld(t *testing.T) {
	cache := flow.NewCache(&flow.CacheOptions{Bytes: 10_000})
	result := func(v any) flow.Result { return flow.Result{Outputs: []any{v}} }
	for name, v := range map[string]any{
		"bytes":            make([]byte, 9_000),
		"behind a pointer": &struct{ Pix []uint8 }{make([]uint8, 9_000)},
		"a list":           []any{make([]byte, 5_000), make([]byte, 4_000)},
		"a string":         string(make([]byte, 9_000)),
		"an object":        map[string]any{"a": string(make([]byte, 5_000)), "b": []any{string(make([]byte, 4_000))}},
		"says itself":      sized(9_000),
	} {
		cache.Put("small", result(1))
		cache.Put(name, result(v))
		_, ok := cache.Get("small")
		require.True(t, ok, "%s fits", name)
		cache.Put("more", result(make([]byte, 2_000)))
		_, ok = cache.Get(name)
		require.False(t, ok, "%s had to go", name)
		_, ok = cache.Get("more")
		require.True(t, ok)
		cache.Retain(func(string) bool { return false })
	}
	cache.Put("huge", result(make([]byte, 20_000)))
	_, ok := cache.Get("huge")
	require.False(t, ok)
	cache.Put("nil", result((*sizedPointer)(nil)))
	_, ok = cache.Get("nil")
	require.True(t, ok, "a Size that panics counts as 0")
}

type sized int

func (s sized) Size() int { return int(s) }

type sizedPointer struct{ n int }

func (s *sizedPointer) Size() int { return s.n }

func TestSection10Fingerprint(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Cache: flow.ClassicCache()}, nil, func(r *rig) {
		runs, print := new(atomic.Int64), new(atomic.Value)
		print.Store("1")
		flow.Register(r.reg, file{runs: runs, print: print}, nodebus.Info{Name: "File"})
		graph := pipe("f", "File", 1)
		for _, step := range []struct {
			print string
			runs  int64
		}{
			{"1", 1}, {"1", 1}, {"2", 2}, {"2", 2}, {"never", 3}, {"never", 4}, {"panic", 5}, {"2", 6},
		} {
			print.Store(step.print)
			require.Equal(t, nodebus.Succeeded, r.run(graph).record.State)
			require.Equal(t, step.runs, runs.Load(), step.print)
		}
	})
}

// file depends on data other than its inputs.
type file struct {
	In    any
	runs  *atomic.Int64
	print *atomic.Value
}

func (n file) Run(*nodebus.Context) (any, error) { return n.runs.Add(1), nil }

func (n file) Fingerprint(*nodebus.Context) (string, error) {
	switch p := n.print.Load().(string); p {
	case "never":
		return "", errors.New("unknown")
	case "panic":
		panic(p)
	default:
		return p, nil
	}
}

func TestSection10UniqueIDAndNoCacheAreInTheKey(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		runs := new(atomic.Int64)
		flow.Register(r.reg, named{runs: runs}, nodebus.Info{Name: "Named"})
		flow.Register(r.reg, fn{f: func(*nodebus.Context, any, any) (any, error) { return runs.Add(1), nil }}, nodebus.Info{Name: "Own", NoCache: true})
		for i, class := range []string{"Named", "Own"} {
			runs.Store(0)
			r.run(pipe(fmt.Sprint("a", i), class, 1))
			r.run(pipe(fmt.Sprint("a", i), class, 1))
			require.Equal(t, int64(1), runs.Load(), "%s: the same node", class)
			r.run(pipe(fmt.Sprint("b", i), class, 1))
			require.Equal(t, int64(2), runs.Load(), "%s: another node", class)
		}
	})
}

type named struct {
	In   any
	ID   string `hidden:"UNIQUE_ID"`
	runs *atomic.Int64
}

func (n named) Run(*nodebus.Context) (string, error) {
	n.runs.Add(1)
	return n.ID, nil
}

func TestSection10FailuresAreNotCachedAndWhatWasDoneIs(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		n := r.counted("Count")
		fails := atomic.Bool{}
		fails.Store(true)
		r.fn("Fail", func(_ *nodebus.Context, v, _ any) (any, error) {
			if fails.Load() {
				return nil, errors.New("boom")
			}
			return v, nil
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("f", "Fail", in{"in": g.AddAs("c", "Count", in{"in": 1})})})
		r.run(g.Nodes()).failed(t)
		fails.Store(false)
		o := r.run(g.Nodes())
		require.Equal(t, "cached c", o.types()[1])
		require.Equal(t, []any{"1"}, o.text("o"))
		require.Equal(t, int64(1), n.Load())
	})
}

// TestSection10TwinsAtTheSameMoment checks that equal nodes are computed once, even
// if they are ready at the same time, in one prompt or in several.
func TestSection10TwinsAtTheSameMoment(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 8}, &flow.EngineOptions{Parallel: 4}, func(r *rig) {
		n := new(atomic.Int64)
		r.fn("Slow", func(_ *nodebus.Context, v, _ any) (any, error) {
			time.Sleep(time.Second)
			n.Add(1)
			return v, nil
		})
		g := nodebus.NewGraph()
		for i := range 4 {
			g.AddAs(fmt.Sprint("o", i), "Show", in{"in": g.AddAs(fmt.Sprint("s", i), "Slow", in{"in": "v"}), "in2": i})
		}
		var waits []func() outcome
		began := time.Now()
		for p := range 3 {
			waits = append(waits, r.start(&nodebus.Prompt{ClientID: fmt.Sprint(p), Nodes: g.Nodes()}))
		}
		for _, wait := range waits {
			o := wait()
			for i := range 4 {
				require.Equal(t, []any{"v"}, o.text(fmt.Sprint("o", i)))
			}
		}
		require.Equal(t, time.Second, time.Since(began))
		require.Equal(t, int64(1), n.Load())
	})
}

// TestSection10TwinOfOneThatIsAbandoned checks that a stuck node does not block an
// equal node of another prompt forever.
func TestSection10TwinOfOneThatIsAbandoned(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 4, Grace: time.Second}, &flow.EngineOptions{Parallel: 4}, func(r *rig) {
		n := new(atomic.Int64)
		release := make(chan struct{})
		r.fn("Stuck", func(_ *nodebus.Context, v, _ any) (any, error) {
			if n.Add(1) == 1 {
				<-release
			}
			return v, nil
		})
		first := r.start(&nodebus.Prompt{ID: "first", ClientID: "a", Nodes: pipe("a", "Stuck", 1)})
		synctest.Wait()
		second := r.start(&nodebus.Prompt{ClientID: "b", Nodes: pipe("b", "Stuck", 1)})
		synctest.Wait()
		interrupt(r.engine, "first")
		require.Equal(t, nodebus.Interrupted, first().record.State)
		require.Equal(t, []any{"1"}, second().text("bo"))
		close(release)
	})
}

func TestSection10ResultOfAnotherShapeIsIgnored(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Cache: wrongShape{}}, nil, func(r *rig) {
		r.counted("Count")
		require.Equal(t, []any{"1"}, r.run(pipe("a", "Count", 1)).text("ao"))
	})
}

// wrongShape returns results of an older program, with another number of outputs.
type wrongShape struct{}

func (wrongShape) Get(string) (flow.Result, bool) {
	return flow.Result{Outputs: []any{1, 2, 3}}, true
}
func (wrongShape) Put(string, flow.Result)  {}
func (wrongShape) Retain(func(string) bool) {}

func TestSection10WhatIsMadeAtRunTimeIsCached(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Cache: flow.NewCache(&flow.CacheOptions{})}, nil, func(r *rig) {
		n := r.counted("Count")
		r.makers("Made", func(_ *nodebus.Context, g *nodebus.Graph, v, _ any) (nodebus.Link, error) {
			return g.Add("Count", in{"in": "the same"}), nil
		})
		r.run(pipe("a", "ThenMade", 1))
		r.run(pipe("a", "ThenMade", 2))
		r.run(pipe("a", "NowMade", 3))
		require.Equal(t, int64(1), n.Load())
	})
}
