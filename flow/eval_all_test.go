package flow_test

import (
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestEvalAllRunsGraphsSideBySide: also if some of the values are known already.
func TestEvalAllRunsGraphsSideBySide(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		r.pause(nil)
		r.fn("Work", func(ctx *nodebus.Context, _, _ any) (any, error) {
			g := ctx.NewGraph()
			var outs []nodebus.Link
			for i := range 5 {
				outs = append(outs, g.Add("Pause", in{"in": i, "for": 1000 * (5 - i)}))
			}
			first, err := nodebus.Eval[int](ctx, g, outs[4])
			require.NoError(t, err)
			require.Equal(t, 4, first)
			all, err := nodebus.EvalAll[int](ctx, g, append(outs, outs[0])...)
			require.Equal(t, []int{0, 1, 2, 3, 4, 0}, all)
			again, err2 := nodebus.EvalAll[any](ctx, g, outs[:2]...)
			require.NoError(t, err2)
			require.Equal(t, []any{0, 1}, again)
			none, err3 := nodebus.EvalAll[int](ctx, g)
			require.NoError(t, err3)
			require.Empty(t, none)
			return "done", err
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("w", "Work", nil)})
		began := time.Now()
		o := r.run(g.Nodes())
		require.Equal(t, []any{"done"}, o.text("o"))
		require.Equal(t, 6*time.Second, time.Since(began))
		require.Equal(t, []string{
			"start", "cached", "executing w", "executing w.0.0.5", "executing w",
			"executing w.0.0.1", "executing w.0.0.2", "executing w.0.0.3", "executing w.0.0.4", "executing w",
			"executing o", "executed o", "success", "executing ",
		}, o.types())
	})
}

// TestEvalAllFails: an error or a blocked value of any graph is the error of EvalAll.
func TestEvalAllFails(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, mGate{}, nodebus.Info{Name: "Gate"})
		flow.Register(r.reg, mConst{}, nodebus.Info{Name: "Const"})
		r.fn("Blocked", func(ctx *nodebus.Context, _, _ any) (any, error) {
			g := ctx.NewGraph()
			_, err := nodebus.EvalAll[int](ctx, g, g.Add("Const", in{"value": 1}), g.Add("Gate", in{"in": 4, "every": 2}))
			require.ErrorAs(t, err, new(*nodebus.BlockedError))
			return nil, err
		})
		r.fn("Missing", func(ctx *nodebus.Context, _, _ any) (any, error) {
			g := ctx.NewGraph()
			_, err := nodebus.EvalAll[int](ctx, g, g.Add("Const", in{"value": 1}), nodebus.Link{Node: "nowhere"})
			require.ErrorIs(t, err, flow.ErrNotFound)
			return nil, err
		})
		r.fn("Wrong", func(ctx *nodebus.Context, _, _ any) (any, error) {
			g := ctx.NewGraph()
			_, err := nodebus.EvalAll[string](ctx, g, g.Add("Const", in{"value": 1}), g.Add("Gate", in{"in": 5, "every": 2}))
			return nil, err
		})
		run := func(class string) outcome {
			g := nodebus.NewGraph()
			g.AddAs("o", "Show", in{"in": g.AddAs("w", class, nil)})
			return r.run(g.Nodes())
		}
		require.Contains(t, run("Blocked").types(), "ExecutionBlocked w")
		require.Equal(t, "w", run("Missing").failed(t).NodeID)
		require.Equal(t, "w", run("Wrong").failed(t).NodeID)
	})
}

// TestEvalAllInCall: a node that Class.Call calls evaluates graphs with the Runtime of its
// context.
func TestEvalAllInCall(t *testing.T) {
	reg := flow.NewRegistry()
	flow.Register(reg, fn{f: func(ctx *nodebus.Context, _, _ any) (any, error) {
		return nodebus.EvalAll[any](ctx, nil, nodebus.Link{Node: "4"}, nodebus.Link{Node: "5", Slot: 1})
	}}, nodebus.Info{Name: "Work"})
	class, _ := reg.Class("Work")
	call := func(rt nodebus.Runtime) (flow.Result, error) {
		return class.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{Runtime: rt}), nil)
	}
	res, err := call(promptOutputs{outputs: map[nodebus.Link]any{{Node: "4"}: 1, {Node: "5", Slot: 1}: "two"}})
	require.NoError(t, err)
	require.Equal(t, []any{[]any{1, "two"}}, res.Outputs)
	_, err = call(nil)
	require.ErrorContains(t, err, "does not run graphs")
}
