package flow_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Execution semantics, section 11: nodes made at run time.

// maker is a node that makes other nodes: f adds them to a graph. The type then
// returns their result as its own output; the type now waits for their result with
// Eval.
type maker struct {
	In  any `in:"in,optional"`
	In2 any `in:"in2,optional"`
	f   func(ctx *nodebus.Context, g *nodebus.Graph, in, in2 any) (nodebus.Link, error)
}

type (
	then struct{ maker }
	now  struct{ maker }
)

func (n then) Run(ctx *nodebus.Context) (nodebus.Out[any], error) {
	g := ctx.NewGraph()
	l, err := n.f(ctx, g, n.In, n.In2)
	return nodebus.Out[any]{From: l, Graph: g}, err
}

func (n now) Run(ctx *nodebus.Context) (any, error) {
	g := ctx.NewGraph()
	l, err := n.f(ctx, g, n.In, n.In2)
	if err != nil {
		return nil, err
	}
	return nodebus.Eval[any](ctx, g, l)
}

// makers registers two classes for a function: "Then"+name and "Now"+name.
func (r *rig) makers(name string, f func(ctx *nodebus.Context, g *nodebus.Graph, in, in2 any) (nodebus.Link, error)) {
	flow.Register(r.reg, then{maker{f: f}}, nodebus.Info{Name: "Then" + name})
	flow.Register(r.reg, now{maker{f: f}}, nodebus.Info{Name: "Now" + name})
}

// bothWays runs a test with both kinds of nodes, and with one and with four workers.
func bothWays(t *testing.T, test func(r *rig, kind string)) {
	for _, kind := range []string{"Then", "Now"} {
		for _, workers := range []int{1, 4} {
			t.Run(fmt.Sprint(kind, "/", workers), func(t *testing.T) {
				inBubble(t, &flow.LocalOptions{Workers: workers}, nil, func(r *rig) {
					lists(r)
					r.fn("Inc", func(_ *nodebus.Context, v, _ any) (any, error) { return v.(int) + 1, nil })
					test(r, kind)
				})
			})
		}
	}
}

func TestSection11IdsAndEvents(t *testing.T) {
	bothWays(t, func(r *rig, kind string) {
		r.makers("Two", func(_ *nodebus.Context, g *nodebus.Graph, v, _ any) (nodebus.Link, error) {
			return g.AddAs("last", "Inc", in{"in": g.Add("Inc", in{"in": v})}), nil
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("x", kind+"Two", in{"in": 5})})
		o := r.run(g.Nodes())
		require.Equal(r.t, []any{"7"}, o.text("o"))
		want := []string{"start", "cached", "executing x", "executing x.0.0.1", "executing x.0.0.last"}
		if kind == "Now" {
			want = append(want, "executing x") // the node continues after Eval
		}
		require.Equal(r.t, append(want, "executing o", "executed o", "success", "executing "), o.types())
		for _, ev := range o.events {
			switch p := ev.Payload.(type) {
			case nodebus.Executing:
				if p.UniqueID == "x.0.0.1" {
					require.Equal(r.t, "x", p.DisplayID)
				}
			case nodebus.ProgressState:
				for _, n := range p.Nodes() {
					if n.UniqueID == "x.0.0.1" {
						require.Equal(r.t, nodebus.NodeState{Value: n.Value, Max: 1, State: n.State, Place: nodebus.Place{UniqueID: "x.0.0.1", DisplayID: "x", ParentID: "x", RealID: "x"}}, n)
					}
				}
			}
		}
		again := r.run(g.Nodes())
		require.Equal(r.t, []string{"start", "cached x o", "executed o", "success", "executing "}, again.types())
	})
}

func TestSection11NestedAndRecursive(t *testing.T) {
	bothWays(t, func(r *rig, kind string) {
		r.makers("Down", func(_ *nodebus.Context, g *nodebus.Graph, v, sum any) (nodebus.Link, error) {
			if v.(int) == 0 {
				return g.Add("Inc", in{"in": sum}), nil
			}
			return g.Add(kind+"Down", in{"in": v.(int) - 1, "in2": sum.(int) + v.(int)}), nil
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("x", kind+"Down", in{"in": 30, "in2": 0})})
		o := r.run(g.Nodes())
		require.Equal(r.t, []any{"466"}, o.text("o"))
		deepest := "x"
		for range 31 {
			deepest += ".0.0.1"
		}
		var parent string
		for _, ev := range o.events {
			if p, ok := ev.Payload.(nodebus.ProgressState); ok {
				for _, n := range p.Nodes() {
					if n.UniqueID == deepest {
						require.Equal(r.t, "x", n.DisplayID)
						require.Equal(r.t, "x", n.RealID)
						parent = n.ParentID
					}
				}
			}
		}
		require.Equal(r.t, deepest[:len(deepest)-len(".0.0.1")], parent)
	})
}

func TestSection11MappedOverAList(t *testing.T) {
	bothWays(t, func(r *rig, kind string) {
		r.makers("Spread", func(_ *nodebus.Context, g *nodebus.Graph, v, _ any) (nodebus.Link, error) {
			return g.Add("Range", in{"n": v}), nil
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("x", kind+"Spread", in{"in": g.Add("Range", in{"n": 4})})})
		o := r.run(g.Nodes())
		if kind == "Then" {
			require.Equal(r.t, []any{"0", "0", "1", "0", "1", "2"}, o.text("o"), "lists are joined across calls")
		} else {
			require.Equal(r.t, []any{"[]", "0", "[0 1]", "[0 1 2]"}, o.text("o"), "each call has its value")
		}
		require.Contains(r.t, o.types(), "executing x.3.0.1")
	})
}

func TestSection11OutputsInside(t *testing.T) {
	bothWays(t, func(r *rig, kind string) {
		r.makers("Shown", func(_ *nodebus.Context, g *nodebus.Graph, v, _ any) (nodebus.Link, error) {
			l := g.Add("Inc", in{"in": v})
			g.AddAs("show", "Show", in{"in": l})
			return l, nil
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("x", kind+"Shown", in{"in": 5})})
		o := r.run(g.Nodes())
		require.Equal(r.t, []any{"6"}, o.text("o"))
		at := slices.IndexFunc(o.record.Outputs, func(n nodebus.NodeOutput) bool { return n.UniqueID == "x.0.0.show" })
		require.GreaterOrEqual(r.t, at, 0)
		require.Equal(r.t, nodebus.NodeOutput{
			Place: nodebus.Place{UniqueID: "x.0.0.show", DisplayID: "x", ParentID: "x", RealID: "x"}, UI: nodebus.Text("6"),
		}, o.record.Outputs[at])
	})
}

func TestSection11ErrorsInside(t *testing.T) {
	bothWays(t, func(r *rig, kind string) {
		r.fn("Fail", func(*nodebus.Context, any, any) (any, error) { return nil, errors.New("inner boom") })
		r.makers("Bad", func(_ *nodebus.Context, g *nodebus.Graph, v, _ any) (nodebus.Link, error) {
			return g.AddAs("bad", "Fail", in{"in": v}), nil
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("x", kind+"Bad", in{"in": 5})})
		e := r.run(g.Nodes()).failed(r.t)
		require.Equal(r.t, "x", e.NodeID, "the real node is blamed")
		require.Equal(r.t, kind+"Bad", e.Class)
		require.Equal(r.t, "inner boom\n", e.ExceptionMessage)
		require.Equal(r.t, map[string][]any{"in": {int64(5)}}, e.CurrentInputs)
		var ne *nodebus.NodeError
		_, err := execute(r.local, r.ctx, &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}, r.hub)
		require.ErrorAs(r.t, err, &ne)
		require.Equal(r.t, "x.0.0.bad", ne.UniqueID)
		r.nextRuns()
	})
}

func TestSection11MistakesOfTheMaker(t *testing.T) {
	for _, c := range []struct {
		name, want string
		make       func(g *nodebus.Graph) nodebus.Link
	}{
		{"unknown class", `node "x.0.0.1" made at run time: class "None": nodebus: not found`, func(g *nodebus.Graph) nodebus.Link {
			return g.Add("None", nil)
		}},
		{"missing input", `node "x.0.0.1" made at run time: input "n": is required`, func(g *nodebus.Graph) nodebus.Link {
			return g.Add("Range", nil)
		}},
		{"link to nothing", `node "x.0.0.1" made at run time: input "in": links to node "nowhere": nodebus: not found`, func(g *nodebus.Graph) nodebus.Link {
			return g.Add("Inc", in{"in": nodebus.Link{Node: "nowhere"}})
		}},
		{"no such output", `node "x.0.0.2" made at run time: input "in": links to output 3 of node "x.0.0.1" (Inc), which has 1`, func(g *nodebus.Graph) nodebus.Link {
			return g.Add("Inc", in{"in": g.Add("Inc", in{"in": 1}).At(3)})
		}},
		{"types that do not fit", `node "x.0.0.2" made at run time: input "n": needs INT, and output 0 of node "x.0.0.1" gives STRING`, func(g *nodebus.Graph) nodebus.Link {
			return g.Add("Range", in{"n": g.Add("Spread", in{"n": 1})})
		}},
		{"result that was not added", `the result is output 0 of node "x.0.0.other", which was not added to the graph: nodebus: not found`, func(g *nodebus.Graph) nodebus.Link {
			g.Add("Inc", in{"in": 1})
			return g.Link("other")
		}},
		{"result that is no output", `the result is output 2 of node "x.0.0.1" (Inc), which has 1`, func(g *nodebus.Graph) nodebus.Link {
			return g.Add("Inc", in{"in": 1}).At(2)
		}},
		{"the same id twice", `node "x.0.0.a" made at run time: the id is taken`, func(g *nodebus.Graph) nodebus.Link {
			g.AddAs("a", "Inc", in{"in": 1})
			return g.AddAs("a", "Inc", in{"in": 2})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bothWays(t, func(r *rig, kind string) {
				r.makers("Bad", func(_ *nodebus.Context, g *nodebus.Graph, _, _ any) (nodebus.Link, error) { return c.make(g), nil })
				g := nodebus.NewGraph()
				g.AddAs("o", "Show", in{"in": g.AddAs("x", kind+"Bad", nil)})
				e := r.run(g.Nodes()).failed(r.t)
				require.Equal(r.t, c.want+"\n", e.ExceptionMessage)
				require.Equal(r.t, "x", e.NodeID)
				r.nextRuns()
			})
		})
	}
}

func TestSection11LinksIntoThePrompt(t *testing.T) {
	bothWays(t, func(r *rig, kind string) {
		r.makers("Other", func(_ *nodebus.Context, g *nodebus.Graph, _, _ any) (nodebus.Link, error) {
			return g.Add("Inc", in{"in": nodebus.Link{Node: "unneeded"}}), nil
		})
		g := nodebus.NewGraph()
		g.AddAs("unneeded", "Inc", in{"in": 1})
		g.AddAs("o", "Show", in{"in": g.AddAs("x", kind+"Other", nil)})
		require.Equal(r.t, []any{"3"}, r.run(g.Nodes()).text("o"))
	})
}

func TestSection11DynamicCycle(t *testing.T) {
	bothWays(t, func(r *rig, kind string) {
		r.makers("Ring", func(_ *nodebus.Context, g *nodebus.Graph, v, _ any) (nodebus.Link, error) {
			g.AddAs("a", "Inc", in{"in": g.Link("b")})
			return g.AddAs("b", "Inc", in{"in": g.Link("a")}), nil
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("x", kind+"Ring", nil)})
		o := r.run(g.Nodes())
		e := o.failed(r.t)
		require.Equal(r.t, "graph.DependencyCycleError", e.ExceptionType)
		require.Equal(r.t, "Dependency cycle detected", e.ExceptionMessage)
		require.Equal(r.t, "x", e.NodeID)
		require.Equal(r.t, kind+"Ring", e.Class)
		require.Empty(r.t, e.Traceback)
		require.Nil(r.t, e.CurrentInputs)
		_, err := execute(r.local, r.ctx, &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}, r.hub)
		require.ErrorIs(r.t, err, flow.ErrCycle)
		r.nextRuns()
	})
}

// TestSection11WaitsForItself checks that a node fails if it asks for a value that
// depends on the node itself.
func TestSection11WaitsForItself(t *testing.T) {
	bothWays(t, func(r *rig, kind string) {
		r.makers("Self", func(_ *nodebus.Context, g *nodebus.Graph, v, _ any) (nodebus.Link, error) {
			return g.Add("Inc", in{"in": nodebus.Link{Node: "x"}}), nil
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("x", kind+"Self", nil)})
		require.Equal(r.t, "graph.DependencyCycleError", r.run(g.Nodes()).failed(r.t).ExceptionType)
		r.nextRuns()
	})
}

func TestSection11EvalMoreThanOnce(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		r.fn("Inc", func(_ *nodebus.Context, v, _ any) (any, error) { return v.(int) + 1, nil })
		r.fn("Count", func(ctx *nodebus.Context, _, _ any) (any, error) {
			g := ctx.NewGraph() // the graph grows between calls of Eval
			at := g.Add("Inc", in{"in": 0})
			for {
				v, err := nodebus.Eval[int](ctx, g, at)
				if err != nil || v == 5 {
					return v, err
				}
				at = g.Add("Inc", in{"in": at})
			}
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("x", "Count", nil)})
		o := r.run(g.Nodes())
		require.Equal(t, []any{"5"}, o.text("o"))
		require.Contains(t, o.types(), "executing x.0.0.5")
	})
}

type live struct {
	In    any           `in:"in,optional"`
	Nodes nodebus.Nodes `hidden:"DYNPROMPT"`
}

func (n live) Run(*nodebus.Context) (string, error) {
	ids := []string{}
	for _, s := range n.Nodes {
		ids = append(ids, s.ID)
	}
	return fmt.Sprint(ids), nil
}

func TestSection3LiveGraph(t *testing.T) {
	bothWays(t, func(r *rig, kind string) {
		flow.Register(r.reg, live{}, nodebus.Info{Name: "Live"})
		r.makers("Look", func(_ *nodebus.Context, g *nodebus.Graph, v, _ any) (nodebus.Link, error) {
			return g.AddAs("look", "Live", in{"in": g.Add("Inc", in{"in": v})}), nil
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("x", kind+"Look", in{"in": 1})})
		require.Equal(r.t, []any{"[x o x.0.0.1 x.0.0.look]"}, r.run(g.Nodes()).text("o"))
	})
}
