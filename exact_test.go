package nodebus_test

import (
	"encoding/json"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

const bigSeed = uint64(1<<63 + 1) // no float64 holds it

// TestNumbersSurviveJSON: what a Go program put into a value of any type is still in its
// JSON after the JSON was read and written again. Other numbers are a float64, as usual.
func TestNumbersSurviveJSON(t *testing.T) {
	seeds := func() []any { return []any{bigSeed, int64(-1<<62 - 1), json.Number("0.10000000000000000001"), 0.5, 7} }
	extra := func() map[string]any { return map[string]any{"x": map[string]any{"seeds": seeds()}} }
	for name, c := range map[string]struct {
		in   any
		back func() any
		read func(any) any // a number 7
	}{
		"ui": {
			nodebus.UI{"seeds": seeds()},
			func() any { return &nodebus.UI{} },
			func(v any) any { return (*v.(*nodebus.UI))["seeds"][4] },
		},
		"node output": {
			nodebus.NodeOutput{Place: nodebus.Place{UniqueID: "n"}, UI: nodebus.UI{"seeds": seeds()}},
			func() any { return &nodebus.NodeOutput{} },
			func(v any) any { return v.(*nodebus.NodeOutput).UI["seeds"][4] },
		},
		"executed": {
			nodebus.Executed{Output: nodebus.UI{"seeds": seeds()}},
			func() any { return &nodebus.Executed{} },
			func(v any) any { return v.(*nodebus.Executed).Output["seeds"][4] },
		},
		"current inputs": {
			nodebus.ExecutionError{CurrentInputs: map[string][]any{"seeds": seeds()}},
			func() any { return &nodebus.ExecutionError{} },
			func(v any) any { return v.(*nodebus.ExecutionError).CurrentInputs["seeds"][4] },
		},
		"prompt": {
			nodebus.Prompt{ID: "p", Priority: 3, Extra: extra(), Nodes: nodebus.Nodes{{ID: "1", Class: "C", Inputs: nodebus.Inputs{"seed": bigSeed}}}},
			func() any { return &nodebus.Prompt{} },
			func(v any) any { return v.(*nodebus.Prompt).Extra["x"].(map[string]any)["seeds"].([]any)[4] },
		},
		"rejected outputs": {
			&nodebus.Prompt{Rejected: &nodebus.ValidationError{
				Problem: nodebus.Problem{Extra: extra()},
				Nodes:   map[string]*nodebus.NodeProblems{"1": {Errors: []nodebus.Problem{{Extra: extra()}}, DependentOutputs: []string{}}},
			}},
			func() any { return &nodebus.Prompt{} },
			func(v any) any {
				return v.(*nodebus.Prompt).Rejected.Nodes["1"].Errors[0].Extra["x"].(map[string]any)["seeds"].([]any)[4]
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(c.in)
			require.NoError(t, err)
			require.Contains(t, string(text), "9223372036854775809")
			back := c.back()
			require.NoError(t, json.Unmarshal(text, back))
			require.Equal(t, 7.0, c.read(back))
			again, err := json.Marshal(back)
			require.NoError(t, err)
			require.Equal(t, string(text), string(again))
		})
	}
}

// TestJSONOfOtherKindsIsRefused: an error names what is wrong, and null is empty.
func TestJSONOfOtherKindsIsRefused(t *testing.T) {
	for name, v := range map[string]any{"ui": &nodebus.UI{}, "prompt": &nodebus.Prompt{}, "problem": &nodebus.Problem{}} {
		require.NoError(t, json.Unmarshal([]byte("null"), v), name)
		require.ErrorContains(t, json.Unmarshal([]byte("7"), v), "cannot unmarshal number", name)
	}
}
