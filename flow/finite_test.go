package flow_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestSection4NotFiniteInputs: a number that JSON does not have is refused by the name of
// the input, whatever type the input has.
func TestSection4NotFiniteInputs(t *testing.T) {
	for _, c := range []struct{ input, value, details string }{
		{"f", "NaN", "f, nan, NaN is not a finite number"},
		{"f", "-Infinity", "f, -inf, -Inf is not a finite number"},
		{"f", "1e999", "f, inf, +Inf is not a finite number"},
		{"i", "NaN", "i, nan, cannot convert float NaN to integer"},
		{"i", "Infinity", "i, inf, cannot convert float infinity to integer"},
		{"s", "NaN", "s, nan, NaN and infinities are not possible"},
		{"s", `{"a":[1,NaN]}`, "s, {'a': [1, nan]}, NaN and infinities are not possible"},
		{"b", "1e400", "b, inf, NaN and infinities are not possible"},
		{"c", "NaN", "c, nan, NaN and infinities are not possible"},
	} {
		graph := `{"t":{"class_type":"Typed","inputs":{"i":1,"f":0.5,"s":"x","b":true,"c":"red"}},"o":{"class_type":"Show","inputs":{"in":["t",0]}}}`
		nodes := parse(t, graph)
		nodes[0].Inputs[c.input] = parse(t, `{"x":{"class_type":"X","inputs":{"v":`+c.value+`}}}`)[0].Inputs["v"]
		_, ve := validate(t, nodes)
		require.NotNil(t, ve, c)
		require.Len(t, ve.Nodes["t"].Errors, 1, c)
		p := ve.Nodes["t"].Errors[0]
		require.Equal(t, "invalid_input_type", p.Type, c)
		require.Regexp(t, `^Failed to convert an input value to a [A-Z]+ value$`, p.Message)
		require.Equal(t, c.details, p.Details)
		require.Equal(t, c.input, p.Extra["input_name"])
		for _, v := range []any{ve, ve.Nodes, p} {
			_, err := json.Marshal(v)
			require.NoError(t, err, c)
		}
	}
}

// TestNotFiniteWhereItIsNotUsed: the prompt is accepted and runs, and has null there.
func TestNotFiniteWhereItIsNotUsed(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	nodes := nodebus.Nodes{
		{ID: "o", Class: "Show", Inputs: in{"in": 1.5, "undeclared": nan, "more": map[string]any{"a": []any{inf, 1.0}}, "go": []float64{1, nan}, "wrapped": map[string]any{"__value__": []any{nan}}}},
		{ID: "rest", Class: "Show", Inputs: in{"in": nan, "in2": nodebus.Link{Node: "o"}, "text": json.Number("1e999")}, Meta: json.RawMessage(`{"title":"x"}`)},
	}
	extra := map[string]any{"a": nan, "b": map[string]any{"c": []any{1, float32(inf)}}, "d": json.Number("-1e400"), "e": 2}
	inBubble(t, nil, nil, func(r *rig) {
		s, err := r.engine.Submit(r.ctx, &nodebus.Prompt{ID: "p", Nodes: nodes, Outputs: []string{"o"}, Extra: extra}, nil)
		require.NoError(t, err)
		require.Nil(t, s.Rejected)
		out, err := s.Wait(r.ctx)
		require.NoError(t, err)
		require.Equal(t, nodebus.Succeeded, out.State)
		rec, err := r.engine.Store().Get(r.ctx, "p")
		require.NoError(t, err)
		text, err := json.Marshal(rec.Prompt)
		require.NoError(t, err)
		var got struct{ Nodes, Extra json.RawMessage }
		require.NoError(t, json.Unmarshal(text, &got))
		require.JSONEq(t, `{
			"o":{"class_type":"Show","inputs":{"in":1.5,"undeclared":null,"more":{"a":[null,1.0]},"go":[1,null],"wrapped":{"__value__":[null]}}},
			"rest":{"class_type":"Show","inputs":{"in":null,"in2":["o",0],"text":null},"_meta":{"title":"x"}}}`, string(got.Nodes))
		require.JSONEq(t, `{"a":null,"b":{"c":[1,null]},"d":null,"e":2}`, string(got.Extra))
	})
	require.True(t, math.IsNaN(nodes[0].Inputs["undeclared"].(float64)), "the program's own nodes do not change")
	require.True(t, math.IsNaN(nodes[1].Inputs["in"].(float64)))
	require.True(t, math.IsNaN(extra["a"].(float64)))
}

// TestNotFiniteInAnotherOutput: an output whose input is not finite does not run; the other
// does.
func TestNotFiniteInAnotherOutput(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		s, err := r.engine.Submit(r.ctx, &nodebus.Prompt{Nodes: nodebus.Nodes{
			{ID: "good", Class: "Show", Inputs: in{"in": 1}}, {ID: "bad", Class: "Show", Inputs: in{"in": math.Inf(-1)}},
		}}, nil)
		require.NoError(t, err)
		require.Contains(t, s.Rejected.Nodes, "bad")
		_, err = json.Marshal(s.Prompt)
		require.NoError(t, err)
		_, err = s.Wait(r.ctx)
		require.NoError(t, err)
	})
}

// TestNotFiniteShown: what a node shows may hold such numbers, and the record, too.
func TestNotFiniteShown(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, oddNumbers{}, nodebus.Info{Name: "Odd"})
		s, err := r.engine.Submit(r.ctx, &nodebus.Prompt{ID: "p", Nodes: nodebus.Nodes{{ID: "o", Class: "Odd", Inputs: in{}}}}, nil)
		require.NoError(t, err)
		out, err := s.Wait(r.ctx)
		require.NoError(t, err)
		require.Equal(t, nodebus.Succeeded, out.State, "%v", out.Error)
		rec, err := r.engine.Store().Get(r.ctx, "p")
		require.NoError(t, err)
		text, err := json.Marshal(rec)
		require.NoError(t, err)
		require.Contains(t, string(text), `{"list":[],"numbers":[null,{"a":null}]}`)
	})
}

type oddNumbers struct{}

func (oddNumbers) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	if err := ctx.SendSync(nodebus.Custom{Type: "odd", Data: []any{math.NaN()}}); err != nil {
		return nil, fmt.Errorf("sending: %w", err)
	}
	return nodebus.UI{"numbers": {math.NaN(), map[string]any{"a": math.Inf(1)}}, "list": nil}, nil
}
