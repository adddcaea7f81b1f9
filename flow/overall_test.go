package flow_test

import (
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// These tests check Overall events, which report the progress of a prompt as one
// number.

// overall returns the values of the Overall events.
func (o outcome) overall() (all []float64) {
	for _, ev := range o.events {
		if p, ok := ev.Payload.(nodebus.Overall); ok {
			all = append(all, p.Value)
		}
	}
	return all
}

var withOverall = &flow.LocalOptions{Workers: 1, Overall: true}

// line returns a chain of nodes that return their input, and an output node.
func line(n int) nodebus.Nodes {
	g := nodebus.NewGraph()
	at := any(1)
	for i := range n {
		at = g.AddAs(fmt.Sprint(i), "Id", in{"in": at})
	}
	g.AddAs("out", "Show", in{"in": at})
	return g.Nodes()
}

func (r *rig) id() {
	r.fn("Id", func(_ *nodebus.Context, v, _ any) (any, error) { return v, nil })
}

func TestOverallIsToldToWhoAsks(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.id()
		require.Empty(t, r.run(line(3)).overall())
	})
	inBubble(t, withOverall, nil, func(r *rig) {
		r.id()
		require.Equal(t, []float64{0.25, 0.5, 0.75, 1}, r.run(line(3)).overall())
	})
}

func TestOverallCountsStepsOfANode(t *testing.T) {
	inBubble(t, withOverall, nil, func(r *rig) {
		r.fn("Steps", func(ctx *nodebus.Context, _, _ any) (any, error) {
			for _, step := range [][2]float64{{1, 4}, {2, 4}, {1, 4}, {-1, 4}, {9, 0}, {9, -1}, {3, 4}, {9, 4}} {
				ctx.Progress(step[0], step[1])
			}
			return 1, nil
		})
		require.Equal(t, []float64{0.125, 0.25, 0.375, 0.5, 1}, r.run(two("Steps")).overall(),
			"a step back is none, and no more counts than there is")
	})
}

// TestOverallLeavesOutWhatIsCached checks that cached nodes do not count.
func TestOverallLeavesOutWhatIsCached(t *testing.T) {
	inBubble(t, withOverall, nil, func(r *rig) {
		r.id()
		r.run(line(2))
		require.Equal(t, []float64{1}, r.run(line(2)).overall(), "everything is cached")
		longer := line(2)
		g := nodebus.NewGraph()
		g.AddAs("more", "Id", in{"in": nodebus.Link{Node: "1"}})
		g.AddAs("out2", "Show", in{"in": nodebus.Link{Node: "more"}})
		require.Equal(t, []float64{0.5, 1}, r.run(append(longer, g.Nodes()...)).overall())
	})
}

func TestOverallOfLazyInputs(t *testing.T) {
	inBubble(t, withOverall, nil, func(r *rig) {
		r.id()
		flow.Register(r.reg, either{}, nodebus.Info{Name: "Either"})
		g := nodebus.NewGraph()
		yes := g.Add("Id", in{"in": g.Add("Id", in{"in": 1})})
		no := g.Add("Id", in{"in": 2})
		g.AddAs("out", "Show", in{"in": g.AddAs("e", "Either", in{"yes": yes, "no": no, "which": true})})
		all := r.run(g.Nodes()).overall()
		// The nodes Either and Show have a half each. Either divides its half by three:
		// for two Id nodes and for itself.
		require.InDeltaSlice(t, []float64{1. / 6, 2. / 6, 3. / 6, 1}, all, 1e-9)
	})
}

// either returns one of its two lazy inputs.
type either struct {
	Yes, No nodebus.Lazy[any]
	Which   bool
}

func (n either) Run(ctx *nodebus.Context) (any, error) {
	if n.Which {
		return n.Yes.Get(ctx)
	}
	return n.No.Get(ctx)
}

func TestOverallOfNodesMadeAtRunTime(t *testing.T) {
	inBubble(t, withOverall, nil, func(r *rig) {
		r.id()
		flow.Register(r.reg, chainOf{}, nodebus.Info{Name: "ChainOf"})
		r.fn("Loop", func(ctx *nodebus.Context, times, tells any) (any, error) {
			n, _ := times.(int)
			for i := range n {
				if tells == true {
					ctx.Progress(float64(i), float64(n))
				}
				g := ctx.NewGraph()
				if _, err := nodebus.Eval[any](ctx, g, g.Add("Id", in{"in": fmt.Sprint(times, tells, i)})); err != nil {
					return nil, err
				}
			}
			return n, nil
		})
		graph := func(class string, inputs in) nodebus.Nodes {
			g := nodebus.NewGraph()
			g.AddAs("out", "Show", in{"in": g.AddAs("x", class, inputs)})
			return g.Nodes()
		}
		require.InDeltaSlice(t, []float64{0.1, 0.2, 0.3, 0.4, 0.5, 1},
			r.run(graph("ChainOf", in{"n": 4})).overall(), 1e-9, "five nodes have the half of one")

		all := r.run(graph("Loop", in{"in": 10_000})).overall()
		require.IsIncreasing(t, all)
		require.Equal(t, 1.0, all[len(all)-1])
		require.LessOrEqual(t, len(all), 100)

		all = r.run(graph("Loop", in{"in": 20, "in2": true})).overall()
		require.Len(t, all, 21, "a node that reports progress counts by its reports, not by the nodes that it makes")
		for i, v := range all[:20] {
			require.InDelta(t, float64(i+1)*0.025, v, 1e-9)
		}
	})
}

// chainOf expands to a chain of N nodes.
type chainOf struct{ N int }

func (c chainOf) Run(ctx *nodebus.Context) (nodebus.Out[any], error) {
	g := ctx.NewGraph()
	at := g.Add("Id", in{"in": 0})
	for range c.N - 1 {
		at = g.Add("Id", in{"in": at})
	}
	return nodebus.Out[any]{Graph: g, From: at}, nil
}

func TestOverallOfALargeGraph(t *testing.T) {
	inBubble(t, withOverall, nil, func(r *rig) {
		r.id()
		all := r.run(line(20_000)).overall()
		require.IsIncreasing(t, all)
		require.InDelta(t, 100, len(all), 1)
		require.Equal(t, 1.0, all[len(all)-1])
	})
}

func TestOverallOfAPromptThatFails(t *testing.T) {
	inBubble(t, withOverall, nil, func(r *rig) {
		r.id()
		r.fn("Fail", func(*nodebus.Context, any, any) (any, error) { return nil, fmt.Errorf("boom") })
		g := nodebus.NewGraph()
		g.AddAs("out", "Show", in{"in": g.Add("Fail", in{"in": g.Add("Id", in{"in": 1})})})
		require.InDeltaSlice(t, []float64{1. / 3}, r.run(g.Nodes()).overall(), 1e-9, "the value does not change after the failure")
	})
}
