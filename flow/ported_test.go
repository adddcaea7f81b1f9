package flow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// What docs/nodes.md says to people who port nodes.

// ported has an input for each option that ComfyUI's newer kind of nodes calls differently.
type ported struct {
	Shown   string `widget:"display_name=Steps"`
	More    int    `widget:"advanced"`
	Dynamic string `widget:"dynamicPrompts"`
	Hint    string `widget:"placeholder=a text"`
	Widget  int    `widget:"socketless"`
	Linked  int    `in:",force"`
	Slider  int    `widget:"display=slider"`
	File    string `options:"a,b" widget:"image_upload"`
	Extra   int    `widget:"advanced,rows=3"`
	Mode    string `in:",combo" options:"a,b"`
	ID      string `in:"unique_id" hidden:"UNIQUE_ID"`
	Saved   any    `in:"extra_pnginfo" hidden:"EXTRA_PNGINFO"`
}

func (ported) Run(*nodebus.Context) (struct {
	A any `out:"IMAGE"`
	B any `out:"IMAGE"`
}, error,
) {
	panic("only its description counts")
}

func TestPortedOptions(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, ported{}, nodebus.Info{})
	class, _ := r.Class("ported")
	text, err := json.Marshal(class.Schema())
	require.NoError(t, err)
	var got struct {
		Input struct {
			Required map[string]json.RawMessage `json:"required"`
			Hidden   map[string]string          `json:"hidden"`
		} `json:"input"`
		Names []string `json:"output_name"`
	}
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, map[string]string{"unique_id": "UNIQUE_ID", "extra_pnginfo": "EXTRA_PNGINFO"}, got.Input.Hidden)
	require.Equal(t, []string{"IMAGE", "IMAGE"}, got.Names)
	for name, want := range map[string]string{
		"shown":   `["STRING",{"display_name":"Steps"}]`,
		"more":    `["INT",{"advanced":true}]`,
		"dynamic": `["STRING",{"dynamicPrompts":true}]`,
		"hint":    `["STRING",{"placeholder":"a text"}]`,
		"widget":  `["INT",{"socketless":true}]`,
		"linked":  `["INT",{"forceInput":true}]`,
		"slider":  `["INT",{"display":"slider"}]`,
		"file":    `[["a","b"],{"image_upload":true}]`,
		"extra":   `["INT",{"advanced":true,"rows":3}]`,
		"mode":    `["COMBO",{"options":["a","b"]}]`,
	} {
		require.JSONEq(t, want, string(got.Input.Required[name]), name)
	}
}

// checksPointers refuses empty literals, and passes links.
type checksPointers struct {
	Text *string
	On   *bool
	From nodebus.Link `in:",optional,raw"`
}

func (n checksPointers) Validate(*nodebus.Context) error {
	if n.Text != nil && *n.Text == "" {
		return &nodebus.InputError{Input: "text", Err: errors.New("is empty")}
	}
	return nil
}

func (n checksPointers) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(fmt.Sprintf("%q %v %v", *n.Text, *n.On, n.From == nodebus.Link{})), nil
}

// TestPortedPointers: in Validate, a pointer is nil for a link only.
func TestPortedPointers(t *testing.T) {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	defer func() { require.NoError(t, hub.Close()) }()
	flow.Register(r, checksPointers{}, nodebus.Info{})
	flow.Register(r, portedText{}, nodebus.Info{})
	for text, want := range map[string]string{`"x"`: `"x" false true`, `["1",0]`: `"" false true`, `""`: "", `null`: `"None" false true`} {
		outcome, err := flow.Do(t.Context(), flow.NewEngine(r, hub, nil), &nodebus.Prompt{Nodes: parse(t,
			`{"1":{"class_type":"portedText","inputs":{}},"2":{"class_type":"checksPointers","inputs":{"text":`+text+`,"on":null}}}`)})
		if want == "" {
			require.ErrorContains(t, err, "text - is empty")
			continue
		}
		require.NoError(t, err, text)
		require.Equal(t, nodebus.Text(want), outcome.Output("2"), text)
	}
}

type portedText struct{}

func (portedText) Run(*nodebus.Context) (string, error) { return "", nil }
