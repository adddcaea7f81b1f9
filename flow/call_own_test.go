package flow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// What an executor of one's own may give to Call: the inputs of the prompt as they are,
// and a Runtime that knows only what is connected.

// callNode calls a node of a class with a runtime, which may be nil.
func callNode[N nodebus.Node[Out], Out any](t *testing.T, node N, rt nodebus.Runtime, inputs in) (flow.Result, error) {
	t.Helper()
	r := flow.NewRegistry()
	flow.Register[Out](r, node, nodebus.Info{Name: "Node"})
	c, ok := r.Class("Node")
	require.True(t, ok)
	return c.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{Place: nodebus.Place{UniqueID: "7"}, Runtime: rt}), inputs)
}

// asks shows what its lazy inputs are.
type asks struct {
	Int    nodebus.Lazy[int]               `in:"int,optional"`
	Any    nodebus.Lazy[any]               `in:"any,optional"`
	List   nodebus.Lazy[nodebus.List[int]] `in:"list,optional"`
	Preset nodebus.Lazy[int]               `in:"preset,optional" default:"8"`
	Must   nodebus.Lazy[int]
}

func (n asks) Run(ctx *nodebus.Context) (string, error) {
	i, err := n.Int.Get(ctx)
	if err != nil {
		return "", err
	}
	a, err := n.Any.Get(ctx)
	if err != nil {
		return "", err
	}
	list, err := n.List.Get(ctx)
	if err != nil {
		return "", err
	}
	preset, err := n.Preset.Get(ctx)
	if err != nil {
		return "", err
	}
	must, err := n.Must.Get(ctx)
	return fmt.Sprint(i, a, []int(list), preset, must), err
}

// TestCallWithLazyInputsThatAreNotConnected: an optional lazy input that the Runtime
// does not know is its default or zero. A required one is an error.
func TestCallWithLazyInputsThatAreNotConnected(t *testing.T) {
	res, err := callNode(t, asks{}, answers{"must": 1}, nil)
	require.NoError(t, err)
	require.Equal(t, []any{"0 <nil> [] 8 1"}, res.Outputs)

	res, err = callNode(t, asks{}, answers{
		"int": 2, "any": true, "list": map[string]any{"__value__": []any{json.Number("3"), 4}}, "preset": 5, "must": json.Number("6"),
	}, nil)
	require.NoError(t, err)
	require.Equal(t, []any{"2 true [3 4] 5 6"}, res.Outputs)

	_, err = callNode(t, asks{}, answers{}, nil)
	require.EqualError(t, err, "nodebus: node 7 (Node): needs a whole number, got null")

	_, err = callNode(t, asks{}, answers{"int": nodebus.Block("closed")}, nil)
	require.ErrorAs(t, err, new(*nodebus.BlockedError))
}

// size is a type that a literal object has the form of.
type size struct{ W, H int }

// takesLiterals shows what its inputs came as.
type takesLiterals struct {
	Any   any                `in:"any,optional"`
	Ints  []int              `in:"ints,optional" type:"INTS"`
	Text  string             `in:"text,optional"`
	Size  size               `in:"size,optional" type:"SIZE"`
	Sizes nodebus.List[size] `in:"sizes,optional" type:"SIZE"`
	Late  nodebus.Lazy[any]  `in:"late,optional"`
}

func (n takesLiterals) Run(ctx *nodebus.Context) (string, error) {
	late, err := n.Late.Get(ctx)
	return fmt.Sprintf("%v %v %q %v %v %v", n.Any, n.Ints, n.Text, n.Size, n.Sizes, late), err
}

// TestCallWithLiterals: the inputs of a prompt may go to Call as they are in the prompt.
func TestCallWithLiterals(t *testing.T) {
	for _, c := range []struct{ inputs, want string }{
		{`{"any": {"__value__": [1, "a", 2.5]}}`, `[1 a 2.5] [] "" {0 0} [] <nil>`},
		{`{"any": {"__value__": {"__value__": [1]}}}`, `map[__value__:[1]] [] "" {0 0} [] <nil>`},
		{`{"any": {"__value__": [1], "more": 2}}`, `map[__value__:[1] more:2] [] "" {0 0} [] <nil>`},
		{`{"any": {"a": 1}}`, `map[a:1] [] "" {0 0} [] <nil>`},
		{`{"ints": {"__value__": [1, 2]}}`, `<nil> [1 2] "" {0 0} [] <nil>`},
		{`{"text": {"__value__": "a"}}`, `<nil> [] "a" {0 0} [] <nil>`},
		{`{"size": {"W": 1, "H": 2}}`, `<nil> [] "" {1 2} [] <nil>`},
		{`{"sizes": {"__value__": [{"W": 1}, {"H": 2}]}}`, `<nil> [] "" {0 0} [{1 0} {0 2}] <nil>`},
		{`{"sizes": {"W": 1}}`, `<nil> [] "" {0 0} [{1 0}] <nil>`},
		{`{"late": {"__value__": [1, "a"]}}`, `<nil> [] "" {0 0} [] [1 a]`},
	} {
		nodes := parse(t, `{"1": {"class_type": "Node", "inputs": `+c.inputs+`}}`)
		res, err := callNode(t, takesLiterals{}, nil, nodes[0].Inputs)
		require.NoError(t, err, c.inputs)
		require.Equal(t, []any{c.want}, res.Outputs, c.inputs)
	}
	_, err := callNode(t, takesLiterals{}, nil, in{"ints": map[string]any{"__value__": []any{"x"}}})
	require.ErrorContains(t, err, `nodebus: node 7 (Node): input "ints": element 0: needs a whole number, got the string "x"`)

	live := map[string]any{"__value__": 1, "more": 2} // a value of another node, which is no literal
	res, err := callNode(t, passes{}, nil, in{"in": live})
	require.NoError(t, err)
	live["more"] = 3
	require.Equal(t, []any{live}, res.Outputs, "the value is passed on, not a copy")
}

type passes struct{ In any }

func (n passes) Run(*nodebus.Context) (any, error) { return n.In, nil }

// relays lets another node of the prompt stand in for it.
type relays struct{ Node string }

func (n relays) Run(*nodebus.Context) (nodebus.Out[int], error) {
	return nodebus.Out[int]{Value: 1, From: nodebus.Link{Node: n.Node, Slot: 2}}, nil
}

// promptOutputs is a Runtime that knows the outputs of the nodes of a prompt.
type promptOutputs struct {
	answers
	outputs map[nodebus.Link]any
}

func (p promptOutputs) Eval(_ context.Context, g *nodebus.Graph, outs ...nodebus.Link) (values []any, err error) {
	for _, out := range outs {
		values = append(values, p.outputs[out])
	}
	return values, p.check(g)
}

func (promptOutputs) check(g *nodebus.Graph) error {
	if g != nil || g.Nodes() != nil { // a nil graph has no nodes
		return fmt.Errorf("got the graph %v", g.Nodes())
	}
	return nil
}

// TestCallOfANodeWithAStandIn: an Out without a Graph is an output of another node of the
// prompt.
func TestCallOfANodeWithAStandIn(t *testing.T) {
	rt := promptOutputs{outputs: map[nodebus.Link]any{{Node: "4", Slot: 2}: 9}}
	res, err := callNode(t, relays{}, rt, in{"node": "4"})
	require.NoError(t, err)
	require.Equal(t, []any{9}, res.Outputs)

	_, err = callNode(t, relays{}, nil, in{"node": "4"})
	require.EqualError(t, err, `nodebus: node 7 (Node): output "INT": nodebus: this executor does not run graphs made by nodes`)
}

// evaluates asks for an output of another node of its prompt.
type evaluates struct{ Node string }

func (n evaluates) Run(ctx *nodebus.Context) (any, error) {
	return nodebus.Eval[any](ctx, nil, nodebus.Link{Node: n.Node})
}

// TestEvalWithoutAGraph: Local runs the node of the prompt that is asked for.
func TestEvalWithoutAGraph(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.id()
		flow.Register(r.reg, evaluates{}, nodebus.Info{Name: "Evaluates"})
		g := nodebus.NewGraph()
		g.AddAs("spare", "Id", in{"in": "of the prompt"})
		g.AddAs("o", "Show", in{"in": g.AddAs("x", "Evaluates", in{"node": "spare"})})
		o := r.start(&nodebus.Prompt{ClientID: "me", Nodes: g.Nodes()})()
		require.Equal(t, []any{"of the prompt"}, o.text("o"))
	})
}

// outer calls the class of another node in its own Run, with its own context.
type outer struct {
	Int nodebus.Lazy[int] `in:"int,optional"`
	c   *flow.Class
}

func (n outer) Run(ctx *nodebus.Context) (any, error) {
	res, err := n.c.Call(ctx, nil)
	if err != nil {
		return nil, err
	}
	return res.Outputs[0], nil
}

// TestInputOfLocalThatIsNotConnected: the Runtime of Local answers nil.
func TestInputOfLocalThatIsNotConnected(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, inner{}, nodebus.Info{Name: "Inner"})
		c, _ := r.reg.Class("Inner")
		flow.Register(r.reg, outer{c: c}, nodebus.Info{Name: "Outer"})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("x", "Outer", nil)})
		o := r.start(&nodebus.Prompt{ClientID: "me", Nodes: g.Nodes()})()
		require.Equal(t, []any{"0"}, o.text("o"))
	})
}

type inner struct {
	Int nodebus.Lazy[int] `in:"int,optional"`
}

func (n inner) Run(ctx *nodebus.Context) (string, error) {
	i, err := n.Int.Get(ctx)
	return fmt.Sprint(i), err
}
