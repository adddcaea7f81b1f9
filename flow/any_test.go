package flow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// takesAnything stores what its inputs are.
type takesAnything struct {
	A      any                  `in:"a,optional"`
	Int    any                  `in:"int,optional" type:"INT"`
	Preset any                  `in:"preset,optional" default:"[1, 2.5]"`
	List   nodebus.List[any]    `in:"list,optional"`
	Late   nodebus.Lazy[any]    `in:"late,optional"`
	Grow   []any                `grow:"g,min=0"`
	Map    map[string]any       `grow:"m,min=0"`
	Info   any                  `hidden:"EXTRA_PNGINFO"`
	Others []nodebus.Named[any] `in:",rest"`
	got    func(ctx *nodebus.Context, n takesAnything)
}

func (n takesAnything) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	n.got(ctx, n)
	return nil, nil
}

// TestNumbersInAny: a node gets numbers by one rule, wherever they come from.
func TestNumbersInAny(t *testing.T) {
	const numbers = `{"a": 1, "b": [1.0, 18446744073709551615], "c": {"d": -2e1}}`
	want := map[string]any{"a": 1, "b": []any{1.0, uint64(18446744073709551615)}, "c": map[string]any{"d": -20.0}}
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, takesAnything{got: func(ctx *nodebus.Context, n takesAnything) {
			require.Equal(t, want, n.A)
			require.Equal(t, 7, n.Int)
			require.Equal(t, []any{1, 2.5}, n.Preset)
			require.Equal(t, nodebus.List[any]{want, 3}, n.List)
			late, err := n.Late.Get(ctx)
			require.NoError(t, err)
			require.Equal(t, want, late)
			require.Equal(t, []any{want}, n.Grow)
			require.Equal(t, map[string]any{"m0": want}, n.Map)
			require.Equal(t, []nodebus.Named[any]{{Name: "x", Value: want}, {Name: "y", Value: 4}}, n.Others)
			require.Equal(t, want, n.Info)

			sent, err := json.Marshal(ctx.Hidden("EXTRA_PNGINFO"))
			require.NoError(t, err)
			require.JSONEq(t, numbers, string(sent))
			require.Contains(t, string(sent), "1.0", "what can be written again has the text that came")
			own := ctx.Hidden("DYNPROMPT").(nodebus.Nodes)[0].Inputs
			require.Equal(t, json.Number("4"), own["y"])
			y, err := nodebus.To[any](own["y"])
			require.NoError(t, err)
			require.Equal(t, 4, y)
		}}, nodebus.Info{Name: "Takes", Output: true})
		p := &nodebus.Prompt{ID: "p"}
		dec := map[string]any{}
		require.NoError(t, decodeNumbers(numbers, &dec))
		p.Extra = map[string]any{"extra_pnginfo": dec}
		p.Nodes = parse(t, fmt.Sprintf(`{"1": {"class_type": "Takes", "inputs": {
			"a": %[1]s, "int": "7", "list": {"__value__": [%[1]s, 3]}, "late": %[1]s, "grow.g0": %[1]s, "map.m0": %[1]s, "x": %[1]s, "y": 4}}}`, numbers))
		require.Equal(t, nodebus.Succeeded, r.submit(p).record.State)
		require.Equal(t, json.Number("1"), dec["a"], "what the prompt has is not changed")
	})
}

// TestNilPointersInAny: a nil pointer that goes to an input of type any is nil there.
func TestNilPointersInAny(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Nil", func(*nodebus.Context, any, any) (any, error) { return (*Latent)(nil), nil })
		flow.Register(r.reg, givesNil{}, nodebus.Info{Name: "Typed"})
		c, err := flow.NewClass(flow.Schema{
			Info:   nodebus.Info{Name: "Made", Output: true},
			Inputs: []flow.Port{{Name: "a", Type: "*"}, {Name: "late", Type: "*", Lazy: true}, {Name: "list", Type: "*", List: true}},
		}, func(ctx *nodebus.Context, in nodebus.Inputs) (flow.Result, error) {
			late, err := in["late"].(nodebus.Lazy[any]).Get(ctx)
			require.Equal(t, []any{nil, nil, []any{nil}}, []any{in["a"], late, in["list"]})
			return flow.Result{}, err
		}, nil)
		require.NoError(t, err)
		require.NoError(t, r.reg.Add(c))
		flow.Register(r.reg, takesAnything{got: func(ctx *nodebus.Context, n takesAnything) {
			late, err := n.Late.Get(ctx)
			require.NoError(t, err)
			require.Equal(t, []any{nil, nil}, []any{n.A, late})
			require.Equal(t, nodebus.List[any]{nil}, n.List)
			require.Equal(t, []any{nil}, n.Grow)
			require.Equal(t, map[string]any{"m0": nil}, n.Map)
			require.Equal(t, []nodebus.Named[any]{{Name: "x"}}, n.Others)
			v, err := nodebus.Eval[any](ctx, nil, nodebus.Link{Node: "n"})
			require.NoError(t, err)
			require.Equal(t, any(nil), v)
			v, err = nodebus.To[any]((*Latent)(nil))
			require.NoError(t, err)
			require.Equal(t, any(nil), v)
		}}, nodebus.Info{Name: "Takes", Output: true})
		for _, source := range []string{"Nil", "Typed"} {
			g := nodebus.NewGraph()
			l := g.AddAs("n", source, nil)
			g.AddAs("t", "Takes", in{"a": l, "late": l, "list": l, "grow.g0": l, "map.m0": l, "x": l})
			g.AddAs("m", "Made", in{"a": l, "late": l, "list": l})
			require.Equal(t, nodebus.Succeeded, r.submit(&nodebus.Prompt{ID: source, Nodes: g.Nodes()}).record.State)
		}
	})
}

// givesNil returns a nil pointer.
type givesNil struct{}

func (givesNil) Run(*nodebus.Context) (*Latent, error) { return nil, nil }

// takesLatent needs a value.
type takesLatent struct{ In Latent }

func (takesLatent) Run(*nodebus.Context) (int, error) { return 0, nil }

func TestNilPointerForAValue(t *testing.T) {
	_, err := callNode(t, takesLatent{}, nil, in{"in": (*Latent)(nil)})
	require.EqualError(t, err, `nodebus: node 7 (Node): input "in": needs a value of type LATENT, got null`)
}

// TestDefaultOfAny: the default of an input of type any is JSON, or else a text.
func TestDefaultOfAny(t *testing.T) {
	for _, c := range []struct {
		node    nodebus.Node[any]
		want    any
		options string
	}{
		{anyZero{}, 0, `["*",{"default":0}]`},
		{anyHalf{}, 0.5, `["*",{"default":0.5}]`},
		{anyTrue{}, true, `["*",{"default":true}]`},
		{anyText{}, "a cat", `["*",{"default":"a cat"}]`},
		{anyInt{}, 5, `["INT",{"default":5}]`},
		{anyString{}, "5", `["STRING",{"default":"5"}]`},
	} {
		inBubble(t, nil, nil, func(r *rig) {
			flow.Register(r.reg, c.node, nodebus.Info{Name: "Node"})
			class, _ := r.reg.Class("Node")
			require.Equal(t, `{"required":{},"optional":{"in":`+c.options+`}}`, inputsOf(t, r.reg, "Node"))
			res, err := class.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{}), nil)
			require.NoError(t, err)
			require.Equal(t, []any{c.want}, res.Outputs)
			g := nodebus.NewGraph()
			g.AddAs("o", "Show", in{"in": g.Add("Node", nil)})
			require.Equal(t, []any{fmt.Sprint(c.want)}, r.submit(&nodebus.Prompt{ID: "p", Nodes: g.Nodes()}).text("o"))
		})
	}
	require.PanicsWithValue(t, "nodebus: node flow_test.anyNoInt: field In: tag `default:\"x\"` is no such value (invalid literal for int() with base 10: 'x'); write a value of type interface {}", func() {
		flow.Register(flow.NewRegistry(), anyNoInt{}, nodebus.Info{})
	})
}

type (
	anyZero struct {
		In any `in:",optional" default:"0"`
	}
	anyHalf struct {
		In any `in:",optional" default:"0.5"`
	}
	anyTrue struct {
		In any `in:",optional" default:"true"`
	}
	anyText struct {
		In any `in:",optional" default:"a cat"`
	}
	anyInt struct {
		In any `in:",optional" type:"INT" default:"5"`
	}
	anyString struct {
		In any `in:",optional" type:"STRING" default:"5"`
	}
	anyNoInt struct {
		In any `in:",optional" type:"INT" default:"x"`
	}
)

func (n anyZero) Run(*nodebus.Context) (any, error)   { return n.In, nil }
func (n anyHalf) Run(*nodebus.Context) (any, error)   { return n.In, nil }
func (n anyTrue) Run(*nodebus.Context) (any, error)   { return n.In, nil }
func (n anyText) Run(*nodebus.Context) (any, error)   { return n.In, nil }
func (n anyInt) Run(*nodebus.Context) (any, error)    { return n.In, nil }
func (n anyString) Run(*nodebus.Context) (any, error) { return n.In, nil }
func (n anyNoInt) Run(*nodebus.Context) (any, error)  { return n.In, nil }

// decodeNumbers decodes JSON as a server does that keeps the text of numbers.
func decodeNumbers(text string, v any) error {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	return dec.Decode(v)
}

// answersWith is a Runtime that gives one answer.
type answersWith struct {
	answers
	data string
}

func (a answersWith) Await(context.Context, nodebus.Waiting, func(json.RawMessage) error) (json.RawMessage, error) {
	return json.RawMessage(a.data), nil
}

// TestNumbersInAnswers: an answer of type any follows the rule, too.
func TestNumbersInAnswers(t *testing.T) {
	ctx := nodebus.NewContext(t.Context(), nodebus.CallInfo{Runtime: answersWith{data: `[1, 1.0, {"a": 18446744073709551615}]`}})
	got, err := nodebus.Await[any](ctx, "q", nil)
	require.NoError(t, err)
	require.Equal(t, []any{1, 1.0, map[string]any{"a": uint64(18446744073709551615)}}, got)
	floats, err := nodebus.Await[[]any](nodebus.NewContext(t.Context(), nodebus.CallInfo{Runtime: answersWith{data: `[1]`}}), "q", nil)
	require.NoError(t, err)
	require.Equal(t, []any{1.0}, floats, "other types are read as encoding/json does")
}

// TestNumbersInDefaultsThatAreRead: so does a default in a description of a class.
func TestNumbersInDefaultsThatAreRead(t *testing.T) {
	var s flow.Schema
	require.NoError(t, json.Unmarshal([]byte(`{"name": "A", "input": {"required": {"a": ["*", {"default": [1, 2.5]}]}}, "output": []}`), &s))
	require.Equal(t, []any{1, 2.5}, s.Inputs[0].Default)
}
