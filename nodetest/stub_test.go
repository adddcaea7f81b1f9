package nodetest_test

import (
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/nodetest"
	"github.com/stretchr/testify/require"
)

// saved is a small answer of /object_info: classes of either kind, as ComfyUI describes them.
const saved = `{
"Loader": {"input": {"required": {"file": [["a.safetensors", "b.safetensors"], {"tooltip": "a model"}]}},
	"output": ["MODEL", "CLIP", "VAE"], "output_is_list": [false, false, false], "output_name": ["MODEL", "CLIP", "VAE"],
	"name": "Loader", "display_name": "Load", "output_node": false},
"Encode": {"input": {"required": {"text": ["STRING", {"multiline": true}], "clip": ["CLIP"]}}, "output": ["CONDITIONING"], "name": "Encode"},
"Sampler": {"input": {"required": {
		"model": ["MODEL", {}], "positive": ["CONDITIONING", {}],
		"seed": ["INT", {"default": 0, "min": 0, "max": 18446744073709551615, "control_after_generate": true}],
		"cfg": ["FLOAT", {"default": 8.0, "min": 0.0, "max": Infinity}],
		"sampler_name": [["euler", "ddim"], {}]}, "optional": {"on": ["BOOLEAN", {"lazy": true, "default": "odd"}]},
		"hidden": {"usage": ["COMFY_USAGE_SOURCE"]}},
	"output": ["LATENT", "INT", "FLOAT,INT", "STRING", "BOOLEAN", ["x", "y"], "*"], "output_is_list": [false, true],
	"output_name": ["LATENT", "n", "f", "s", "b", "c", "any"], "name": "Sampler"},
"Batch": {"input": {"required": {
		"images": ["COMFY_AUTOGROW_V3", {"template": {"input": {"required": {"image": ["IMAGE", {}]}}, "prefix": "image", "min": 1, "max": 50}}],
		"mode": ["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "fast", "inputs": {"required": {}}}, {"key": "fine", "inputs": {"required": {"steps": ["INT", {"default": 20, "min": 1}]}}}]}],
		"rows": ["COMFY_DYNAMICGROUP_V3", {"template": {"required": {"name": ["STRING", {}]}}, "min": 0}]}},
	"output": ["COMFY_MATCHTYPE_V3"], "output_matchtypes": ["T"], "name": "Batch"},
"Image": {"input": {"required": {"image": [["a.png"], {"image_upload": true}]}}, "output": ["IMAGE", "MASK"], "name": "Image"},
"Decode": {"input": {"required": {"samples": ["LATENT"], "vae": ["VAE"]}}, "output": ["IMAGE"], "name": "Decode"},
"Repeat": {"input": {"required": {"times": ["INT", {"min": 1}], "any": ["*", {}]}}, "output": ["*"], "name": "Repeat"},
"Save": {"input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "ComfyUI"}]}, "hidden": {"prompt": "PROMPT"}},
	"output": [], "output_node": true, "name": "Save"}
}`

// workflow is a prompt as a front end saves it.
const workflow = `{
"1": {"class_type": "Loader", "inputs": {"file": "a.safetensors"}, "_meta": {"title": "Load"}},
"2": {"class_type": "Encode", "inputs": {"text": "a cat", "clip": ["1", 1]}},
"3": {"class_type": "Sampler", "inputs": {"model": ["1", 0], "positive": ["2", 0], "seed": 1125899906842624, "control_after_generate": "randomize", "cfg": "7.5", "sampler_name": "euler"}},
"4": {"class_type": "Decode", "inputs": {"samples": ["3", 0], "vae": ["1", 2]}},
"5": {"class_type": "Save", "inputs": {"images": ["4", 0], "filename_prefix": "x"}},
"6": {"class_type": "Batch", "inputs": {"images.image0": ["4", 0], "images.image1": ["9", 0], "mode": "fine", "mode.steps": 3, "rows.0.name": "r", "rows.1.link": ["4", 0]}},
"7": {"class_type": "Repeat", "inputs": {"times": ["3", 6], "any": ["6", 0], "more": ["3", 1]}},
"9": {"class_type": "Image", "inputs": {"image": "clipspace/b.png [input]", "upload": "image"}},
"8": {"class_type": "Save", "inputs": {"images": ["7", 0], "filename_prefix": ["3", 3]}}
}`

// dry runs a workflow with stand-ins.
func dry(t *testing.T, opts *nodetest.StubOptions, workflow string) (nodebus.Outcome, error) {
	t.Helper()
	reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	require.NoError(t, nodetest.Stubs(reg, []byte(saved), opts))
	nodes, err := nodebus.ParseNodes([]byte(workflow))
	require.NoError(t, err)
	outcome, err := flow.Do(t.Context(), flow.NewEngine(reg, hub, nil), &nodebus.Prompt{Nodes: nodes})
	require.NoError(t, hub.Close())
	return outcome, err
}

func TestStubsRunAWorkflow(t *testing.T) {
	out, err := dry(t, nil, workflow)
	require.NoError(t, err)
	require.NoError(t, out.Err())
	require.Len(t, out.Nodes, 9)
	require.Len(t, out.Outputs, 2)
	require.Equal(t, nodebus.Text("stand-in for Save"), out.Outputs[0].UI)
}

func TestStubsRefuseAsTheServer(t *testing.T) {
	for _, tt := range []struct{ old, new, want string }{
		{`"a.safetensors"`, `"mine.safetensors"`, "Value not in list: file: 'mine.safetensors' not in ['a.safetensors', 'b.safetensors']"},
		{`"sampler_name": "euler"`, `"sampler_name": "dpm"`, "'dpm' not in ['euler', 'ddim']"},
		{`["1", 1]`, `["1", 0]`, "received_type(MODEL) mismatch input_type(CLIP)"},
		{`"clip": ["1", 1]`, `"klip": ["1", 1]`, "Required input is missing"},
		{`1125899906842624`, `-1`, "Value -1 smaller than min of 0"},
		{`"7.5"`, `"x"`, "could not convert string to float: 'x'"},
		{`"class_type": "Decode"`, `"class_type": "Recode"`, "Node 'Recode' not found"},
		{`"mode": "fine"`, `"mode": "slow"`, "'slow' not in ['fast', 'fine']"},
		{`"mode.steps": 3`, `"mode.steps": 0`, "Value 0 smaller than min of 1"},
		{`"images.image0": ["4", 0], "images.image1"`, `"images.image1"`, "Required input is missing"},
	} {
		require.Contains(t, workflow, tt.old)
		out, err := dry(t, nil, strings.Replace(workflow, tt.old, tt.new, 1))
		if err == nil { // a part of the prompt is valid
			require.NotNil(t, out.Rejected, tt.new)
			err = out.Rejected
		}
		require.ErrorContains(t, err, tt.want)
	}
}

func TestStubsAcceptAnyChoice(t *testing.T) {
	out, err := dry(t, &nodetest.StubOptions{AnyChoice: true}, strings.Replace(workflow, `"a.safetensors"`, `"mine.safetensors"`, 1))
	require.NoError(t, err)
	require.NoError(t, out.Err())
}

func TestStub(t *testing.T) {
	for name, info := range map[string]string{
		"the whole answer": saved,
		"one class": `{"Sampler":` + strings.TrimSuffix(saved[strings.Index(saved, `{"input": {"required": {
		"model"`):strings.Index(saved, `"Batch"`)], ",\n") + `}`,
	} {
		c, err := nodetest.Stub("Sampler", []byte(info), nil)
		require.NoError(t, err, name)
		rec := nodetest.New(t, nil)
		res, err := c.Call(rec.Context(), nodebus.Inputs{
			"model": nodetest.Placeholder{}, "positive": nil, "seed": nodetest.Placeholder{}, "cfg": 1, "sampler_name": "euler", "extra": 5,
		})
		require.NoError(t, err)
		anyOut := nodetest.Placeholder{Class: "Sampler", Output: "any"}
		require.Equal(t, []any{nodetest.Placeholder{Class: "Sampler", Output: "LATENT"}, []any{0}, 0.0, "", false, "x", anyOut}, res.Outputs)
		require.Equal(t, "Sampler.any", anyOut.String())
		_, err = c.Call(rec.Context(), nodebus.Inputs{"model": nil})
		require.ErrorContains(t, err, `input "positive": is required`)
	}
	c, err := nodetest.Stub("Other", []byte(`{"name":"Entry","input":{},"output":[]}`), nil)
	require.NoError(t, err)
	require.Equal(t, "Other", c.Name())
}

func TestStubErrors(t *testing.T) {
	_, err := nodetest.Stub("X", []byte(`[1]`), nil)
	require.ErrorContains(t, err, `nodetest: class "X": not an object of entries of /object_info: json: cannot unmarshal array`)
	_, err = nodetest.Stub("X", []byte(`{"Y":{}}`), nil)
	require.EqualError(t, err, `nodetest: class "X": the JSON has no entry for it; save the answer of /object_info or /object_info/X`)
	require.ErrorContains(t, nodetest.Stubs(flow.NewRegistry(), []byte(`null`), nil), "nodetest: not an object of entries of /object_info: it is null")

	reg := flow.NewRegistry()
	own, err := nodetest.Stub("Own", []byte(`{"input":{}}`), nil)
	require.NoError(t, err)
	require.NoError(t, reg.Add(own))
	err = nodetest.Stubs(reg, []byte(`{"Own":{},"Good":{"output":["INT"]},"Bad":null,"Worse":7}`), nil)
	require.ErrorContains(t, err, `nodetest: class "Worse": not an entry of /object_info: json: cannot unmarshal number`)
	got, _ := reg.Class("Own")
	require.Same(t, own, got)
	_, ok := reg.Class("Good")
	require.True(t, ok)
}
