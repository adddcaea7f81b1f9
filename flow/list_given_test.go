package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// These tests pass Go lists to nodes: in prompts built in Go, in graphs that nodes
// make, and from one Call to the next.

type vector []int // as an input, a vector is one value, not a list

// takes returns the text of the lists that it receives.
type takes struct {
	Ints    nodebus.List[int]                `in:"ints,optional"`
	Any     nodebus.List[any]                `in:"any,optional"`
	Vectors nodebus.List[vector]             `in:"vectors,optional"`
	Lazy    nodebus.Lazy[nodebus.List[int]]  `in:"lazy,optional"`
	Late    nodebus.Lazy[nodebus.List[bool]] `in:"late,optional"`
	One     []int                            `in:"one,optional" type:"INTS"`
}

func (n takes) Run(ctx *nodebus.Context) (string, error) {
	lazy, err := n.Lazy.Get(ctx)
	return fmt.Sprint([]int(n.Ints), []any(n.Any), []vector(n.Vectors), []int(lazy), n.One), err
}

var listsGiven = []struct {
	name  string
	given nodebus.Inputs
	want  string
}{
	{"a list", in{"ints": nodebus.List[int]{1, 2}, "lazy": nodebus.List[int]{3}}, "[1 2] [] [] [3] []"},
	{"a slice", in{"ints": []int{1, 2}, "lazy": []int{3}}, "[1 2] [] [] [3] []"},
	{"a slice of other numbers", in{"ints": []float64{1, 2}, "lazy": []int64{3}}, "[1 2] [] [] [3] []"},
	{"a slice of anything", in{"ints": []any{1, 2}, "lazy": []any{3}}, "[1 2] [] [] [3] []"},
	{"an empty slice", in{"ints": []int{}, "lazy": []int{}}, "[] [] [] [] []"},
	{"one value", in{"ints": 1, "lazy": 3}, "[1] [] [] [3] []"},
	{"a slice where any will do", in{"any": []int{1, 2}}, "[] [1 2] [] [] []"},
	{"one of a named type where any will do", in{"any": vector{1, 2}}, "[] [[1 2]] [] [] []"},
	{"bytes where any will do", in{"any": []byte("ab")}, "[] [[97 98]] [] [] []"},
	{"one slice where slices are taken", in{"vectors": vector{1, 2}}, "[] [] [[1 2]] [] []"},
	{"slices where slices are taken", in{"vectors": []vector{{1, 2}, {3}}}, "[] [] [[1 2] [3]] [] []"},
	{"a named type where numbers are taken", in{"ints": vector{1, 2}}, "[1 2] [] [] [] []"},
	{"a slice where one is taken", in{"one": []int{1, 2}}, "[] [] [] [] [1 2]"},
}

func TestListsOfPromptsBuiltInGo(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, takes{}, nodebus.Info{Name: "Takes"})
		for _, c := range listsGiven {
			g := nodebus.NewGraph()
			before := fmt.Sprint(c.given)
			g.AddAs("o", "Show", in{"in": g.AddAs("x", "Takes", c.given)})
			require.Equal(t, before, fmt.Sprint(c.given), "the caller's inputs do not change")
			p := &nodebus.Prompt{ClientID: "me", Nodes: g.Nodes()}
			require.Equal(t, []any{c.want}, r.start(p)().text("o"), c.name)
		}
	})
}

// TestListsOfPromptsSurviveStorage checks that a prompt built in Go is still valid
// after it was stored as JSON and read again.
func TestListsOfPromptsSurviveStorage(t *testing.T) {
	reg := flow.NewRegistry()
	flow.Register(reg, takes{}, nodebus.Info{Name: "Takes", Output: true})
	for _, nodes := range []nodebus.Nodes{
		{{ID: "x", Class: "Takes", Inputs: in{"ints": []int{1, 2}}}},
		func() nodebus.Nodes {
			g := nodebus.NewGraph()
			g.AddAs("x", "Takes", in{"ints": []any{"1", 2}})
			return g.Nodes()
		}(),
	} {
		p := &nodebus.Prompt{Nodes: nodes}
		require.NoError(t, prepare(reg, p))
		enc, err := json.Marshal(p.Nodes)
		require.NoError(t, err)
		require.NoError(t, prepare(reg, &nodebus.Prompt{Nodes: parse(t, string(enc))}), string(enc))
	}
}

// hands makes a node and passes its own inputs to it.
type hands struct {
	given in
	eval  bool
}

func (n hands) Run(ctx *nodebus.Context) (out nodebus.Out[string], err error) {
	g := ctx.NewGraph()
	made := g.Add("Takes", n.given)
	if n.eval {
		out.Value, err = nodebus.Eval[string](ctx, g, made)
		return out, err
	}
	return nodebus.Out[string]{Graph: g, From: made}, nil
}

func TestListsOfGraphsMadeByNodes(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, takes{}, nodebus.Info{Name: "Takes"})
		for i, c := range listsGiven {
			for _, eval := range []bool{false, true} {
				name := fmt.Sprint("Hands", i, eval)
				flow.Register(r.reg, hands{c.given, eval}, nodebus.Info{Name: name})
				o := r.run(two(name))
				require.Nil(t, o.record.Error, "%s, %v", c.name, eval)
				require.Equal(t, []any{c.want}, o.text("out"), "%s, %v", c.name, eval)
			}
		}
	})
}

// counts returns a list, also in an output of type Out.
type counts struct {
	N     int
	block error
	graph bool
}

type countsOut struct {
	List  nodebus.List[int]              `out:"list"`
	Maybe nodebus.Out[nodebus.List[int]] `out:"maybe"`
	Sum   nodebus.Out[int]               `out:"sum"`
}

func (n counts) Run(ctx *nodebus.Context) (out countsOut, err error) {
	for i := range n.N {
		out.List = append(out.List, i)
		out.Sum.Value += i
	}
	out.Maybe.Value, out.Maybe.Blocked = out.List, n.block
	if n.graph {
		out.Sum.Graph = ctx.NewGraph()
		out.Sum.From = out.Sum.Graph.Add("Sum", in{"values": out.List})
	}
	return out, nil
}

type sumOf struct{ Values nodebus.List[int] }

func (n sumOf) Run(*nodebus.Context) (sum int, err error) {
	for _, v := range n.Values {
		sum += v
	}
	return sum, nil
}

// sumRuntime is the Runtime of an executor that can only run the class Sum.
func (sumRuntime) Progress(float64, float64) error { return nil }

func (sumRuntime) Graph() nodebus.Nodes { return nil }

type sumRuntime struct{ sum *flow.Class }

func (sumRuntime) Input(context.Context, string) (any, error) {
	return nil, errors.New("no lazy inputs")
}

func (sumRuntime) Await(context.Context, nodebus.Waiting, func(json.RawMessage) error) (json.RawMessage, error) {
	return nil, errors.New("no clients")
}

func (e sumRuntime) Eval(ctx context.Context, g *nodebus.Graph, _ ...nodebus.Link) ([]any, error) {
	res, err := e.sum.Call(nodebus.NewContext(ctx, nodebus.CallInfo{}), g.Nodes()[0].Inputs)
	if err != nil {
		return nil, err
	}
	return []any{res.Outputs[0].(int) * 100}, nil
}

// TestCallsOfOwnExecutorsConnect checks that any output of one Call can be an input
// of another Call.
func TestCallsOfOwnExecutorsConnect(t *testing.T) {
	reg := flow.NewRegistry()
	flow.Register(reg, sumOf{}, nodebus.Info{Name: "Sum"})
	flow.Register(reg, takes{}, nodebus.Info{Name: "Takes"})
	flow.Register(reg, counts{}, nodebus.Info{Name: "Counts"})
	flow.Register(reg, counts{block: nodebus.Block("not today")}, nodebus.Info{Name: "Blocked"})
	flow.Register(reg, counts{block: errors.New("odd")}, nodebus.Info{Name: "Wrong"})
	flow.Register(reg, counts{graph: true}, nodebus.Info{Name: "Expands"})
	sum, ok := reg.Class("Sum")
	require.True(t, ok)
	call := func(rt nodebus.Runtime, class string, inputs in) ([]any, error) {
		c, ok := reg.Class(class)
		require.True(t, ok)
		res, err := c.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{Place: nodebus.Place{UniqueID: "7"}, Runtime: rt}), inputs)
		return res.Outputs, err
	}
	outs, err := call(nil, "Counts", in{"n": 4})
	require.NoError(t, err)
	require.Equal(t, []any{[]any{0, 1, 2, 3}, []any{0, 1, 2, 3}, 6}, outs)
	for _, list := range outs[:2] {
		added, err := call(nil, "Sum", in{"values": list})
		require.NoError(t, err)
		require.Equal(t, []any{6}, added)
	}
	for _, c := range listsGiven {
		outs, err := call(nil, "Takes", c.given)
		require.NoError(t, err, c.name)
		require.Equal(t, []any{c.want}, outs, c.name)
	}
	g := nodebus.NewGraph()
	g.Add("Sum", in{"values": []int{1, 2}})
	outs, err = call(nil, "Sum", g.Nodes()[0].Inputs)
	require.NoError(t, err)
	require.Equal(t, []any{3}, outs, "Call accepts a literal in the form that a prompt has")

	outs, err = call(nil, "Blocked", in{"n": 4})
	require.NoError(t, err)
	require.Equal(t, 6, outs[2], "the other outputs are not blocked")
	require.EqualError(t, outs[1].(error), "nodebus: blocked: not today")
	for _, input := range []string{"values", "lazy"} {
		_, err = call(nil, map[string]string{"values": "Sum", "lazy": "Takes"}[input], in{input: outs[1]})
		require.ErrorAs(t, err, new(*nodebus.BlockedError), "no node is called with a blocked input")
	}
	_, err = call(nil, "Wrong", in{"n": 1})
	require.EqualError(t, err, `nodebus: node 7 (Wrong): output "maybe": Blocked is odd; use Block for a reason`)
	_, err = call(nil, "Expands", in{"n": 4})
	require.EqualError(t, err, `nodebus: node 7 (Expands): output "sum": nodebus: this executor does not run graphs made by nodes`)
	outs, err = call(sumRuntime{sum}, "Expands", in{"n": 4})
	require.NoError(t, err)
	require.Equal(t, 600, outs[2])
}
