package flow_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestAnswersAreNotCached: the same prompt asks again, although its inputs are the same.
// What depends on the answer is computed again, however it depends on it. What does not is
// cached.
func TestAnswersAreNotCached(t *testing.T) {
	for name, graph := range map[string]func(g *nodebus.Graph, before nodebus.Link) (ask string, out nodebus.Link){
		"an input": func(g *nodebus.Graph, before nodebus.Link) (string, nodebus.Link) {
			return "x", g.AddAs("x", "Ask", in{"in": before})
		},
		"inputs of inputs": func(g *nodebus.Graph, before nodebus.Link) (string, nodebus.Link) {
			return "x", g.AddAs("z", "Pass", in{"in": g.AddAs("y", "Pass", in{"in": g.AddAs("x", "Ask", in{"in": before})})})
		},
		"a lazy input": func(g *nodebus.Graph, before nodebus.Link) (string, nodebus.Link) {
			return "x", g.AddAs("y", "Lazy", in{"a": g.AddAs("x", "Ask", in{"in": before})})
		},
		"a lazy input of two": func(g *nodebus.Graph, before nodebus.Link) (string, nodebus.Link) {
			a := g.AddAs("x", "Ask", in{"in": before})
			return "x", g.AddAs("y", "Lazy", in{"a": g.AddAs("z", "Lazy", in{"a": a})})
		},
		"Eval": func(g *nodebus.Graph, before nodebus.Link) (string, nodebus.Link) {
			return "y.0.0.made", g.AddAs("y", "Eval", in{"in": before})
		},
		"an expansion": func(g *nodebus.Graph, before nodebus.Link) (string, nodebus.Link) {
			return "y.0.0.made", g.AddAs("y", "Expand", in{"in": before})
		},
		"an input of a rest field": func(g *nodebus.Graph, before nodebus.Link) (string, nodebus.Link) {
			return "x", g.AddAs("y", "Others", in{"in": 1, "other": g.AddAs("x", "Ask", in{"in": before})})
		},
		"a dropped input": func(g *nodebus.Graph, before nodebus.Link) (string, nodebus.Link) {
			return "x", g.AddAs("y", "Others", in{"in": 1, "mode.dead": g.AddAs("x", "Ask", in{"in": before})})
		},
	} {
		for cache, c := range map[string]func() flow.Cache{
			"default": func() flow.Cache { return nil },
			"all":     func() flow.Cache { return flow.NewCache(&flow.CacheOptions{Entries: 1000}) },
		} {
			t.Run(name+"/"+cache, func(t *testing.T) {
				inBubble(t, &flow.LocalOptions{Workers: 1, Cache: c()}, nil, func(r *rig) {
					asksFor[int](r, "Ask", "q", nil)
					calls := r.counted("Count")
					r.fn("Pass", func(_ *nodebus.Context, in, _ any) (any, error) { return in, nil })
					r.lazy("Lazy", func(ctx *nodebus.Context, a, _ nodebus.Lazy[int]) (any, error) { return a.Get(ctx) })
					r.fn("Eval", func(ctx *nodebus.Context, in, _ any) (any, error) {
						g := ctx.NewGraph()
						return nodebus.Eval[any](ctx, g, g.AddAs("made", "Ask", nodebus.Inputs{"in": in}))
					})
					flow.Register(r.reg, expander{}, nodebus.Info{Name: "Expand"})
					flow.Register(r.reg, liveOthers{}, nodebus.Info{Name: "Others"})
					for i := range 3 {
						g := nodebus.NewGraph()
						ask, out := graph(g, g.AddAs("before", "Count", nil))
						g.AddAs("out", "Show", in{"in": out})
						id := fmt.Sprint("p", i)
						wait := r.start(&nodebus.Prompt{ID: id, ClientID: "client", Nodes: g.Nodes()})
						synctest.Wait()
						require.NoError(t, r.engine.Answer(r.ctx, id, ask, "q", i))
						o := wait()
						if name != "a dropped input" {
							require.Equal(t, []any{fmt.Sprint(i)}, o.text("out"))
						}
						require.True(t, slices.Contains(o.types(), "executing out"), "%v", o.types())
					}
					require.EqualValues(t, 1, calls.Load())
				})
			})
		}
	}
}

// expander makes a node that asks, and does not wait for it.
type expander struct{ In any }

func (n expander) Run(ctx *nodebus.Context) (nodebus.Out[any], error) {
	g := ctx.NewGraph()
	return nodebus.Out[any]{Graph: g, From: g.AddAs("made", "Ask", nodebus.Inputs{"in": n.In})}, nil
}
