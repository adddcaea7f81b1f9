package flow_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// Execution semantics, section 4: nodes that check their inputs themselves.

func TestSection4OwnValidators(t *testing.T) {
	strictWith := func(mode, n string) nodebus.Nodes {
		return parse(t, `{"s":{"class_type":"Strict","inputs":{"mode":"`+mode+`","n":`+n+`,"link":["a",0]}},"a":{"class_type":"Add","inputs":{"a":1,"b":1}},"o":{"class_type":"Show","inputs":{"in":["s",0]}}}`)
	}
	for _, c := range []struct {
		mode, n string
		want    []string
	}{
		{"ok", "1", nil},
		{"ok", "99", nil}, // an unchecked input: the node checks limits itself
		{"other", "1", nil},
		{"error", "1", []string{"mode - not today", "n - not today", "link - not today"}},
		{"one", "1", []string{"n - too odd"}},
		{"silent", "1", []string{"mode", "n", "link"}},
	} {
		_, ve := validate(t, strictWith(c.mode, c.n))
		if c.want == nil {
			require.Nil(t, ve, c.mode)
			continue
		}
		var got []string
		for _, p := range ve.Nodes["s"].Errors {
			require.Equal(t, "custom_validation_failed", p.Type)
			require.Equal(t, "Custom validation failed for node", p.Message)
			got = append(got, p.Details)
		}
		require.Equal(t, c.want, got)
	}
	_, ve := validate(t, strictWith("panic", "1"))
	require.Equal(t, "exception_during_inner_validation", ve.Nodes["s"].Errors[0].Type)
	require.Equal(t, "validation blew up", ve.Nodes["s"].Errors[0].Details)
	_, ve = validate(t, strictWith("ok", `"x"`))
	require.Equal(t, "invalid_input_type", ve.Nodes["s"].Errors[0].Type, "Validate is not called if an input cannot be set")
}

func TestSection4LinkTypesForValidators(t *testing.T) {
	graph := func(slot int) nodebus.Nodes {
		src := typedWith(t, `{}`)[0]
		src.ID = "src"
		return append(parse(t, fmt.Sprintf(`{"l":{"class_type":"Linked","inputs":{"a":["src",2],"b":["src",%d]}},"o":{"class_type":"Show","inputs":{"in":["l",0]}}}`, slot)), src)
	}
	_, ve := validate(t, graph(2))
	require.Nil(t, ve, "the engine does not check link types of a node that checks them itself")
	_, ve = validate(t, graph(0))
	require.Equal(t, "a - STRING and INT are not alike", ve.Nodes["l"].Errors[0].Details)
}

// TestInputsWithoutAForm checks that Submit refuses what a record could not show: GET
// /history would then fail for every client.
func TestInputsWithoutAForm(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		for name, p := range map[string]*nodebus.Prompt{
			"a NaN":                  {Nodes: shownValue(math.NaN())},
			"an infinity in a list":  {Nodes: shownValue([]float64{1, math.Inf(1)})},
			"not used, and formless": {Nodes: append(shown("x"), nodebus.NodeSpec{ID: "rest", Class: "Show", Inputs: in{"in": func() {}}})},
			"extra data with itself": {Nodes: shown("x"), Extra: ringOf()},
			"a channel in a map":     {Nodes: shownValue(map[string]any{"c": make(chan int)})},
			"a function":             {Nodes: shownValue(func() {})},
			"extra data":             {Nodes: shown("x"), Extra: map[string]any{"f": func() {}}},
			"a priority without end": {Nodes: shown("x"), Priority: math.Inf(1)},
		} {
			_, err := r.engine.Submit(r.ctx, p, nil)
			var invalid *nodebus.ValidationError
			require.ErrorAs(t, err, &invalid, name)
			_, err = json.Marshal(invalid)
			require.NoError(t, err, name)
		}
	})
}

func ringOf() map[string]any {
	ring := map[string]any{}
	ring["ring"] = ring
	return ring
}

func shownValue(v any) nodebus.Nodes {
	g := nodebus.NewGraph()
	g.AddAs("o", "Show", in{"in": v})
	return g.Nodes()
}
