package nodetest_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/nodetest"
	"github.com/stretchr/testify/require"
)

// noted is a node that notes where it is shown, and its inputs.
type noted struct {
	At    nodebus.Link `in:"at,optional,raw"`
	fails error
	notes *[]string
}

func (n noted) Run(ctx *nodebus.Context) (int, error) {
	*n.notes = append(*n.notes, fmt.Sprint(ctx.UniqueID(), " on ", ctx.DisplayID(), " gets ", n.At))
	return 1, n.fails
}

// graphing is the node under test, whose graph build makes.
type graphing struct {
	build func(g *nodebus.Graph) (out nodebus.Link)
}

func (n graphing) Run(ctx *nodebus.Context) (nodebus.Out[int], error) {
	g := ctx.NewGraph()
	return nodebus.Out[int]{Value: 5, From: n.build(g), Graph: g}, nil
}

// TestGraphsOfOtherForms: raw links, display ids, and graphs beside values have the meaning
// that they have in an engine.
func TestGraphsOfOtherForms(t *testing.T) {
	r, notes := flow.NewRegistry(), []string{}
	flow.Register(r, noted{notes: &notes}, nodebus.Info{Name: "Note"})
	flow.Register(r, noted{notes: &notes}, nodebus.Info{Name: "Shown", Output: true})
	flow.Register(r, noted{notes: &notes, fails: nodebus.Block("")}, nodebus.Info{Name: "Blocked"})
	flow.Register(r, noted{notes: &notes, fails: errors.New("ouch")}, nodebus.Info{Name: "Fails", Output: true})
	call := func(build func(g *nodebus.Graph) nodebus.Link) (flow.Result, error) {
		notes = nil
		under := flow.NewRegistry()
		flow.Register(under, graphing{build}, nodebus.Info{Name: "Under"})
		class, _ := under.Class("Under")
		return class.Call(nodetest.New(t, &nodetest.Options{UniqueID: "7", Registry: r}).Context(), nil)
	}
	res, err := call(func(g *nodebus.Graph) nodebus.Link {
		return g.AddAs("b", "Note", nodebus.Inputs{"at": g.DisplayAs(g.AddAs("a", "Blocked", nil), "body")})
	})
	require.NoError(t, err)
	require.Equal(t, []any{1}, res.Outputs)
	require.Equal(t, []string{"7.0.0.a on body gets { 0}", "7.0.0.b on 7 gets {7.0.0.a 0}"}, notes)

	res, err = call(func(g *nodebus.Graph) (none nodebus.Link) {
		g.AddAs("a", "Shown", nil)
		g.AddAs("b", "Note", nil)
		return none
	})
	require.NoError(t, err)
	require.Equal(t, []any{5}, res.Outputs)
	require.Equal(t, []string{"7.0.0.a on 7 gets { 0}"}, notes)

	_, err = call(func(g *nodebus.Graph) (none nodebus.Link) {
		g.AddAs("a", "Fails", nil)
		return none
	})
	require.ErrorContains(t, err, "ouch")
}
