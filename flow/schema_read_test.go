package flow_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Schemas that are read from entries of /object_info.

// sampler is a class of the older kind, as ComfyUI describes it.
const sampler = `{
	"input": {
		"required": {
			"steps": ["INT", {"default": 20, "min": 1, "max": 10000, "tooltip": "how many"}],
			"seed": ["INT", {"default": 0, "min": 0, "max": 18446744073709551615, "control_after_generate": true}],
			"cfg": ["FLOAT", {"default": 8.0, "min": 0.0, "max": 1e400, "step": 0.1, "round": 0.01}],
			"model": ["MODEL"],
			"name": [["euler", "ddim"], {"default": "ddim"}],
			"batch": [[1, 2.5, true], {}],
			"file": [[], {"image_upload": true, "remote": {"route": "/files", "b": [1, {"z": 1, "a": 2}]}}],
			"text": ["STRING", {"multiline": true, "dynamicPrompts": true, "min": 3}],
			"either": ["FLOAT,INT", {"default": 1.0, "min": 0, "widgetType": "FLOAT"}]
		},
		"optional": {
			"mask": ["MASK", {"lazy": true, "rawLink": true}],
			"on": ["BOOLEAN", {"default": false, "label_on": "yes", "note": null}],
			"any": ["*", {"forceInput": true}]
		},
		"hidden": {"unique_id": "UNIQUE_ID", "prompt": ["PROMPT"]}
	},
	"input_order": {
		"required": ["model", "seed", "steps", "cfg", "name", "batch", "file", "text", "either"],
		"optional": ["mask", "on", "any"], "hidden": ["unique_id", "prompt"]
	},
	"output": ["LATENT", ["euler", "ddim"], "INT"],
	"output_is_list": [false, false, true],
	"output_name": ["latent", "name", "n"],
	"output_tooltips": ["a", "b", null],
	"name": "Sampler", "display_name": "A Sampler", "description": "Samples.",
	"python_module": "nodes", "category": "sampling", "output_node": true
}`

func readSchema(t testing.TB, text string) (s flow.Schema) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), &s))
	return s
}

func namesOf(ports []flow.Port) (names []string) {
	for i := range ports {
		names = append(names, ports[i].Name)
	}
	return names
}

func TestSchemaIsRead(t *testing.T) {
	s := readSchema(t, sampler)
	require.Equal(t, nodebus.Info{Name: "Sampler", Title: "A Sampler", Description: "Samples.", Category: "sampling", Output: true, Module: "nodes"}, s.Info)
	require.Equal(t, []string{"model", "seed", "steps", "cfg", "name", "batch", "file", "text", "either", "mask", "on", "any", "unique_id", "prompt"}, namesOf(s.Inputs))
	in := map[string]flow.Port{}
	for _, p := range s.Inputs {
		in[p.Name] = p
	}
	require.Equal(t, flow.Port{Name: "model", Type: "MODEL", Kind: flow.PortRequired}, in["model"])
	require.Equal(t, uint64(18446744073709551615), in["seed"].Max)
	require.Equal(t, []any{int64(20), int64(1), int64(10000)}, []any{in["steps"].Default, in["steps"].Min, in["steps"].Max})
	require.Equal(t, []any{8.0, 0.0, nil}, []any{in["cfg"].Default, in["cfg"].Min, in["cfg"].Max}, "nothing is bigger than 1e400")
	require.Equal(t, flow.PortOption{Name: "max", Value: json.Number("1e400")}, in["cfg"].Options[2])
	require.Nil(t, in["text"].Min)
	require.Equal(t, int64(0), in["either"].Min)
	require.True(t, in["mask"].Lazy)
	require.Equal(t, flow.PortOptional, in["mask"].Kind)
	require.Equal(t, false, in["on"].Default)
	require.Equal(t, "UNIQUE_ID", in["unique_id"].Type)
	require.Equal(t, "PROMPT", in["prompt"].Type)
	require.Equal(t, flow.PortHidden, in["prompt"].Kind)
	for name, want := range map[string][]any{"name": {"euler", "ddim"}, "batch": {int64(1), 2.5, true}, "file": {}, "any": nil} {
		p := in[name]
		got, err := p.ListChoices()
		require.NoError(t, err)
		require.Equal(t, want, got, name)
	}
	require.Equal(t, []string{"latent", "name", "n"}, namesOf(s.Outputs))
	require.Equal(t, []bool{false, false, true}, []bool{s.Outputs[0].List, s.Outputs[1].List, s.Outputs[2].List})
}

// membersOf returns the members of an object, with numbers as they are written. names selects
// some; nil selects all.
func membersOf(t testing.TB, text string, names map[string]any) map[string]any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	all := map[string]any{}
	require.NoError(t, dec.Decode(&all))
	for name := range all {
		if _, ok := names[name]; names != nil && !ok {
			delete(all, name)
		}
	}
	return all
}

// TestSchemaIsWrittenAsItWasRead compares what MarshalJSON writes with what was read.
func TestSchemaIsWrittenAsItWasRead(t *testing.T) {
	for _, tt := range []struct{ name, read, written string }{
		{"V3 combos", `{"input":{"required":{"a":["COMBO",{"multiselect":true,"default":["x"],"multi_select":{"chip":true},"options":["x",1,2.5]}],"b":["COMBO",{"options":["x"],"multiselect":false,"tooltip":"t"}]}},
			"input_order":{"required":["a","b"]},"output":["COMBO"],"output_is_list":[false],"output_name":["COMBO"],"name":"A","display_name":"A","description":"","category":"c","output_node":false}`, ""},
		{"choices from an address", `{"input":{"required":{"a":["COMBO",{"remote":{"route":"/x","refresh":5},"options":[]}],"b":["COMBO",{"remote_combo":{"route":"/y"}}]}},
			"input_order":{"required":["a","b"]},"output":[],"output_is_list":[],"output_name":[],"name":"A","display_name":"A","description":"","category":"c","output_node":false}`, ""},
		{"kinds that are not known", `{"input":{"required":{"a":["COMFY_DYNAMICGROUP_V3",{"template":{"required":{"n":["INT",{}]}},"min":0}],"b":["COMFY_DYNAMICSLOT_V3",{"slotType":"IMAGE","inputs":{"required":{}}}]}},
			"input_order":{"required":["a","b"]},"output":[],"output_is_list":[],"output_name":[],"name":"A","display_name":"A","description":"","category":"c","output_node":false}`, ""},
		{"what a class says about itself", `{"is_input_list":true,"has_intermediate_output":true,"deprecated":true,"experimental":true,"dev_only":true,"api_node":true,
			"price_badge":{"engine":"jsonata","depends_on":{"widgets":[{"name":"n","type":"INT"}],"inputs":["i"],"input_groups":[]},"expr":"{\"type\":\"usd\"}"},"search_aliases":["a","b"],"essentials_category":"Basic",
			"python_module":"custom_nodes.pack","input":{"required":{"mode":["COMFY_DYNAMICCOMBO_V3",{"options":[{"key":"x","inputs":{"required":{"s":["FLOAT",{}]}}}]}]}},"name":"A"}`, ""},
		{"what a class does not say", `{"is_input_list":false,"has_intermediate_output":false,"search_aliases":[],"python_module":"comfy_extras.nodes_x","name":"A"}`, ""},
		{"inputs that stand for others", `{"input":{"required":{"images":["COMFY_AUTOGROW_V3",{"tooltip":"t","template":{"input":{"required":{"image":["IMAGE",{}]}},"prefix":"image","min":1,"max":50}}],
			"parts":["COMFY_AUTOGROW_V3",{"template":{"input":{"required":{},"optional":{"p":["STRING",{"forceInput":true}]}},"names":["head","body"],"min":0}}],
			"mode":["COMFY_DYNAMICCOMBO_V3",{"options":[{"key":"fast","inputs":{"required":{}}},{"key":"fine","inputs":{"required":{"steps":["INT",{"default":20,"min":1}],
				"sub":["COMFY_DYNAMICCOMBO_V3",{"options":[{"key":"x","inputs":{"required":{}}}]}]},"optional":{"mask":["MASK",{}]}}}]}],
			"any":["COMFY_MATCHTYPE_V3",{"template":{"template_id":"T","allowed_types":"IMAGE,MASK"}}],"all":["COMFY_MATCHTYPE_V3",{"template":{"template_id":"U","allowed_types":"*"}}]}},
			"input_order":{"required":["images","parts","mode","any","all"]},"output":["COMFY_MATCHTYPE_V3","INT"],"output_is_list":[false,false],"output_name":["MATCHTYPE","INT"],"output_matchtypes":["T",null],
			"name":"A","display_name":"A","description":"","category":"c","output_node":false}`, ""},
		{"inputs that stand for others, not complete", `{"input":{"required":{"a":["COMFY_AUTOGROW_V3",{"template":{"names":["x"],"min":0}}],"b":["COMFY_AUTOGROW_V3",{"template":{"input":{"required":{"i":["INT",{}]}},"names":["x","x"]}}],
			"c":["COMFY_DYNAMICCOMBO_V3",{"tooltip":"x"}],"d":["COMFY_DYNAMICCOMBO_V3",{"options":["auto"]}],"e":["COMFY_MATCHTYPE_V3",{}]}},
			"input_order":{"required":["a","b","c","d","e"]},"output":[],"output_is_list":[],"output_name":[],"name":"A","display_name":"A","description":"","category":"c","output_node":false}`, ""},
		{
			"what only an odd class says", `{"input":{"required":{"a":"INT","b":["IMAGE",null],"c":["MASK",7],"d":[["x",null,{"y":1}]]},"optional":null},
			"output":["INT"],"output_is_list":"no","output_name":[["x"]],"name":"A","display_name":null,"description":["not","text"],"category":5,"output_node":"yes"}`,
			`{"input":{"required":{"a":["INT",{}],"b":["IMAGE",{}],"c":["MASK",{}],"d":[["x",null],{}]}},"input_order":{"required":["a","b","c","d"]},
			"output":["INT"],"output_is_list":[false],"output_name":["INT"],"name":"A","display_name":"","description":"","category":"","output_node":false}`,
		},
		{
			"what a class of the newer kind leaves open", `{"name":"A","deprecated":false,"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,"search_aliases":null,
			"essentials_category":null,"output_matchtypes":null,"display_name":null,"input":{"required":{},"hidden":{"unique_id":["UNIQUE_ID"]}},"input_order":{"required":[],"hidden":["unique_id"]}}`,
			`{"name":"A","search_aliases":[],"display_name":"","input":{"required":{},"hidden":{"unique_id":"UNIQUE_ID"}},"input_order":{"required":[],"hidden":["unique_id"]}}`,
		},
		{"nothing", `{}`, `{"input":{"required":{}},"input_order":{"required":[]},"output":[],"output_is_list":[],"output_name":[],"name":"","display_name":"","description":"","category":"","output_node":false}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, err := readSchema(t, tt.read).MarshalJSON()
			require.NoError(t, err)
			if tt.written == "" {
				tt.written = tt.read
			}
			want := membersOf(t, tt.written, nil)
			require.Equal(t, want, membersOf(t, string(text), want))
		})
	}
}

func TestSchemaThatCannotBeRead(t *testing.T) {
	for text, want := range map[string]string{
		`[]`: "nodebus: not an entry of /object_info: json: cannot unmarshal array",
		`7`:  "nodebus: not an entry of /object_info: json: cannot unmarshal number",
	} {
		s := flow.Schema{Info: nodebus.Info{Name: "before"}}
		require.ErrorContains(t, json.Unmarshal([]byte(text), &s), want)
		require.Equal(t, "before", s.Name, "it is not changed")
	}
}

// FuzzSchema checks that no entry stops the program, and that what MarshalJSON writes is read
// to the same.
func FuzzSchema(f *testing.F) {
	f.Add([]byte(sampler))
	f.Add([]byte(`{"name":"A","is_input_list":true,"input":{"required":{"a":["COMFY_AUTOGROW_V3",{"template":{"input":{"required":{"i":["INT",{}]}},"prefix":"i","min":1,"max":50}}],
		"m":["COMFY_DYNAMICCOMBO_V3",{"options":[{"key":"x","inputs":{"required":{"s":["FLOAT",{"min":0.0}]}}}]}]}},"output":["COMFY_MATCHTYPE_V3"],"output_matchtypes":["T"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s, again flow.Schema
		if json.Unmarshal(data, &s) != nil {
			return
		}
		first, err := s.MarshalJSON()
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(first, &again), "%s", first)
		second, err := again.MarshalJSON()
		require.NoError(t, err)
		require.Equal(t, string(first), string(second))
		if c, err := flow.NewClass(again, plainFunc, nil); err == nil {
			_, err = c.Schema().MarshalJSON()
			require.NoError(t, err)
		}
	})
}

// TestSchemaOfLists checks a class that takes whole lists, also below other inputs.
func TestSchemaOfLists(t *testing.T) {
	s := readSchema(t, `{"name":"A","is_input_list":true,"input":{"required":{"n":["INT",{}],
		"images":["COMFY_AUTOGROW_V3",{"template":{"input":{"required":{"image":["IMAGE",{}]}},"prefix":"image"}}],
		"mode":["COMFY_DYNAMICCOMBO_V3",{"options":[{"key":"x","inputs":{"required":{"s":["FLOAT",{}]}}}]}]},"hidden":{"id":"UNIQUE_ID"}}}`)
	require.True(t, s.Inputs[0].List)
	require.False(t, s.Inputs[1].List)
	require.True(t, s.Inputs[1].Grow.Element.List)
	require.Equal(t, []int{1, 10}, []int{s.Inputs[1].Grow.Min, s.Inputs[1].Grow.Max}, "the defaults of ComfyUI")
	require.False(t, s.Inputs[2].List)
	require.True(t, s.Inputs[2].Cases[0].Inputs[0].List)
	require.False(t, s.Inputs[3].List)
}
