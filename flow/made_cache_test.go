package flow_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/refpack"
	"github.com/stretchr/testify/require"
)

// Execution semantics, sections 6, 7, 10 and 11: what is cached when it is asked for at
// run time.

// chains returns a graph that expands RefExpand for each number below n.
func chains(n int) nodebus.Nodes {
	g := nodebus.NewGraph()
	g.AddAs("o", "RefOutput", in{"value": g.AddAs("x", "RefExpand", in{"value": g.AddAs("r", "RefRange", in{"n": n}), "depth": 2, "inner_output": false})})
	return g.Nodes()
}

// innerRan returns the nodes made at run time that ran.
func innerRan(o outcome) (ids []string) {
	for _, id := range executing(o.events) {
		if len(id) > 1 {
			ids = append(ids, id)
		}
	}
	return ids
}

// TestSection10ExpansionsAreCached checks that a node that expands again finds what the
// nodes that it made computed in an earlier prompt.
func TestSection10ExpansionsAreCached(t *testing.T) {
	for name, c := range map[string]func() flow.Cache{
		"default": func() flow.Cache { return nil },
		"classic": flow.ClassicCache,
		"bounded": func() flow.Cache { return flow.NewCache(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &flow.LocalOptions{Workers: 1, Cache: c()}, nil, func(r *rig) {
				refpack.Register(r.reg, nil)
				require.Len(t, innerRan(r.run(chains(2))), 4)
				require.Empty(t, innerRan(r.run(chains(2))), "everything is cached")
				o := r.run(chains(3))
				require.Equal(t, []string{"x.2.0.1", "x.2.0.2"}, innerRan(o))
				require.Equal(t, []any{"2", "3", "4"}, o.text("o"))
			})
		})
	}
}

// TestSection10ClassicCacheKeepsWhatMayBeMadeAgain checks what the classic cache keeps of
// nodes made at run time, also of nodes that made others in their turn.
func TestSection10ClassicCacheKeepsWhatMayBeMadeAgain(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1, Cache: flow.ClassicCache()}, nil, func(r *rig) {
		n := r.counted("Count")
		r.makers("Inner", func(_ *nodebus.Context, g *nodebus.Graph, v, _ any) (nodebus.Link, error) {
			return g.Add("Count", in{"in": v}), nil
		})
		r.makers("Outer", func(_ *nodebus.Context, g *nodebus.Graph, v, same any) (nodebus.Link, error) {
			return g.Add("ThenInner", in{"in": v, "in2": same}), nil
		})
		graph := func(id string, v, same, own any) nodebus.Nodes {
			g := nodebus.NewGraph()
			g.AddAs("o", "Show", in{"in": g.AddAs(id, "ThenOuter", in{"in": v, "in2": same, "own": own})})
			return g.Nodes()
		}
		for k, c := range []struct {
			why           string
			id            string
			v, inner, own int
			want          int64
		}{
			{"everything is new", "x", 1, 1, 1, 1},
			{"the outer node runs again, the inner node does not", "x", 1, 1, 2, 1},
			{"the inner node runs again", "x", 1, 2, 3, 1},
			{"the outer node does not run", "x", 1, 2, 3, 1},
			{"after that, the inner node runs again", "x", 1, 3, 4, 1},
			{"another value", "x", 2, 3, 5, 2},
			{"the first value was not made any more", "x", 1, 3, 6, 3},
			{"another node, which is new", "y", 7, 3, 6, 4},
			{"nothing of the node that was not in the last prompt is left", "x", 1, 3, 7, 5},
		} {
			r.run(graph(c.id, c.v, c.inner, c.own))
			require.Equal(t, c.want, n.Load(), "%d: %s", k, c.why)
		}
	})
}

// TestSection11CachedNodesThatAreMadeAreNotVisited checks that nodes made at run time
// whose results are cached send nothing.
func TestSection11CachedNodesThatAreMadeAreNotVisited(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		refpack.Register(r.reg, nil)
		r.run(chains(2))
		o := r.run(chains(3))
		require.Equal(t, []string{
			"start", "cached", "executing r", "executing x", "executing x.2.0.1", "executing x.2.0.2",
			"executing o", "executed o", "success", "executing ",
		}, o.types())
		for _, ev := range o.events {
			if p, ok := ev.Payload.(nodebus.ProgressState); ok {
				for _, n := range p.Nodes() {
					require.NotContains(t, []string{"x.0.0.1", "x.0.0.2", "x.1.0.1", "x.1.0.2"}, n.UniqueID)
				}
			}
		}
	})
}

// TestSection11CachedOutputNodesThatAreMadeAreShown checks that an output node made at
// run time is visited although its result is cached, as in the reference.
func TestSection11CachedOutputNodesThatAreMadeAreShown(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		refpack.Register(r.reg, nil)
		graph := func(sum int) nodebus.Nodes {
			g := nodebus.NewGraph()
			a := g.AddAs("a", "RefAdd", in{"a": sum - 1, "b": 1})
			g.AddAs("o", "RefOutput", in{"value": g.AddAs("x", "RefExpand", in{"value": a, "depth": 2, "inner_output": true})})
			return g.Nodes()
		}
		r.run(graph(1))
		g := graph(1)
		g[0].Inputs = in{"a": 1, "b": 0} // the same sum in another way
		o := r.run(g)
		require.Equal(t, []string{
			"start", "cached", "executing a", "executing x", "executed x.0.0.3", "executing o", "executed o", "success", "executing ",
		}, o.types())
		require.Equal(t, []any{"3"}, o.text("x.0.0.3"))
	})
}

// TestSection7CachedSourceIsNotVisited checks that a lazy request for a node whose twin
// has run already is answered at once, and says nothing of the node.
func TestSection7CachedSourceIsNotVisited(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		refpack.Register(r.reg, nil)
		g := nodebus.NewGraph()
		a, twin := g.AddAs("a", "RefPass", in{"value": true}), g.AddAs("twin", "RefPass", in{"value": true})
		g.AddAs("o", "RefOutput", in{"value": g.AddAs("sw", "RefLazySwitch", in{"cond": a, "on_true": twin, "on_false": 1})})
		o := r.run(g.Nodes())
		require.Equal(t, []any{"True"}, o.text("o"))
		require.Equal(t, []string{"start", "cached", "executing a", "executing sw", "executing o", "executed o", "success", "executing "}, o.types())
	})
}

// TestSection7AskedForAndScheduled checks the order when a node asks for a source that
// another node needs anyway.
func TestSection7AskedForAndScheduled(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		refpack.Register(r.reg, nil)
		g := nodebus.NewGraph()
		n0 := g.AddAs("n0", "StubInt", in{"value": 1})
		n1 := g.AddAs("n1", "StubInt", in{"value": 2})
		n2 := g.AddAs("n2", "RefAdd", in{"a": n1, "b": n0})
		g.AddAs("o1", "RefOutput", in{"value": g.AddAs("sw", "RefLazySwitch", in{"cond": true, "on_true": n1, "on_false": 1})})
		g.AddAs("o2", "RefOutput", in{"value": g.AddAs("p", "RefPass", in{"value": n2})})
		require.Equal(t, []string{"sw", "n1", "o1", "n0", "n2", "p", "o2"}, executing(r.run(g.Nodes()).events))
	})
}
