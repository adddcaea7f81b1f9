package flow_test

import (
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Execution semantics, section 9a: blocked outputs.

// gate blocks the whole node or one output, with or without a reason.
type gate struct {
	In     any
	How    string `options:"open,whole,one"`
	Reason string
}

type gated struct {
	A nodebus.Out[any] `out:"a"`
	B nodebus.Out[any] `out:"b"`
}

func (n gate) Run(*nodebus.Context) (g gated, err error) {
	switch n.How {
	case "whole":
		return g, nodebus.Block(n.Reason)
	case "one":
		g.A.Blocked = nodebus.Block(n.Reason)
	}
	g.A.Value, g.B.Value = n.In, n.In
	return g, nil
}

func blockers(r *rig) {
	lists(r)
	flow.Register(r.reg, gate{}, nodebus.Info{Name: "Gate"})
}

func TestSection9aBlockers(t *testing.T) {
	for _, c := range []struct {
		name        string
		how, reason string
		a, b        []any // text of the two output nodes
		told        []string
	}{
		{"open", "open", "", []any{"0:v+<nil>"}, []any{"0:v+<nil>"}, nil},
		{"whole node", "whole", "", nil, nil, nil},
		{"whole node, with a reason", "whole", "no", nil, nil, []string{"pa", "pb"}},
		{"one output", "one", "", nil, []any{"0:v+<nil>"}, nil},
		{"one output, with a reason", "one", "no", nil, []any{"0:v+<nil>"}, []string{"pa"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
				blockers(r)
				g := nodebus.NewGraph()
				x := g.AddAs("x", "Gate", in{"in": "v", "how": c.how, "reason": c.reason})
				g.AddAs("a", "Show", in{"in": g.AddAs("pa", "Pair", in{"in": x})})
				g.AddAs("b", "Show", in{"in": g.AddAs("pb", "Pair", in{"in": x.At(1)})})
				o := r.run(g.Nodes())
				require.Equal(t, nodebus.Succeeded, o.record.State)
				require.Equal(t, c.a, o.text("a"))
				require.Equal(t, c.b, o.text("b"))
				var told []string
				for _, ev := range o.events {
					if e, ok := ev.Payload.(nodebus.ExecutionError); ok {
						told = append(told, e.NodeID)
						require.Equal(t, "Execution Blocked: "+c.reason, e.ExceptionMessage)
						require.Equal(t, "ExecutionBlocked", e.ExceptionType)
						require.Zero(t, e.Timestamp)
						require.Nil(t, e.CurrentInputs)
						require.Contains(t, e.Executed, "x")
					}
				}
				require.ElementsMatch(t, c.told, told, "each skipped node next to the gate reports the reason once")

				again := r.run(g.Nodes()) // blocked results are cached, and no notice is sent again
				require.Contains(t, again.types(), "executed a")
				require.NotContains(t, fmt.Sprint(again.types()), "ExecutionBlocked")
				require.NotContains(t, fmt.Sprint(again.types()), "executing x")
				require.Equal(t, c.a, again.text("a"))
			})
		})
	}
}

func TestSection9aThroughLists(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		blockers(r)
		r.fn("NoOnes", func(_ *nodebus.Context, v, _ any) (any, error) {
			if v == 1 {
				return nil, nodebus.Block("a one")
			}
			return v, nil
		})
		g := nodebus.NewGraph()
		kept := g.AddAs("kept", "NoOnes", in{"in": g.Add("Range", in{"n": 4})})
		g.AddAs("each", "Show", in{"in": g.AddAs("pair", "Pair", in{"in": kept})})
		g.AddAs("all", "Show", in{"in": g.AddAs("list", "List", in{"values": kept})})
		o := r.run(g.Nodes())
		require.Equal(t, nodebus.Succeeded, o.record.State)
		require.Equal(t, []any{"0:0+<nil>", "2:2+<nil>", "3:3+<nil>"}, o.text("each"), "one call is skipped")
		require.Nil(t, o.text("all"), "a list with a blocked element skips the node")
		told := map[string]int{}
		for _, ev := range o.events {
			if e, ok := ev.Payload.(nodebus.ExecutionError); ok {
				told[e.NodeID]++
			}
		}
		require.Equal(t, map[string]int{"pair": 1, "list": 1}, told)
	})
}

func TestSection9aIntoALazyInput(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		blockers(r)
		flow.Register(r.reg, fork{}, nodebus.Info{Name: "Fork"})
		g := nodebus.NewGraph()
		x := g.Add("Gate", in{"in": "v", "how": "whole", "reason": "no"})
		g.AddAs("o", "Show", in{"in": g.AddAs("e", "Fork", in{"cond": true, "on_true": x, "on_false": 1})})
		o := r.run(g.Nodes())
		require.Equal(t, nodebus.Succeeded, o.record.State)
		require.Nil(t, o.text("o"))
		require.Contains(t, o.types(), "ExecutionBlocked e")
	})
}

func TestSection9aBlockedMustBeABlock(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, wrongBlock{}, nodebus.Info{Name: "Wrong"})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.Add("Wrong", nil)})
		require.Contains(t, r.run(g.Nodes()).failed(t).ExceptionMessage, "use Block for a reason")
	})
}

type wrongBlock struct{}

func (wrongBlock) Run(*nodebus.Context) (nodebus.Out[int], error) {
	return nodebus.Out[int]{Blocked: nodebus.ErrClosed}, nil
}

// TestSection9aManyNotices checks that the total size of the notices about skipped
// nodes is linear in the number of skipped nodes, however many nodes have run
// before.
func TestSection9aManyNotices(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		const n = 1000
		r.counted("Count")
		r.fn("Gate", func(*nodebus.Context, any, any) (any, error) { return nil, nodebus.Block("no") })
		g := nodebus.NewGraph()
		gate := g.Add("Gate", nil)
		for i := range n {
			g.Add("Show", in{"in": g.Add("Count", in{"in": i})})
			g.Add("Show", in{"in": gate, "in2": i})
		}
		notices, ids := 0, 0
		for _, ev := range r.run(g.Nodes()).events {
			if e, ok := ev.Payload.(nodebus.ExecutionError); ok {
				notices++
				ids += len(e.Executed)
				require.NotNil(t, e.Executed, "an empty list is not null")
			}
		}
		require.Equal(t, n, notices)
		require.Less(t, ids, 101*n)
		require.Greater(t, ids, n)
	})
}
