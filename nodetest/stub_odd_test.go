package nodetest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/nodetest"
	"github.com/stretchr/testify/require"
)

// oddities has classes as some packs describe them, and Any, a source of every type.
const oddities = `{
"Any": {"output": ["*", "INT", "STRING", "IMAGE"]},
"String": {"input": {"required": {"a": ["*"]}}, "output": "STRING", "output_is_list": [false,false,false,false,false,false], "output_name": "STRING"},
"Hidden": {"input": {"required": {"a": ["INT"]}, "hidden": {"version": 3.7, "about": {"x": [1]}, "prompt": "PROMPT"}}, "output": ["INT"]},
"Twice": {"input": {"required": {"a": ["INT", {}]}, "optional": {"a": ["FLOAT", {}], "b": ["STRING"]}, "hidden": {"b": "UNIQUE_ID"}}, "output": ["INT"]},
"Untyped": {"input": {"required": {"a": ["", {}], "b": null, "c": [], "d": [5, {}], "": ["INT"]}}, "output": ["", null, "INT"]},
"Limits": {"input": {"required": {"a": ["INT", {"min": 5, "max": 1}], "b": ["INT", {"min": 0, "max": 3}]}}, "output": ["INT"]},
"Null": {"input": {"required": {"a": [[1, 2.5, "x", null], {}]}}, "output": ["INT"]},
"Remote": {"input": {"required": {"a": ["COMBO", {"remote": {"route": "/x"}}], "b": [[], {"remote": {"route": "/x"}}], "c": ["COMBO", {"remote_combo": {"route": "/y"}, "options": []}], "d": ["COMBO", {}]}}, "output": ["INT"]},
"Nested": {"input": {"required": {"mode": ["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "x", "inputs": {"required": {"n": [], "s": ["INT", {"min": 2, "max": 1}]}}}]}], "mode.deep": ["INT"]}}, "output": ["INT"]},
"Wrong": {"input": "none", "input_order": [1], "output": {"a": 1}, "name": 5, "output_node": true},
"Save": {"input": {"required": {"a": ["*"]}}, "output": [], "output_node": true}
}`

// oddly validates and runs a node of class, and of source, the source of every type.
func oddly(t *testing.T, opts *nodetest.StubOptions, class, inputs string, slot string) error {
	t.Helper()
	reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	require.NoError(t, nodetest.Stubs(reg, []byte("\ufeff"+oddities), opts))
	nodes, err := nodebus.ParseNodes([]byte("\ufeff" + `{"0":{"class_type":"Any","inputs":{}},"1":{"class_type":"` + class + `","inputs":{` + inputs + `}},
		"2":{"class_type":"Save","inputs":{"a":["1",` + slot + `]}}}`))
	require.NoError(t, err)
	out, err := flow.Do(t.Context(), flow.NewEngine(reg, hub, nil), &nodebus.Prompt{Nodes: nodes})
	require.NoError(t, hub.Close())
	if err == nil {
		err = out.Err()
	}
	return err
}

// TestStubsOfOddClasses checks that nothing odd in a description makes its class fail.
func TestStubsOfOddClasses(t *testing.T) {
	for _, tt := range []struct{ class, inputs, wrong string }{
		{"String", `"a":["0",0]`, ""},
		{"Hidden", `"a":1`, ""},
		{"Hidden", `"a":1,"version":5`, ""},
		{"Twice", `"a":1,"b":"x"`, ""},
		{"Twice", `"a":"1.5"`, "invalid literal for int()"},
		{"Untyped", `"a":1,"b":"x","c":["0",3],"d":null`, ""},
		{"Untyped", `"a":1,"b":"x","c":5`, "Required input is missing"},
		{"Limits", `"a":3,"b":3`, ""},
		{"Limits", `"a":3,"b":4`, "Value 4 bigger than max of 3"},
		{"Null", `"a":null`, ""},
		{"Null", `"a":"y"`, "'y' not in [1, 2.5, 'x', None]"},
		{"Remote", `"a":"1","b":"2","c":"3","d":"4"`, ""},
		{"Nested", `"mode":"x","mode.n":{},"mode.s":0`, ""},
		{"Nested", `"mode":"y"`, "'y' not in ['x']"},
	} {
		err := oddly(t, nil, tt.class, tt.inputs, "0")
		if tt.wrong == "" {
			require.NoError(t, err, "%s %s", tt.class, tt.inputs)
			continue
		}
		require.ErrorContains(t, err, tt.wrong, "%s %s", tt.class, tt.inputs)
	}
	require.NoError(t, oddly(t, nil, "String", `"a":["0",0]`, "5"))
	require.ErrorContains(t, oddly(t, nil, "String", `"a":["0",0]`, "6"), "which has 6")
}

// TestStubsAcceptAnyLink checks the option for classes that accept more than they say.
func TestStubsAcceptAnyLink(t *testing.T) {
	const linked = `"a":["0",1]`
	require.ErrorContains(t, oddly(t, nil, "Null", linked, "0"), "Return type mismatch")
	opts := &nodetest.StubOptions{AnyLink: true}
	require.NoError(t, oddly(t, opts, "Null", linked, "0"))
	require.NoError(t, oddly(t, opts, "Hidden", `"a":["0",3]`, "0"))
	require.ErrorContains(t, oddly(t, opts, "Hidden", `"a":"x"`, "0"), "invalid literal for int()", "literals are checked")
	require.ErrorContains(t, oddly(t, opts, "Hidden", `"a":["7",0]`, "0"), "does not exist")
	require.ErrorContains(t, oddly(t, opts, "Hidden", `"a":["0",9]`, "0"), "which has 4")
	require.ErrorContains(t, oddly(t, opts, "Null", `"a":"y"`, "0"), "not in")
}

// TestStubsWithoutClass checks that errors name the class, and that the other classes are there.
func TestStubsWithoutClass(t *testing.T) {
	reg := flow.NewRegistry()
	err := nodetest.Stubs(reg, []byte(strings.Replace(oddities, `"Any": {`, `"List": [1], "Any": {`, 1)), nil)
	require.ErrorContains(t, err, `nodetest: class "List": not an entry of /object_info: json: cannot unmarshal array`)
	require.NotContains(t, err.Error(), "nodebus:")
	for _, name := range []string{"Any", "String", "Hidden", "Twice", "Untyped", "Limits", "Null", "Remote", "Nested", "Wrong", "Save"} {
		_, has := reg.Class(name)
		require.True(t, has, name)
	}
}

// FuzzStub checks that each object is the description of a class.
func FuzzStub(f *testing.F) {
	var entries map[string]json.RawMessage
	require.NoError(f, json.Unmarshal([]byte(oddities), &entries))
	for _, entry := range entries {
		f.Add([]byte(entry))
	}
	f.Add([]byte(`{"input":{"required":{"g":["COMFY_AUTOGROW_V3",{"template":{"input":{"required":{"":[]}},"prefix":"g"}}],"g.g0":["INT"],"others":["*"],
		"c":["COMBO",{"options":[{}],"multiselect":true,"min":"x"}],"m":["COMFY_MATCHTYPE_V3",{"template":{"template_id":"T"},"default":1}]}},"is_input_list":true}`))
	f.Fuzz(func(t *testing.T, entry []byte) {
		var o map[string]any
		if json.Unmarshal(entry, &o) != nil || o == nil {
			return
		}
		_, err := nodetest.Stub("A", append(append([]byte(`{"A":`), entry...), '}'), &nodetest.StubOptions{AnyLink: true})
		require.NoError(t, err)
	})
}
