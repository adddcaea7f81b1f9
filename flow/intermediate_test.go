package flow_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// measured is what a node of class Measure returns: its input, and what it shows.
type measured struct {
	Value any `out:"value"`
	UI    nodebus.UI
}

// measure passes its input on and shows it.
type measure struct {
	In   any `in:"in,optional"`
	In2  any `in:"in2,optional"`
	mute bool
}

func (n measure) Run(*nodebus.Context) (measured, error) {
	if n.mute {
		return measured{Value: n.In}, nil
	}
	return measured{n.In, nodebus.Text("measured")}, nil
}

// intermediates runs a test with a class Measure that has intermediate outputs, a class
// Quiet that has them and shows nothing, and with both kinds of caches.
func intermediates(t *testing.T, test func(r *rig)) {
	for name, cache := range map[string]func() flow.Cache{
		"default": func() flow.Cache { return nil },
		"classic": flow.ClassicCache,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &flow.LocalOptions{Workers: 1, Cache: cache()}, nil, func(r *rig) {
				flow.Register(r.reg, measure{}, nodebus.Info{Name: "Measure", Intermediate: true})
				flow.Register(r.reg, measure{mute: true}, nodebus.Info{Name: "Quiet", Intermediate: true})
				flow.Register(r.reg, measure{}, nodebus.Info{Name: "Plain"})
				test(r)
			})
		})
	}
}

// midway returns a graph in which the output node o needs m of a class, which needs a.
func midway(class string, v any) nodebus.Nodes {
	g := nodebus.NewGraph()
	g.AddAs("o", "Show", in{"in": g.AddAs("m", class, in{"in": g.AddAs("a", "Plain", in{"in": v})})})
	return g.Nodes()
}

// outputs returns the ids of the nodes whose output the record has, in order.
func (o outcome) outputs() (ids []string) {
	for _, out := range o.record.Outputs {
		ids = append(ids, out.UniqueID)
	}
	return ids
}

// nodes returns the ids of the nodes that the record describes, in no particular order.
func (o outcome) nodes() (ids []string) {
	for _, n := range o.record.Nodes {
		ids = append(ids, n.UniqueID)
	}
	return ids
}

func TestIntermediateIsShownAgain(t *testing.T) {
	intermediates(t, func(r *rig) {
		first := r.run(midway("Measure", 1))
		require.Equal(r.t, []string{
			"start", "cached", "executing a", "executed a", "executing m", "executed m",
			"executing o", "executed o", "success", "executing ",
		}, first.types())
		for range 2 {
			again := r.run(midway("Measure", 1))
			require.Equal(r.t, []string{"start", "cached a m o", "executed o", "executed m", "success", "executing "}, again.types())
			require.Equal(r.t, []string{"o", "m"}, again.outputs(), "the plain node is not shown")
			require.Equal(r.t, []any{"measured"}, again.text("m"))
			require.ElementsMatch(r.t, []string{"o", "m"}, again.nodes())
			require.Equal(r.t, nodebus.Place{UniqueID: "m", DisplayID: "m", RealID: "m"}, again.record.Outputs[1].Place)
		}
	})
}

// TestIntermediateBesideOthers: the node's result is used by a node that runs.
func TestIntermediateBesideOthers(t *testing.T) {
	intermediates(t, func(r *rig) {
		r.run(midway("Measure", 1))
		g := nodebus.NewGraph()
		m := g.AddAs("m", "Measure", in{"in": g.AddAs("a", "Plain", in{"in": 1})})
		g.AddAs("o", "Show", in{"in": g.AddAs("n", "Plain", in{"in": m, "in2": 1})})
		require.Equal(r.t, []string{
			"start", "cached a m", "executing n", "executed n", "executing o", "executed o", "executed m", "success", "executing ",
		}, r.run(g.Nodes()).types())
	})
}

// TestIntermediateWithoutUI: as for every cached node that is visited, the output is null.
func TestIntermediateWithoutUI(t *testing.T) {
	intermediates(t, func(r *rig) {
		r.run(midway("Quiet", 1))
		again := r.run(midway("Quiet", 1))
		require.Equal(r.t, []string{"start", "cached a m o", "executed o", "executed m", "success", "executing "}, again.types())
		require.Equal(r.t, []string{"o"}, again.outputs())
	})
}

// TestIntermediateOnce: a node that was visited because it is an output is shown once.
func TestIntermediateOnce(t *testing.T) {
	intermediates(t, func(r *rig) {
		flow.Register(r.reg, measure{}, nodebus.Info{Name: "Both", Intermediate: true, Output: true})
		r.run(midway("Both", 1))
		again := r.run(midway("Both", 1))
		require.ElementsMatch(r.t, []string{"start", "cached a m o", "executed m", "executed o", "success", "executing "}, again.types())
		require.Equal(r.t, "success", again.types()[4])
	})
}

// TestIntermediateNobodyNeeds: a node that no output needs is shown if its result is known,
// and does not run for it.
func TestIntermediateNobodyNeeds(t *testing.T) {
	intermediates(t, func(r *rig) {
		graph := func(v any) nodebus.Nodes {
			g := nodebus.NewGraph()
			g.AddAs("o", "Show", in{"in": g.AddAs("m", "Measure", in{"in": v})})
			g.AddAs("twin", "Measure", in{"in": v})
			g.AddAs("other", "Measure", in{"in": "other"})
			return g.Nodes()
		}
		require.Equal(r.t, []string{
			"start", "cached", "executing m", "executed m", "executing o", "executed o", "executed twin", "success", "executing ",
		}, r.run(graph(1)).types(), "the node's twin has run")
		require.Equal(r.t, []string{
			"start", "cached m o twin", "executed o", "executed m", "executed twin", "success", "executing ",
		}, r.run(graph(1)).types())
	})
}

// TestIntermediateNotAfterErrors: a prompt that fails shows nothing again, also if it
// continues after errors.
func TestIntermediateNotAfterErrors(t *testing.T) {
	intermediates(t, func(r *rig) {
		r.fn("Fail", func(*nodebus.Context, any, any) (any, error) { return nil, errors.New("no") })
		graph := func(class string) nodebus.Nodes {
			g := nodebus.NewGraph()
			m := g.AddAs("m", "Measure", in{"in": 1})
			g.AddAs("o", "Show", in{"in": g.AddAs("f", class, in{"in": m})})
			return g.Nodes()
		}
		r.run(graph("Plain"))
		for _, policy := range []nodebus.Policy{{}, {Continue: true}} {
			o := r.submit(&nodebus.Prompt{Nodes: graph("Fail"), ClientID: "client", Policy: policy})
			require.Equal(r.t, nodebus.Failed, o.record.State)
			require.NotContains(r.t, o.types(), "executed m")
			require.Empty(r.t, o.record.Outputs)
		}
	})
}

// TestIntermediateMadeAtRunTime: nodes made at run time are shown, too. The node that made
// them runs again and makes the same nodes.
func TestIntermediateMadeAtRunTime(t *testing.T) {
	intermediates(t, func(r *rig) {
		r.makers("Make", func(_ *nodebus.Context, g *nodebus.Graph, v, _ any) (nodebus.Link, error) {
			return g.AddAs("last", "Plain", in{"in": g.AddAs("m", "Measure", in{"in": 1}), "in2": v}), nil
		})
		graph := func(v any) nodebus.Nodes {
			g := nodebus.NewGraph()
			g.AddAs("o", "Show", in{"in": g.AddAs("x", "ThenMake", in{"in": v})})
			return g.Nodes()
		}
		r.run(graph(1))
		again := r.run(graph(2))
		require.Equal(r.t, []string{
			"start", "cached", "executing x", "executing x.0.0.last", "executed x.0.0.last",
			"executing o", "executed o", "executed x.0.0.m", "success", "executing ",
		}, again.types())
		require.Contains(r.t, again.outputs(), "x.0.0.m")
		require.Equal(r.t, nodebus.Place{UniqueID: "x.0.0.m", DisplayID: "x", ParentID: "x", RealID: "x"}, again.record.Outputs[2].Place)
	})
}

// TestIntermediateWithoutCache: what is not cached is not shown again.
func TestIntermediateWithoutCache(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1, Cache: flow.NoCache()}, nil, func(r *rig) {
		flow.Register(r.reg, measure{}, nodebus.Info{Name: "Measure", Intermediate: true})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": 1})
		g.AddAs("m", "Measure", in{"in": 1})
		for range 2 {
			require.Equal(t, []string{"start", "cached", "executing o", "executed o", "success", "executing "}, r.run(g.Nodes()).types())
		}
	})
}

// mutedCache is a cache that does not answer while it is held.
type mutedCache struct {
	flow.Cache
	held atomic.Pointer[chan struct{}]
}

func (c *mutedCache) Get(key string) (flow.Result, bool) {
	if held := c.held.Load(); held != nil {
		<-*held
	}
	return c.Cache.Get(key)
}

// TestIntermediateWithACacheThatHangs: an interrupt ends a prompt whose nodes have ended and
// whose cache does not return.
func TestIntermediateWithACacheThatHangs(t *testing.T) {
	cache := &mutedCache{Cache: flow.NewCache(nil)}
	inBubble(t, &flow.LocalOptions{Workers: 1, Cache: cache}, nil, func(r *rig) {
		held := make(chan struct{})
		defer close(held)
		flow.Register(r.reg, measure{}, nodebus.Info{Name: "Measure", Intermediate: true})
		r.fn("Hold", func(_ *nodebus.Context, v, _ any) (any, error) {
			cache.held.Store(&held)
			return v, nil
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("h", "Hold", in{"in": 1})})
		g.AddAs("m", "Measure", in{"in": 1})
		wait := r.start(&nodebus.Prompt{ID: "p", Nodes: g.Nodes(), ClientID: "client"})
		synctest.Wait()
		require.True(t, interrupt(r.engine, "p"))
		require.NotContains(t, wait().types(), "executed m")
	})
}

// fickle is a value that has a form on the wire only while it is well.
type fickle struct{ ill *atomic.Bool }

func (f fickle) MarshalJSON() ([]byte, error) {
	if f.ill.Load() {
		return nil, errors.New("ill")
	}
	return []byte(`"well"`), nil
}

type showsFickle struct{ ill *atomic.Bool }

func (n showsFickle) Run(*nodebus.Context) (measured, error) {
	return measured{1, nodebus.UI{"text": {fickle(n)}}}, nil
}

// TestIntermediateThatCannotBeEncoded: the prompt succeeds without the output, and the other
// outputs are shown.
func TestIntermediateThatCannotBeEncoded(t *testing.T) {
	intermediates(t, func(r *rig) {
		var ill atomic.Bool
		flow.Register(r.reg, showsFickle{&ill}, nodebus.Info{Name: "Fickle", Intermediate: true})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("f", "Fickle", nil), "in2": g.AddAs("m", "Measure", in{"in": 1})})
		r.run(g.Nodes())
		ill.Store(true)
		require.Equal(r.t, []string{"o", "m"}, r.run(g.Nodes()).outputs())
		ill.Store(false)
		require.Equal(r.t, []string{"o", "f", "m"}, r.run(g.Nodes()).outputs())
	})
}
