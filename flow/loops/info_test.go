package loops_test

import (
	"encoding/json"
	"testing"

	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/flow/loops"
	"github.com/stretchr/testify/require"
)

// described returns some members of the entry of a class in /object_info, without tooltips.
func described(t *testing.T, r *rig, class string, members ...string) string {
	t.Helper()
	c, ok := r.reg.Class(class)
	require.True(t, ok, class)
	var all map[string]any
	require.NoError(t, json.Unmarshal([]byte(asJSON(t, c.Schema())), &all))
	some := map[string]any{}
	for _, m := range members {
		some[m] = plain(all[m])
	}
	return asJSON(t, some)
}

func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "tooltip")
		for name := range v {
			v[name] = plain(v[name])
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	}
	return v
}

// TestNewest7_LoopClasses: the inputs and outputs have the names and types of ComfyUI's classes.
// Clients are not told that classes are boundaries.
func TestNewest7_LoopClasses(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, r *rig) {
		any := `["COMFY_MATCHTYPE_V3",{"template":{"template_id":"carried_value","allowed_types":"*"}}]`
		require.JSONEq(t, `{
			"display_name":"Start Loop","category":"utilities/looping","python_module":"comfy_extras.nodes_loop","output_node":false,"dev_only":null,"loop_boundary":null,
			"input":{
				"required":{
					"mode":["COMFY_DYNAMICCOMBO_V3",{"options":[
						{"key":"simple","inputs":{"required":{"num_iterations":["INT",{"default":4,"min":0}]}}},
						{"key":"For","inputs":{"required":{"start_iteration_index":["INT",{"default":0}],"max_iteration":["INT",{"default":4,"max":18446744073709551615}],"step":["INT",{"default":1,"min":1}]}}},
						{"key":"List","inputs":{"required":{"list":["COMFY_MATCHTYPE_V3",{"template":{"template_id":"list_item","allowed_types":"*"}}]}}}]}],
					"cache_iterations":["BOOLEAN",{"default":false,"advanced":true}]},
				"optional":{"parent_iteration":["INT",{"forceInput":true}],"initial_iteration_value":`+any+`},
				"hidden":{"execution_list":"EXECUTION_LIST","unique_id":"UNIQUE_ID"}},
			"is_input_list":true,
			"output":["INT","BOOLEAN","BOOLEAN","COMFY_MATCHTYPE_V3","COMFY_MATCHTYPE_V3"],
			"output_name":["iteration_index","is_first","is_last","list_item","current_iteration_value"],
			"output_is_list":[false,false,false,false,false],
			"output_matchtypes":[null,null,null,"list_item","carried_value"]}`,
			described(t, r, "StartLoop", "display_name", "category", "python_module", "output_node", "dev_only", "loop_boundary", "input", "is_input_list", "output", "output_name", "output_is_list", "output_matchtypes"))
		require.JSONEq(t, `{
			"display_name":"End Loop",
			"input":{
				"required":{"accumulate":["BOOLEAN",{"default":false}]},
				"optional":{
					"output_value":["COMFY_MATCHTYPE_V3",{"template":{"template_id":"output_value","allowed_types":"*"}}],
					"next_iteration_value":`+any+`,
					"terminations":["COMFY_AUTOGROW_V3",{"template":{"input":{"required":{"termination":["*",{}]}},"prefix":"termination","min":0,"max":50}}]},
				"hidden":{"execution_list":"EXECUTION_LIST","unique_id":"UNIQUE_ID"}},
			"is_input_list":true,
			"output":["COMFY_MATCHTYPE_V3"],"output_name":["outputs"],"output_is_list":[true],"output_matchtypes":["output_value"]}`,
			described(t, r, "EndLoop", "display_name", "input", "is_input_list", "output", "output_name", "output_is_list", "output_matchtypes"))
		for class, want := range map[string]string{
			"LoopIteration": `{"dev_only":true,"output_node":false,"output":["INT","BOOLEAN","BOOLEAN","*","*"],"output_is_list":[false,false,false,false,true],"is_input_list":true}`,
			"LoopProgress":  `{"dev_only":true,"output_node":true,"output":["INT"],"output_is_list":[false],"is_input_list":true}`,
			"LoopResult":    `{"dev_only":true,"output_node":true,"output":[],"output_is_list":[],"is_input_list":true}`,
		} {
			require.JSONEq(t, want, described(t, r, class, "dev_only", "output_node", "output", "output_is_list", "is_input_list"), class)
		}
		var again flow.Schema
		c, _ := r.reg.Class("LoopProgress")
		require.NoError(t, json.Unmarshal([]byte(asJSON(t, c.Schema())), &again))
		require.True(t, again.DevOnly)
	})
}

// TestRegisterTwice: a name that is taken is an error.
func TestRegisterTwice(t *testing.T) {
	r := flow.NewRegistry()
	require.NoError(t, loops.Register(r, nil))
	var bad *flow.SchemaError
	require.ErrorAs(t, loops.Register(r, nil), &bad)
	require.Equal(t, "StartLoop", bad.Class)
}
