package comfy_test

import (
	"encoding/json"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// The descriptions of classes in ComfyUI 0.38.

// adapts has an output whose type follows from an input, and whole lists.
type adapts struct {
	In   any `match:"T"`
	Many nodebus.List[string]
	Pick string `options:"a,b" in:",combo"`
}

type adapted struct {
	Out  any `out:"out" match:"T"`
	Size int `out:"size"`
}

func (n adapts) Run(*nodebus.Context) (adapted, error) { return adapted{}, nil }

// TestNewest4_EveryField: each field in each column, with its type.
func TestNewest4_EveryField(t *testing.T) {
	const badge = `{"engine":"jsonata","depends_on":{"widgets":[{"name":"pick","type":"COMBO"}],"inputs":[],"input_groups":[]},"expr":"{\"type\":\"usd\",\"usd\":0.5}"}`
	h := newHost(t, nil)
	flow.Register(h.reg, adapts{}, nodebus.Info{
		Name: "All", Title: "All of it", Category: "a/b", Deprecated: true, Experimental: true, DevOnly: true, APINode: true, PriceBadge: json.RawMessage(badge),
		Search: []string{"x"}, Essentials: "Basics", Module: "custom_nodes.pack", Intermediate: true,
	})
	flow.Register(h.reg, bare{}, nodebus.Info{Name: "Bare"})
	all := h.get("/object_info")
	for name, want := range map[string]any{
		"is_input_list": true, "has_intermediate_output": true, "deprecated": true, "experimental": true, "dev_only": true, "api_node": true,
		"search_aliases": []any{"x"}, "essentials_category": "Basics", "output_matchtypes": []any{"T", nil}, "display_name": "All of it",
		"python_module": "custom_nodes.pack", "output": []any{"COMFY_MATCHTYPE_V3", "INT"},
	} {
		require.Equal(t, want, at(t, all, "All", name), name)
	}
	require.JSONEq(t, badge, jsonOf(t, at(t, all, "All", "price_badge")))
	for name, want := range map[string]any{
		"is_input_list": false, "has_intermediate_output": false, "search_aliases": []any{}, "display_name": "Bare", "python_module": "nodes",
		"category": "", "description": "", "input": map[string]any{"required": map[string]any{}},
	} {
		require.Equal(t, want, at(t, all, "Bare", name), name)
	}
	for _, name := range []string{"deprecated", "experimental", "dev_only", "api_node", "price_badge", "essentials_category", "output_matchtypes"} {
		require.NotContains(t, at(t, all, "Bare"), name, "a class of the older kind says it only if it is true")
	}
}

// TestNewest4_Types: each description of each class has the types that the front end reads. It
// checks nothing when it loads them, so that a wrong type breaks it later.
func TestNewest4_Types(t *testing.T) {
	h := newHost(t, nil)
	flow.Register(h.reg, sampler{}, nodebus.Info{Title: "", Search: nil})
	flow.Register(h.reg, adapts{}, nodebus.Info{})
	var entry flow.Schema
	require.NoError(t, json.Unmarshal([]byte(`{"name":"V3","display_name":null,"category":"c","search_aliases":null,"api_node":null,"price_badge":null,
		"input":{"required":{"a":["COMBO",{"multiselect":false,"options":["x"]}]},"hidden":{"unique_id":["UNIQUE_ID"]}},"output":[],"output_matchtypes":null}`), &entry))
	class, err := flow.NewClass(entry, func(*nodebus.Context, nodebus.Inputs) (flow.Result, error) { return flow.Result{}, nil }, nil)
	require.NoError(t, err)
	require.NoError(t, h.reg.Add(class))
	all := h.get("/object_info").(map[string]any)
	require.Contains(t, all, "V3")
	for class, v := range all {
		d := v.(map[string]any)
		for _, name := range []string{"name", "display_name", "description", "python_module", "category"} {
			require.IsType(t, "", d[name], "%s of %s", name, class)
		}
		require.NotEmpty(t, d["display_name"], class)
		for _, name := range []string{"is_input_list", "has_intermediate_output", "output_node"} {
			require.IsType(t, true, d[name], "%s of %s", name, class)
		}
		require.IsType(t, []any{}, d["search_aliases"], class)
		require.Len(t, d["output_is_list"], len(d["output"].([]any)), class)
		require.Len(t, d["output_name"], len(d["output"].([]any)), class)
		input := d["input"].(map[string]any)
		require.Contains(t, input, "required", class)
		for kind, inputs := range input {
			require.ElementsMatch(t, sortedNames(inputs.(map[string]any)), at(t, d, "input_order", kind), class)
			for name, spec := range inputs.(map[string]any) {
				if kind == "hidden" {
					require.IsType(t, "", spec, name)
					continue
				}
				require.Len(t, spec, 2, name)
				require.IsType(t, map[string]any{}, spec.([]any)[1], name)
			}
		}
	}
	require.Equal(t, []any{"COMBO", map[string]any{"multiselect": false, "options": []any{"x"}}}, at(t, all, "V3", "input", "required", "a"))
}

// TestNewest4_PriceBadgeIsAnObject: a badge that is no object is a mistake of the program.
func TestNewest4_PriceBadgeIsAnObject(t *testing.T) {
	for _, badge := range []string{"", "1", "[]", "{", "{}}", "null"} {
		info := nodebus.Info{Name: "A", PriceBadge: json.RawMessage(badge)}
		require.PanicsWithValue(t, "nodebus: node comfy_test.bare: Info.PriceBadge is not a JSON object; write an object, or leave it out", func() {
			flow.Register(flow.NewRegistry(), bare{}, info)
		}, badge)
		_, err := flow.NewClass(flow.Schema{Info: info}, func(*nodebus.Context, nodebus.Inputs) (flow.Result, error) { return flow.Result{}, nil }, nil)
		require.ErrorContains(t, err, `class "A": has a PriceBadge that is not a JSON object`)
	}
}

// TestNewest4_GateOfPrices: the host can tell the front end not to ask users to sign in.
func TestNewest4_GateOfPrices(t *testing.T) {
	h := newHost(t, &comfy.Options{Features: map[string]any{"partner_run_gate_enabled": false, "show_signin_button": false}})
	flags := h.get("/features")
	require.Equal(t, false, at(t, flags, "partner_run_gate_enabled"))
	require.Equal(t, false, at(t, flags, "show_signin_button"))
}
