package flow_test

import (
	"encoding/json"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestSchemaOfOddClass reads what a class may say although it means nothing. NewClass refuses
// what it cannot use, and names the class and the input.
func TestSchemaOfOddClass(t *testing.T) {
	for _, tt := range []struct{ name, entry, wrong string }{
		{"an entry without a type", `"input":{"required":{"a":[]}}`, `class "A": port "a": has no type`},
		{"the type is null", `"input":{"required":{"a":null}}`, `class "A": port "a": has no type`},
		{"the type is empty", `"input":{"optional":{"a":["",{}]}}`, `class "A": port "a": has no type`},
		{"the type is a number", `"input":{"required":{"a":[5,{}]}}`, `class "A": port "a": has no type`},
		{"an output without a type", `"output":["INT",null]`, `class "A": port "1": has no type`},
		{"a hidden number", `"input":{"hidden":{"version":3.7}}`, `class "A": port "version": has no type`},
		{"a hidden object", `"input":{"hidden":{"a":{"x":1}}}`, `class "A": port "a": has no type`},
		{"a name twice", `"input":{"required":{"a":["INT"]},"optional":{"a":["FLOAT"]}}`, `class "A": port "a": is the name of two inputs`},
		{"min above max", `"input":{"required":{"a":["INT",{"min":5,"max":1}]}}`, `class "A": port "a": has Min 5, which is bigger than Max 1`},
		{"no objects", `"input":{"required":["a"],"optional":7},"input_order":"x","output":{"a":1}`, ""},
		{"no object of inputs", `"input":["a"]`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := readSchema(t, `{"name":"A",`+tt.entry+`}`)
			_, err := flow.NewClass(s, plainFunc, nil)
			if tt.wrong == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.wrong)
		})
	}
}

// TestSchemaOfStringOutput checks an entry of a class that forgot the comma of a tuple. In
// ComfyUI each letter is then the type of an output.
func TestSchemaOfStringOutput(t *testing.T) {
	s := readSchema(t, `{"name":"A","output":"INT","output_is_list":[false,false,false],"output_name":"abc"}`)
	require.Equal(t, []string{"a", "b", "c"}, namesOf(s.Outputs))
	require.Equal(t, []string{"I", "N", "T"}, []string{s.Outputs[0].Type, s.Outputs[1].Type, s.Outputs[2].Type})
}

// TestSchemaWithNullChoice checks that null can be a choice.
func TestSchemaWithNullChoice(t *testing.T) {
	const entry = `{"name":"A","input":{"required":{"a":[[1,2.5,"x",null],{}],"b":["COMBO",{"options":[null,"y"]}]}},"output":[]}`
	s := readSchema(t, entry)
	got, err := s.Inputs[0].ListChoices()
	require.NoError(t, err)
	require.Equal(t, []any{int64(1), 2.5, "x", nil}, got)
	want := membersOf(t, entry, nil)
	text, err := s.MarshalJSON()
	require.NoError(t, err)
	require.Equal(t, want, membersOf(t, string(text), want))

	for literal, wrong := range map[string]string{"null": "", `"x"`: "", "1": "", `"None"`: "a: 'None' not in [1, 2.5, 'x', None]", "false": "not in"} {
		var taken []any
		s.Output = true
		c, err := flow.NewClass(s, func(_ *nodebus.Context, in nodebus.Inputs) (flow.Result, error) {
			taken = append(taken, in["a"], in["b"])
			return flow.Result{}, nil
		}, nil)
		require.NoError(t, err)
		reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
		require.NoError(t, reg.Add(c))
		nodes, err := nodebus.ParseNodes([]byte(`{"1":{"class_type":"A","inputs":{"a":` + literal + `,"b":null}}}`))
		require.NoError(t, err)
		out, err := flow.Do(t.Context(), flow.NewEngine(reg, hub, nil), &nodebus.Prompt{Nodes: nodes})
		require.NoError(t, hub.Close())
		if wrong != "" {
			require.ErrorContains(t, err, wrong)
			continue
		}
		require.NoError(t, err)
		require.NoError(t, out.Err())
		var value any
		require.NoError(t, json.Unmarshal([]byte(literal), &value))
		require.Equal(t, []any{value, nil}, []any{normal(taken[0]), taken[1]})
	}
}

// normal returns a number as encoding/json decodes it.
func normal(v any) any {
	if n, ok := v.(int64); ok {
		return float64(n)
	}
	return v
}
