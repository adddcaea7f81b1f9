package flow_test

import (
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/nodetest"
	"github.com/stretchr/testify/require"
)

// seesGiven shows which of its lazy inputs are given.
type seesGiven struct {
	A      nodebus.Lazy[int]               `in:"a,optional"`
	B      nodebus.Lazy[any]               `in:"b,optional"`
	List   nodebus.Lazy[nodebus.List[int]] `in:"list,optional"`
	Preset nodebus.Lazy[int]               `in:"preset,optional" default:"8"`
}

func (n seesGiven) Run(ctx *nodebus.Context) (string, error) {
	a, err := n.A.Get(ctx)
	return fmt.Sprint(n.A.Given(), n.B.Given(), n.List.Given(), n.Preset.Given(), a), err
}

// TestGiven: a node sees whether an optional lazy input is given, without computing it.
func TestGiven(t *testing.T) {
	none := nodebus.NewGraph()
	none.AddAs("n", "Sees", nil)
	none.AddAs("o", "Show", in{"in": none.Link("n")})
	all := nodebus.NewGraph()
	l := all.AddAs("s", "Never", nil)
	all.AddAs("n", "Sees", in{"a": 3, "b": l, "list": l})
	all.AddAs("o", "Show", in{"in": all.Link("n")})
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, seesGiven{}, nodebus.Info{Name: "Sees"})
		r.fn("Never", func(*nodebus.Context, any, any) (any, error) { t.Error("Given computes"); return 0, nil })
		c, _ := r.reg.Class("Sees")
		for want, g := range map[string]*nodebus.Graph{"false false false true 0": none, "true true true true 3": all} {
			p := &nodebus.Prompt{ID: want, Nodes: g.Nodes()}
			require.Equal(t, []any{want}, r.submit(p).text("o"))

			// Another executor calls the class with what it has: no lazy inputs that are linked.
			spec := g.Nodes()[0]
			given := nodebus.Inputs{}
			for _, n := range g.Nodes() {
				if n.ID == "n" {
					spec = n
				}
			}
			if v, has := spec.Inputs["a"]; has {
				given["a"] = v
			}
			res, err := c.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{
				Place: nodebus.Place{UniqueID: "n"}, Job: &nodebus.Job{Prompt: p}, Runtime: answers{},
			}), given)
			require.NoError(t, err)
			require.Equal(t, []any{want}, res.Outputs)
		}
		got, err := nodebus.Eval[string](nodetest.New(t, &nodetest.Options{Registry: r.reg}).Context(), none, none.Link("n"))
		require.NoError(t, err)
		require.Equal(t, "false false false true 0", got)
	})
	got, err := seesGiven{A: nodebus.Ready(4), B: nodebus.Ready[any](nil)}.Run(nodetest.New(t, nil).Context())
	require.NoError(t, err)
	require.Equal(t, "true true false false 4", got)
}

// TestGivenToFunctions: the function of a class made at run time gets no lazy input that the
// prompt leaves out.
func TestGivenToFunctions(t *testing.T) {
	c, err := flow.NewClass(flow.Schema{
		Info:    nodebus.Info{Name: "Made"},
		Inputs:  []flow.Port{{Name: "a", Type: "INT", Kind: flow.PortOptional, Lazy: true}, {Name: "b", Type: "INT", Kind: flow.PortOptional, Lazy: true}},
		Outputs: []flow.Port{{Type: "STRING"}},
	}, func(_ *nodebus.Context, in nodebus.Inputs) (flow.Result, error) {
		_, a := in["a"]
		_, b := in["b"]
		return flow.Result{Outputs: []any{fmt.Sprint(a, b)}}, nil
	}, nil)
	require.NoError(t, err)
	p := &nodebus.Prompt{ID: "p", Nodes: nodebus.Nodes{{ID: "n", Class: "Made", Inputs: in{"a": nodebus.Link{Node: "x"}}}}}
	res, err := c.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{
		Place: nodebus.Place{UniqueID: "n"}, Job: &nodebus.Job{Prompt: p}, Runtime: answers{},
	}), nil)
	require.NoError(t, err)
	require.Equal(t, []any{"true false"}, res.Outputs)
}
