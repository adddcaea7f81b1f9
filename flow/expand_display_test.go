package flow_test

import (
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// places returns the display ids of a prompt's events, by the id of the node.
func (o outcome) places() map[string]map[string]string {
	all := map[string]map[string]string{}
	note := func(event, id, display string) {
		if all[id] == nil {
			all[id] = map[string]string{}
		}
		all[id][event] = display
	}
	for _, ev := range o.events {
		switch p := ev.Payload.(type) {
		case nodebus.Executing:
			note("executing", p.UniqueID, p.DisplayID)
		case nodebus.Executed:
			note("executed", p.UniqueID, p.DisplayID)
		case nodebus.ProgressState:
			for _, n := range p.Nodes() {
				note("progress_state", n.UniqueID, n.DisplayID)
			}
		}
	}
	return all
}

// TestSection11DisplayIDs: clients show a node made at run time on the node that it names, or
// else on the node that made it; the ids are resolved repeatedly.
func TestSection11DisplayIDs(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Inc", func(_ *nodebus.Context, v, _ any) (any, error) { return v.(int) + 1, nil })
		r.makers("Inner", func(_ *nodebus.Context, g *nodebus.Graph, v, _ any) (nodebus.Link, error) {
			return g.AddAs("leaf", "Inc", in{"in": v}), nil
		})
		r.makers("Outer", func(_ *nodebus.Context, g *nodebus.Graph, v, _ any) (nodebus.Link, error) {
			a := g.DisplayAs(g.AddAs("a", "Inc", in{"in": v}), "body")
			b := g.DisplayAs(g.AddAs("b", "ThenInner", in{"in": a}), "body") // what it makes is shown there, too
			c := g.DisplayAs(g.AddAs("c", "Inc", in{"in": b}), g.Link("a").Node)
			d := g.DisplayAs(g.AddAs("d", "Inc", in{"in": c}), "nowhere")
			e := g.DisplayAs(g.AddAs("e", "Inc", in{"in": d}), g.Link("f").Node)
			f := g.DisplayAs(g.AddAs("f", "Inc", in{"in": e}), g.Link("e").Node) // a ring
			h := g.DisplayAs(g.AddAs("h", "Inc", in{"in": f}), g.Link("i").Node)
			i := g.AddAs("i", "Inc", in{"in": h})
			g.DisplayAs(g.AddAs("show", "Show", in{"in": i}), "body")
			return i, nil
		})
		for _, kind := range []string{"Then", "Now"} {
			o := r.run(parse(t, `{"body":{"class_type":"Inc","inputs":{"in":1}},"l":{"class_type":"`+kind+`Outer","inputs":{"in":["body",0]}},"o":{"class_type":"Show","inputs":{"in":["l",0]}}}`))
			require.Nil(t, o.record.Error)
			require.Equal(t, []any{"10"}, o.text("o"))
			at := o.places()
			for name, display := range map[string]string{
				"a": "body", "b": "body", "b.0.0.leaf": "body", "c": "body", "d": "nowhere", "e": "l", "f": "l", "h": "l", "i": "l", "show": "body",
			} {
				for event, got := range at["l.0.0."+name] {
					require.Equal(t, display, got, "%s of %s, %s", event, name, kind)
				}
				require.Contains(t, at["l.0.0."+name], "progress_state", name)
			}
			require.Equal(t, "body", at["l.0.0.show"]["executed"])
			require.Equal(t, "body", at["l.0.0.a"]["executing"])
			for _, out := range o.record.Outputs {
				if out.UniqueID == "l.0.0.show" {
					require.Equal(t, nodebus.Place{UniqueID: "l.0.0.show", DisplayID: "body", ParentID: "l", RealID: "l"}, out.Place)
				}
			}
			r.local.Free()
		}
	})
}

// TestDisplayIDsOfAPrompt: a submitted prompt cannot move its own nodes.
func TestDisplayIDsOfAPrompt(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		o := r.run(parse(t, `{"o":{"class_type":"Show","inputs":{"in":1},"override_display_id":"x"}}`))
		require.Equal(t, "o", o.places()["o"]["executed"])
	})
}

// besides gives a value, and has a graph beside it.
type besides struct {
	In   int
	make func(g *nodebus.Graph, v int)
}

func (n besides) Run(ctx *nodebus.Context) (out struct {
	Value nodebus.Out[int]               `out:"value"`
	Many  nodebus.Out[nodebus.List[int]] `out:"many"`
}, err error,
) {
	g := ctx.NewGraph()
	n.make(g, n.In)
	out.Value = nodebus.Out[int]{Value: n.In * 2, Graph: g}
	out.Many = nodebus.Out[nodebus.List[int]]{Value: nodebus.List[int]{1, 2}, Graph: g}
	return out, nil
}

// TestSection11GraphBesideValues: the output nodes of a graph run although the node gives
// plain values.
func TestSection11GraphBesideValues(t *testing.T) {
	for _, workers := range []int{1, 4} {
		inBubble(t, &flow.LocalOptions{Workers: workers}, nil, func(r *rig) {
			lists(r)
			r.fn("Inc", func(_ *nodebus.Context, v, _ any) (any, error) { return v.(int) + 1, nil })
			r.fn("Fails", func(*nodebus.Context, any, any) (any, error) { return nil, fmt.Errorf("no") })
			register := func(name string, make func(g *nodebus.Graph, v int)) {
				flow.Register(r.reg, besides{make: make}, nodebus.Info{Name: name})
			}
			register("Beside", func(g *nodebus.Graph, v int) {
				g.AddAs("show", "Show", in{"in": g.AddAs("inc", "Inc", in{"in": v})})
				g.AddAs("rest", "Inc", in{"in": v}) // nothing needs it
			})
			register("Empty", func(*nodebus.Graph, int) {})
			register("Useless", func(g *nodebus.Graph, v int) { g.AddAs("inc", "Inc", in{"in": v}) })
			register("Broken", func(g *nodebus.Graph, v int) { g.AddAs("show", "Show", in{"in": g.Add("Fails", nil)}) })
			run := func(class string) outcome {
				return r.run(parse(t, `{"b":{"class_type":"`+class+`","inputs":{"in":5}},"o":{"class_type":"Show","inputs":{"in":["b",0]}},"m":{"class_type":"List","inputs":{"values":["b",1]}},"p":{"class_type":"Show","inputs":{"in":["m",0]}}}`))
			}
			o := run("Beside")
			require.Nil(t, o.record.Error)
			require.Equal(t, []any{"10"}, o.text("o"))
			require.Equal(t, []any{"[1 2] <nil>"}, o.text("p"))
			require.Equal(t, []any{"6"}, o.text("b.0.0.show"))
			require.NotContains(t, o.places(), "b.0.0.rest")

			o = run("Empty")
			require.Nil(t, o.record.Error)
			require.Equal(t, []any{"10"}, o.text("o"))

			require.Equal(t, "output \"value\": the graph has no output node, and nothing is taken from it, so that no node of it would run; set From, or add a node whose class has Info.Output\n",
				run("Useless").failed(t).ExceptionMessage)
			require.Equal(t, "no\n", run("Broken").failed(t).ExceptionMessage)
		})
	}
}

// TestGraphBesideValuesInCalls: Class.Call asks the Runtime to run the graph.
func TestGraphBesideValuesInCalls(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, besides{make: func(g *nodebus.Graph, v int) { g.Add("Show", nil) }}, nodebus.Info{Name: "Beside"})
	c, _ := r.Class("Beside")
	_, err := c.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{}), in{"in": 1})
	require.ErrorContains(t, err, `output "value": this executor does not run graphs made by nodes`)
	_, err = c.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{Runtime: answers{}}), in{"in": 1})
	require.ErrorContains(t, err, `output "value": no`) // what answers says
}

// quiet has neither outputs nor something to show.
type quiet struct {
	In   any `in:"in,optional"`
	runs *int
}

func (n quiet) Run(*nodebus.Context) (struct{}, error) { *n.runs++; return struct{}{}, nil }

// TestNodesWithoutResult: a node may have neither outputs nor a UI.
func TestNodesWithoutResult(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		runs := 0
		flow.Register(r.reg, quiet{runs: &runs}, nodebus.Info{Name: "Quiet", Output: true})
		flow.Register(r.reg, quiet{runs: &runs}, nodebus.Info{Name: "Never"})
		c, _ := r.reg.Class("Quiet")
		enc, err := c.Schema().MarshalJSON()
		require.NoError(t, err)
		require.Contains(t, string(enc), `"output":[],"output_is_list":[],"output_name":[]`)
		require.Contains(t, string(enc), `"output_node":true`)
		o := r.run(parse(t, `{"q":{"class_type":"Quiet","inputs":{"in":1}},"n":{"class_type":"Never","inputs":{"in":2}}}`))
		require.Equal(t, nodebus.Succeeded, o.record.State)
		require.Equal(t, 1, runs)
		require.Equal(t, []string{"start", "cached", "executing q", "success", "executing "}, o.types())
		require.Empty(t, o.record.Outputs)
		o = r.run(parse(t, `{"q":{"class_type":"Quiet","inputs":{"in":1}}}`))
		require.Equal(t, nodebus.Succeeded, o.record.State)
		require.Equal(t, 1, runs, "cached")
		res, err := c.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{}), nil)
		require.NoError(t, err)
		require.Empty(t, res.Outputs)
		require.Nil(t, res.UI)
	})
}
