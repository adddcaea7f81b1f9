package flow_test

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// sharedOutput returns a graph whose outputs o and p both need b, which needs a. b is an output, too.
func sharedOutput(v, last any) nodebus.Nodes {
	g := nodebus.NewGraph()
	b := g.AddAs("b", "Both", in{"in": g.AddAs("a", "Plain", in{"in": v})})
	g.AddAs("o", "Show", in{"in": b})
	g.AddAs("p", "Show", in{"in": g.AddAs("c", "Plain", in{"in": b, "in2": last})})
	return g.Nodes()
}

// eachCache runs a test with classes Both, which is an output node, Plain and Lazy, and with both
// kinds of caches.
func eachCache(t *testing.T, test func(r *rig)) {
	intermediates(t, func(r *rig) {
		flow.Register(r.reg, measure{}, nodebus.Info{Name: "Both", Output: true})
		test(r)
	})
}

// TestNewest7_CachedNodeIsShownOnce: a cached node that is visited sends executed once, however
// many nodes need it, and the record has what it shows, also of a prompt without a client.
func TestNewest7_CachedNodeIsShownOnce(t *testing.T) {
	eachCache(t, func(r *rig) {
		r.run(sharedOutput(1, 1))
		for _, client := range []string{"client", "", "another"} {
			for _, last := range []int{1, 2} { // with 2, c and p run
				o := r.submit(&nodebus.Prompt{Nodes: sharedOutput(1, last), ClientID: client})
				require.Equal(r.t, nodebus.Succeeded, o.record.State)
				for _, id := range []string{"b", "o", "p"} {
					shown := 0
					for _, typ := range o.types() {
						if typ == "executed "+id {
							shown++
						}
					}
					require.Equal(r.t, 1, shown, "%s of %q", id, client)
				}
				require.ElementsMatch(r.t, []string{"b", "o", "p"}, intersect(o.outputs(), []string{"b", "o", "p"}), client)
				require.Equal(r.t, []any{"measured"}, o.text("b"), client)
			}
		}
	})
}

func intersect(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !slices.Contains(some, s) })
}

// TestNewest7_IntermediateOutput: a flagged node that is cached and was not visited sends
// executed immediately before success, and the record has it; the flag does not make it an output node.
func TestNewest7_IntermediateOutput(t *testing.T) {
	eachCache(t, func(r *rig) {
		_, err := r.engine.Submit(r.ctx, &nodebus.Prompt{Nodes: midway("Measure", 1)[:2]}, nil)
		var invalid *nodebus.ValidationError
		require.ErrorAs(r.t, err, &invalid)
		require.Equal(r.t, "prompt_no_outputs", invalid.Type)

		first := r.run(midway("Measure", 1))
		require.Equal(r.t, 1, timesIn(first.types(), "executed m"), "it was executed now")
		for _, client := range []string{"client", ""} {
			o := r.submit(&nodebus.Prompt{Nodes: midway("Measure", 1), ClientID: client})
			require.Equal(r.t, []string{"start", "cached a m o", "executed o", "executed m", "success", "executing "}, o.types())
			require.Equal(r.t, []any{"measured"}, o.text("m"), "the record has it whoever the client is")
			for _, ev := range o.events {
				if p, ok := ev.Payload.(nodebus.Executed); ok && p.UniqueID == "m" {
					require.Equal(r.t, nodebus.Text("measured"), p.Output)
				}
			}
		}
	})
}

func timesIn(list []string, s string) (n int) {
	for _, e := range list {
		if e == s {
			n++
		}
	}
	return n
}

// forgetful is a cache that keeps nothing that the node a returned.
type forgetful struct{ flow.Cache }

func (c forgetful) Put(key string, res flow.Result) {
	if len(res.Outputs) != 1 || res.Outputs[0] != "from a" {
		c.Cache.Put(key, res)
	}
}

// TestNewest7_AncestorsOfACachedNodeDoNotRun: neither if a node downstream runs, nor if it needs
// the cached node only at run time.
func TestNewest7_AncestorsOfACachedNodeDoNotRun(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1, Cache: forgetful{flow.NewCache(nil)}}, nil, func(r *rig) {
		var ran atomic.Int32
		r.fn("A", func(*nodebus.Context, any, any) (any, error) {
			ran.Add(1)
			return "from a", nil
		})
		r.fn("B", func(_ *nodebus.Context, v, _ any) (any, error) { return "b" + v.(string), nil })
		flow.Register(r.reg, getsLazily{}, nodebus.Info{Name: "Lazily"})
		graph := func(v int, between string) nodebus.Nodes {
			g := nodebus.NewGraph()
			b := g.AddAs("b", "B", in{"in": g.AddAs("a", "A", in{})})
			g.AddAs("o", "Show", in{"in": g.AddAs("c", between, in{"in": b, "n": v})})
			return g.Nodes()
		}
		r.fn("Plainly", func(_ *nodebus.Context, v, _ any) (any, error) { return v, nil })
		r.run(graph(0, "Plainly"))
		for v, between := range []string{"Plainly", "Lazily"} {
			o := r.run(graph(v+1, between))
			require.Equal(r.t, []any{"bfrom a"}, o.text("o"))
			require.NotContains(r.t, o.types(), "executing a")
			require.NotContains(r.t, o.types(), "executing b")
			require.Contains(r.t, o.types(), "cached b")
		}
		require.EqualValues(r.t, 1, ran.Load())
	})
}

// getsLazily passes on what it asks for.
type getsLazily struct {
	In nodebus.Lazy[any]
	N  int
}

func (n getsLazily) Run(ctx *nodebus.Context) (any, error) { return n.In.Get(ctx) }

// usesID shows the id of its node without a hidden input, and hasID with one.
type (
	usesID struct{ In any }
	hasID  struct {
		In any
		ID string `in:"unique_id" hidden:"UNIQUE_ID"`
	}
)

func (usesID) Run(ctx *nodebus.Context) (nodebus.UI, error) { return nodebus.Text(ctx.UniqueID()), nil }
func (n hasID) Run(*nodebus.Context) (nodebus.UI, error)    { return nodebus.Text(n.ID), nil }

// TestNewest7_UniqueIDInTheKey: the id of a node is a part of the cache key if the node has the
// hidden input, as for the classic nodes of ComfyUI. A node that takes the id from its context
// is like a node of V3: the id is not in the key.
func TestNewest7_UniqueIDInTheKey(t *testing.T) {
	eachCache(t, func(r *rig) {
		flow.Register(r.reg, hasID{}, nodebus.Info{Name: "Has"})
		flow.Register(r.reg, usesID{}, nodebus.Info{Name: "Uses"})
		graph := func(class, id string) nodebus.Nodes {
			g := nodebus.NewGraph()
			g.AddAs(id, class, in{"in": 1})
			return g.Nodes()
		}
		r.run(graph("Has", "1"))
		require.Equal(r.t, []string{"start", "cached", "executing 2", "executed 2", "success", "executing "}, r.run(graph("Has", "2")).types())
		r.run(graph("Uses", "1"))
		o := r.run(graph("Uses", "2"))
		require.Equal(r.t, []string{"start", "cached 2", "executed 2", "success", "executing "}, o.types())
		require.Equal(r.t, []any{"1"}, o.text("2"))
	})
}

// TestNewest7_ResultsOutliveAnotherWorkflow: with the default cache, two workflows that take
// turns both hit, and the list of cached nodes has all nodes with a result, also those that
// no output needs. The classic cache forgets the first workflow.
func TestNewest7_ResultsOutliveAnotherWorkflow(t *testing.T) {
	graph := func(v any) nodebus.Nodes {
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("a", "Plain", in{"in": v})})
		g.AddAs("rest", "Plain", in{"in": v})
		return g.Nodes()
	}
	for name, tt := range map[string]struct {
		cache  flow.Cache
		cached []string
	}{
		"default": {nil, []string{"cached", "cached", "cached a o rest", "cached a o rest", "cached a o rest"}},
		"classic": {flow.ClassicCache(), []string{"cached", "cached", "cached", "cached", "cached a o rest"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &flow.LocalOptions{Workers: 1, Cache: tt.cache}, nil, func(r *rig) {
				flow.Register(r.reg, measure{}, nodebus.Info{Name: "Plain"})
				var cached []string
				for _, v := range []int{1, 2, 1, 2, 2} {
					cached = append(cached, r.run(graph(v)).types()[1])
				}
				require.Equal(r.t, tt.cached, cached)
			})
		})
	}
}

// TestCachedNodeIsReadWhileItIsShown: nodes behind a cached output node do not wait until it is
// shown. The race detector finds out whether showing it writes what they read.
func TestCachedNodeIsReadWhileItIsShown(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 4}, nil, func(r *rig) {
		flow.Register(r.reg, measure{}, nodebus.Info{Name: "Both", Output: true})
		flow.Register(r.reg, measure{}, nodebus.Info{Name: "Plain"})
		graph := func(last int) nodebus.Nodes {
			g := nodebus.NewGraph()
			b := g.AddAs("b", "Both", in{"in": 1})
			for i := range 8 {
				id := string(rune('c' + i))
				g.AddAs("o"+id, "Show", in{"in": g.AddAs(id, "Plain", in{"in": b, "in2": 10*last + i})})
			}
			return g.Nodes()
		}
		for last := range 60 {
			require.Equal(r.t, nodebus.Succeeded, r.run(graph(last)).record.State)
		}
	})
}
