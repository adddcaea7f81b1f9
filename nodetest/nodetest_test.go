package nodetest_test

import (
	"context"
	"errors"
	"math"
	"os"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/leak"
	"github.com/nodebus/nodebus/nodetest"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

type ticked struct {
	Node string `json:"node"`
	Step int    `json:"step"`
}

func (ticked) EventType() string { return "test.ticked" }

// count is the node under test.
type count struct {
	To int `default:"10" min:"1"`
}

func (n count) Run(ctx *nodebus.Context) (int, error) {
	for i := range n.To {
		ctx.Progress(float64(i+1), float64(n.To))
		if err := ctx.SendSync(ticked{ctx.UniqueID(), i}); err != nil {
			return 0, err
		}
	}
	return n.To, ctx.Err()
}

func TestWhatANodeSendsIsKept(t *testing.T) {
	rec := nodetest.New(t, &nodetest.Options{UniqueID: "7", ClientID: "me"})
	ctx := rec.Context()
	got, err := count{To: 2}.Run(ctx)
	require.NoError(t, err)
	require.Equal(t, 2, got)
	require.Equal(t, []ticked{{"7", 0}, {"7", 1}}, nodetest.Sent[ticked](rec))
	require.Equal(t, nodebus.Progress{Value: 2, Max: 2, PromptID: "prompt", UniqueID: "7"}, nodetest.Sent[nodebus.Progress](rec)[1])
	for _, ev := range rec.Events() {
		require.Equal(t, "prompt", ev.PromptID)
		require.Equal(t, "me", ev.To)
	}
	require.Len(t, rec.Events(), 4)
	ctx.End()
	require.ErrorIs(t, ctx.SendSync(ticked{}), nodebus.ErrClosed)
	require.Len(t, rec.Events(), 4)
}

func TestANodeCanBeStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := count{To: 1}.Run(nodetest.New(t, nil).With(ctx))
	require.ErrorIs(t, err, context.Canceled)
}

// TestProgressIsClamped: a test sees what clients would receive.
func TestProgressIsClamped(t *testing.T) {
	rec := nodetest.New(t, nil)
	ctx := rec.Context()
	ctx.Progress(-1, 3)
	ctx.Progress(5, 3)
	ctx.Progress(1, -3)
	ctx.Progress(math.NaN(), 3)
	ctx.Progress(1, math.Inf(1))
	require.NoError(t, ctx.SendSync(nodebus.Progress{Value: 9, Max: 4}))
	require.NoError(t, ctx.Broadcast(nodebus.Progress{Value: 2, Max: -4}))
	require.NoError(t, rec.Publish(nodebus.Event{PromptID: "p", Payload: nodebus.Custom{Type: "x", Data: math.NaN()}}))
	var got [][2]float64
	for _, p := range nodetest.Sent[nodebus.Progress](rec) {
		got = append(got, [2]float64{p.Value, p.Max})
	}
	require.Equal(t, [][2]float64{{0, 3}, {3, 3}, {0, 0}, {4, 4}, {0, 0}}, got)
}

func TestWhatCannotBeEncodedIsAnError(t *testing.T) {
	rec := nodetest.New(t, nil)
	var bad *nodebus.EncodeError
	require.ErrorAs(t, rec.Context().SendSync(nodebus.Custom{Type: "x", Data: make(chan int)}), &bad)
	require.Empty(t, rec.Events())
}

type add struct{ A, B int }

func (n add) Run(*nodebus.Context) (int, error) { return n.A + n.B, nil }

type broken struct{}

func (broken) Run(*nodebus.Context) (int, error) { return 0, errors.New("broken") }

// thrice is a node that evaluates a graph.
type thrice struct {
	Value int
	Class string
}

func (n thrice) Run(ctx *nodebus.Context) (int, error) {
	g := ctx.NewGraph()
	two := g.Add("add", nodebus.Inputs{"a": n.Value, "b": n.Value})
	three := g.Add(n.Class, nodebus.Inputs{"a": two, "b": n.Value})
	return nodebus.Eval[int](ctx, g, three)
}

func TestGraphsAreEvaluated(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, add{}, nodebus.Info{})
	flow.Register(r, broken{}, nodebus.Info{})
	rec := nodetest.New(t, &nodetest.Options{Registry: r})
	got, err := thrice{5, "add"}.Run(rec.Context())
	require.NoError(t, err)
	require.Equal(t, 15, got)

	_, err = thrice{5, "broken"}.Run(rec.Context())
	require.EqualError(t, err, "nodebus: node 1.0.0.2 (broken): broken")
	_, err = thrice{5, "unknown"}.Run(rec.Context())
	require.EqualError(t, err, "nodetest: class unknown is not in the registry")
	_, err = thrice{5, "add"}.Run(nodetest.New(t, nil).Context())
	require.EqualError(t, err, "nodetest: the node evaluates a graph; set Options.Registry")
}

// sums is a node that evaluates two outputs of a graph. The first needs the second.
type sums struct{ Value int }

func (n sums) Run(ctx *nodebus.Context) ([]int, error) {
	g := ctx.NewGraph()
	two := g.Add("counted", nodebus.Inputs{"value": n.Value})
	three := g.Add("add", nodebus.Inputs{"a": two, "b": n.Value})
	return nodebus.EvalAll[int](ctx, g, three, two)
}

type counted struct {
	Value int
	calls *int
}

func (n counted) Run(*nodebus.Context) (int, error) {
	*n.calls++
	return 2 * n.Value, nil
}

func TestSeveralOutputsOfAGraph(t *testing.T) {
	r, calls := flow.NewRegistry(), 0
	flow.Register(r, add{}, nodebus.Info{})
	flow.Register(r, counted{calls: &calls}, nodebus.Info{})
	got, err := sums{5}.Run(nodetest.New(t, &nodetest.Options{Registry: r}).Context())
	require.NoError(t, err)
	require.Equal(t, []int{15, 10}, got)
	require.Equal(t, 1, calls, "no node is called twice")
}

type either struct {
	Cond            bool
	OnTrue, OnFalse nodebus.Lazy[string]
}

func (n either) Run(ctx *nodebus.Context) (string, error) {
	if n.Cond {
		return n.OnTrue.Get(ctx)
	}
	return n.OnFalse.Get(ctx)
}

func TestLazyInputsAreReady(t *testing.T) {
	got, err := either{true, nodebus.Ready("yes"), nodebus.Lazy[string]{}}.Run(nodetest.New(t, nil).Context())
	require.NoError(t, err)
	require.Equal(t, "yes", got)
}

// ring is a node that evaluates nodes which wait for each other.
type ring struct{}

func (ring) Run(ctx *nodebus.Context) (int, error) {
	g := ctx.NewGraph()
	a := g.AddAs("a", "add", nodebus.Inputs{"a": g.Link("b"), "b": 1})
	g.AddAs("b", "add", nodebus.Inputs{"a": a, "b": g.Link("c")})
	g.AddAs("c", "add", nodebus.Inputs{"a": 1, "b": 1})
	return nodebus.Eval[int](ctx, g, a)
}

func TestGraphsThatAreRingsFail(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, add{}, nodebus.Info{})
	_, err := ring{}.Run(nodetest.New(t, &nodetest.Options{Registry: r}).Context())
	require.ErrorIs(t, err, flow.ErrCycle)
	require.ErrorContains(t, err, "nodetest: node 1.0.0.a: ")
}

// upTo returns a list of numbers. For a list with more than one number it returns a graph.
type upTo struct{ N int }

func (n upTo) Run(ctx *nodebus.Context) (out nodebus.Out[nodebus.List[int]], err error) {
	if n.N <= 1 {
		out.Value = nodebus.List[int]{n.N}
		return out, nil
	}
	g := ctx.NewGraph()
	less := g.Add("upTo", nodebus.Inputs{"n": n.N - 1})
	out.Graph, out.From = g, g.Add("append", nodebus.Inputs{"to": less, "more": []int{n.N}})
	return out, nil
}

type joined struct{ To, More nodebus.List[int] }

func (n joined) Run(*nodebus.Context) (nodebus.List[int], error) { return append(n.To, n.More...), nil }

type listed struct{ N int }

func (n listed) Run(ctx *nodebus.Context) (nodebus.List[int], error) {
	g := ctx.NewGraph()
	return nodebus.Eval[nodebus.List[int]](ctx, g, g.Add("upTo", nodebus.Inputs{"n": n.N}))
}

func TestGraphsOfListsAndExpansionsAreEvaluated(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, upTo{}, nodebus.Info{})
	flow.Register(r, joined{}, nodebus.Info{Name: "append"})
	got, err := listed{4}.Run(nodetest.New(t, &nodetest.Options{Registry: r}).Context())
	require.NoError(t, err)
	require.Equal(t, nodebus.List[int]{1, 2, 3, 4}, got)
}

// gate has one blocked output and one output with a value.
type gate struct{}

type gateOut struct {
	Shut nodebus.Out[int] `out:"shut"`
	Open nodebus.Out[int] `out:"open"`
}

func (gate) Run(*nodebus.Context) (gateOut, error) {
	return gateOut{nodebus.Out[int]{Blocked: nodebus.Block("shut")}, nodebus.Out[int]{Value: 7}}, nil
}

type through struct{ Slot int }

func (n through) Run(ctx *nodebus.Context) (int, error) {
	g := ctx.NewGraph()
	return nodebus.Eval[int](ctx, g, g.Add("gate", nil).At(n.Slot))
}

func TestOutputsThatAreBlocked(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, gate{}, nodebus.Info{})
	ctx := nodetest.New(t, &nodetest.Options{Registry: r}).Context()
	_, err := through{0}.Run(ctx)
	require.ErrorAs(t, err, new(*nodebus.BlockedError))
	got, err := through{1}.Run(ctx)
	require.NoError(t, err)
	require.Equal(t, 7, got)
}

// relay returns the output of another node of its prompt.
type relay struct{ Node string }

func (n relay) Run(*nodebus.Context) (nodebus.Out[int], error) {
	return nodebus.Out[int]{From: nodebus.Link{Node: n.Node}}, nil
}

// same asks for the output of another node of its prompt.
type same struct{ Node string }

func (n same) Run(ctx *nodebus.Context) (int, error) {
	return nodebus.Eval[int](ctx, nil, nodebus.Link{Node: n.Node})
}

func TestNodesOfThePromptAreEvaluated(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, add{}, nodebus.Info{})
	flow.Register(r, relay{}, nodebus.Info{})
	flow.Register(r, same{}, nodebus.Info{})
	flow.Register(r, count{}, nodebus.Info{})
	g := nodebus.NewGraph()
	g.AddAs("1", "same", nodebus.Inputs{"node": "relay"})
	sum := g.AddAs("sum", "add", nodebus.Inputs{"a": g.AddAs("count", "count", nodebus.Inputs{"to": 2}), "b": 3})
	g.AddAs("relay", "relay", nodebus.Inputs{"node": sum.Node})
	g.AddAs("ring", "relay", nodebus.Inputs{"node": "back"})
	g.AddAs("back", "same", nodebus.Inputs{"node": "ring"})
	g.AddAs("self", "relay", nodebus.Inputs{"node": "1"})
	rec := nodetest.New(t, &nodetest.Options{Registry: r, Prompt: &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: g.Nodes()}})
	got, err := same{"relay"}.Run(rec.Context())
	require.NoError(t, err)
	require.Equal(t, 5, got)
	require.Equal(t, []ticked{{"count", 0}, {"count", 1}}, nodetest.Sent[ticked](rec))
	for _, node := range []string{"ring", "self"} {
		_, err = same{node}.Run(rec.Context())
		require.ErrorIs(t, err, flow.ErrCycle)
	}
	_, err = same{"nobody"}.Run(rec.Context())
	require.EqualError(t, err, "nodetest: the graph has no node nobody")
}
