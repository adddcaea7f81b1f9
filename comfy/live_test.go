package comfy_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Live has an input of every kind that stands for others, and shows what it got.
type Live struct {
	Images []nodebus.Named[any] `grow:"image,min=1,max=50" match:"T,IMAGE,MASK"`
	Parts  map[string]string    `in:",optional" grow:"names=head|body,min=0"`
	Sizes  []nodebus.Lazy[int]  `grow:"size,min=0,max=3" default:"5" min:"1" max:"9" tip:"How big."`
	Mode   LiveMode             `tip:"How."`
	Same   any                  `in:",optional" match:"T,IMAGE,MASK"`
	Any    any                  `in:",optional" match:"U"`
	Others []nodebus.Named[any] `in:",rest"`
}

// LiveMode decides which further inputs there are.
type LiveMode struct {
	Fast *struct{} `choice:"fast"`
	Fine *LiveFine `choice:"fine"`
}

// LiveFine has the inputs of the choice "fine".
type LiveFine struct {
	Steps int     `default:"20" min:"1"`
	Mask  *string `in:",optional" type:"MASK"`
	Sub   struct {
		X *struct {
			Images []any `grow:"image,min=0" type:"IMAGE,INT"`
		} `choice:"x"`
		Y *struct{} `choice:"y"`
	}
}

// LiveOut has outputs whose types follow from the inputs.
type LiveOut struct {
	Same  any `out:"same" match:"T,IMAGE,MASK"`
	Other int `out:"other"`
	UI    nodebus.UI
}

func (n Live) Run(ctx *nodebus.Context) (LiveOut, error) {
	sizes := []int{}
	for _, s := range n.Sizes {
		v, err := s.Get(ctx)
		if err != nil {
			return LiveOut{}, err
		}
		sizes = append(sizes, v)
	}
	got, err := json.Marshal([]any{n.Images, n.Parts, sizes, n.Mode, n.Same, n.Others})
	return LiveOut{UI: nodebus.Text(string(got))}, err
}

// LiveLists has lists among the inputs of a choice.
type LiveLists struct {
	Mode struct {
		A *struct {
			In []nodebus.List[int] `grow:"in"`
		} `choice:"a"`
	}
}

func (LiveLists) Run(*nodebus.Context) (nodebus.UI, error) { return nil, nil }

// Strict has no input.
type Strict struct{}

func (Strict) Run(*nodebus.Context) (nodebus.UI, error) { return nodebus.Text("ran"), nil }

func newLiveHost(t *testing.T) *host {
	h := newHost(t, nil)
	flow.Register(h.reg, Live{}, nodebus.Info{Output: true})
	flow.Register(h.reg, Strict{}, nodebus.Info{})
	return h
}

func TestObjectInfoOfDynamicInputs(t *testing.T) {
	h := newLiveHost(t)
	const want = `{"required":{` +
		`"images":["COMFY_AUTOGROW_V3",{"template":{"input":{"required":{"image":["COMFY_MATCHTYPE_V3",{"template":{"template_id":"T","allowed_types":"IMAGE,MASK"}}]}},"prefix":"image","min":1,"max":50}}],` +
		`"sizes":["COMFY_AUTOGROW_V3",{"template":{"input":{"required":{"size":["INT",{"default":5,"min":1,"max":9,"tooltip":"How big.","forceInput":true,"lazy":true}]}},"prefix":"size","min":0,"max":3}}],` +
		`"mode":["COMFY_DYNAMICCOMBO_V3",{"tooltip":"How.","options":[` +
		`{"key":"fast","inputs":{"required":{}}},` +
		`{"key":"fine","inputs":{"required":{` +
		`"steps":["INT",{"default":20,"min":1}],` +
		`"sub":["COMFY_DYNAMICCOMBO_V3",{"options":[` +
		`{"key":"x","inputs":{"required":{"images":["COMFY_AUTOGROW_V3",{"template":{"input":{"required":{"image":["IMAGE,INT",{}]}},"prefix":"image","min":0,"max":10}}]}}},` +
		`{"key":"y","inputs":{"required":{}}}]}]},` +
		`"optional":{"mask":["MASK",{}]}}}]}]},` +
		`"optional":{` +
		`"parts":["COMFY_AUTOGROW_V3",{"template":{"input":{"required":{},"optional":{"parts":["STRING",{"forceInput":true}]}},"names":["head","body"],"min":0}}],` +
		`"same":["COMFY_MATCHTYPE_V3",{"template":{"template_id":"T","allowed_types":"IMAGE,MASK"}}],` +
		`"any":["COMFY_MATCHTYPE_V3",{"template":{"template_id":"U","allowed_types":"*"}}]}}`
	var info struct {
		Live struct {
			Input json.RawMessage     `json:"input"`
			Order map[string][]string `json:"input_order"`
			Out   []any               `json:"output"`
			Names []string            `json:"output_name"`
			Match json.RawMessage     `json:"output_matchtypes"`
		}
		Strict map[string]any
	}
	a := h.send("GET", "/object_info", "")
	require.Equal(t, 200, a.status)
	require.NoError(t, json.Unmarshal([]byte(a.body), &info))
	require.Equal(t, want, string(info.Live.Input))
	require.Equal(t, map[string][]string{"required": {"images", "sizes", "mode"}, "optional": {"parts", "same", "any"}}, info.Live.Order)
	require.Equal(t, []any{"COMFY_MATCHTYPE_V3", "INT"}, info.Live.Out)
	require.Equal(t, []string{"same", "other"}, info.Live.Names)
	require.Equal(t, `["T",null]`, string(info.Live.Match))
	require.NotContains(t, info.Strict, "output_matchtypes")
	flow.Register(h.reg, LiveLists{}, nodebus.Info{})
	require.Equal(t, true, at(t, h.get("/object_info/LiveLists"), "LiveLists", "is_input_list"))
	require.Equal(t, false, at(t, h.get("/object_info/Live"), "Live", "is_input_list"))
}

func TestDynamicInputsOnTheWire(t *testing.T) {
	h := newLiveHost(t)
	h.submit("me", `{
		"1": {"class_type": "RefAdd", "inputs": {"a": 3, "b": 4}},
		"2": {"class_type": "Live", "inputs": {"z": ["1", 0], "images.image2": ["1", 0], "images.image0": "x", "parts.body": 5, "sizes.size1": ["1", 0],
			"mode": "fine", "mode.steps": "30", "mode.sub": "x", "mode.sub.images.image7": ["1", 0], "mode.sub.images.image70": ["1", 0], "mode.other": 1, "b": {"deep": [1]}, "a": [1, 2, 3]}}
	}`, `"prompt_id":"p"`)
	require.Contains(t, h.ended("p"), "execution_success")
	record := h.get("/history/p")
	require.JSONEq(t, `[
		[{"Name": "image0", "Value": "x"}, {"Name": "image2", "Value": 7}],
		{"body": "5"},
		[7],
		{"Fast": null, "Fine": {"Steps": 30, "Mask": null, "Sub": {"X": {"Images": [7]}, "Y": null}}},
		null,
		[{"Name": "z", "Value": 7}, {"Name": "b", "Value": {"deep": [1]}}, {"Name": "a", "Value": [1, 2, 3]}]
	]`, at(t, record, "p", "outputs", "2", "text", 0).(string))
	inputs := at(t, record, "p", "prompt", 2, "2", "inputs").(map[string]any)
	require.Equal(t, 30.0, inputs["mode.steps"], "literals are converted at their place")
	require.Equal(t, "5", inputs["parts.body"])
	require.Equal(t, 1.0, inputs["mode.other"])
}

func TestDynamicInputErrorsOnTheWire(t *testing.T) {
	h := newLiveHost(t)
	for name, c := range map[string]struct{ inputs, errors string }{
		"missing": {
			`{"mode": "fine", "mode.sub": "y"}`,
			`[{"type": "required_input_missing", "message": "Required input is missing", "details": "image0", "extra_info": {"input_name": "images.image0"}},
			{"type": "required_input_missing", "message": "Required input is missing", "details": "steps", "extra_info": {"input_name": "mode.steps"}}]`,
		},
		"choice": {
			`{"images.image0": 1, "mode": "quick"}`,
			`[{"type": "value_not_in_list", "message": "Value not in list", "details": "mode: 'quick' not in ['fast', 'fine']",
			"extra_info": {"input_name": "mode", "received_value": "quick", "input_config": ["COMFY_DYNAMICCOMBO_V3", %s]}}]`,
		},
		"value": {
			`{"images.image0": 1, "mode": "fast", "sizes.size2": 10, "sizes.size0": "x"}`,
			`[{"type": "invalid_input_type", "message": "Failed to convert an input value to a INT value", "details": "sizes.size0, x, invalid literal for int() with base 10: 'x'",
			"extra_info": {"input_name": "sizes.size0", "received_value": "x", "exception_message": "invalid literal for int() with base 10: 'x'", "input_config": ["INT", {"default":5,"min":1,"max":9,"tooltip":"How big.","forceInput":true,"lazy":true}]}},
			{"type": "value_bigger_than_max", "message": "Value 10 bigger than max of 9", "details": "sizes.size2",
			"extra_info": {"input_name": "sizes.size2", "received_value": 10, "input_config": ["INT", {"default":5,"min":1,"max":9,"tooltip":"How big.","forceInput":true,"lazy":true}]}}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := h.send("POST", "/prompt", fmt.Sprintf(`{"prompt": {"1": {"class_type": "Live", "inputs": %s}}}`, c.inputs))
			require.Equal(t, 400, a.status)
			want := c.errors
			if name == "choice" {
				mode := at(t, h.get("/object_info/Live"), "Live", "input", "required", "mode", 1)
				text, err := json.Marshal(mode)
				require.NoError(t, err)
				want = fmt.Sprintf(want, text)
			}
			got, err := json.Marshal(at(t, a.json(t), "node_errors", "1", "errors"))
			require.NoError(t, err)
			require.JSONEq(t, want, string(got))
		})
	}
}

func TestUndeclaredLinkOnTheWire(t *testing.T) {
	h := newLiveHost(t)
	h.submit("me", `{
		"1": {"class_type": "RefAdd", "inputs": {"a": 3, "b": 4}},
		"2": {"class_type": "Strict", "inputs": {"literal": 1, "extra": ["1", 0]}}
	}`, `"prompt_id":"p"`)
	require.Contains(t, h.ended("p"), "execution_error")
	messages := at(t, h.get("/history/p"), "p", "status", "messages").([]any)
	e := at(t, messages[len(messages)-1], 1)
	require.Equal(t, "TypeError", at(t, e, "exception_type"))
	require.Equal(t, "2", at(t, e, "node_id"))
	require.Equal(t, []any{"1"}, at(t, e, "executed"))
	require.Equal(t, `input "extra": is linked, but class Strict has no input of this name; remove the link or correct the name. A class takes any input with a field tagged in:",rest"`+"\n", at(t, e, "exception_message"))
}

func TestErrorsShowFlatInputs(t *testing.T) {
	h := newLiveHost(t)
	flow.Register(h.reg, LiveFails{}, nodebus.Info{})
	h.submit("me", `{
		"1": {"class_type": "RefAdd", "inputs": {"a": 3, "b": 4}},
		"2": {"class_type": "LiveFails", "inputs": {"mode": "fine", "mode.steps": 2, "mode.sub": "x", "mode.sub.images.image1": ["1", 0], "b": 1}}
	}`, `"prompt_id":"p"`)
	require.Contains(t, h.ended("p"), "execution_error")
	messages := at(t, h.get("/history/p"), "p", "status", "messages").([]any)
	require.Equal(t, map[string]any{
		"mode": []any{"fine"}, "mode.steps": []any{2.0}, "mode.sub": []any{"x"}, "mode.sub.images.image1": []any{7.0}, "b": []any{1.0},
	}, at(t, messages[len(messages)-1], 1, "current_inputs"))
}

// LiveFails fails.
type LiveFails struct {
	Mode   LiveMode
	Others map[string]any `in:",rest"`
}

func (LiveFails) Run(*nodebus.Context) (nodebus.UI, error) { return nil, fmt.Errorf("as it should") }
