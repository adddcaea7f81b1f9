package comfy_test

import (
	"encoding/json"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Witness makes a node, and then shows the graphs that it got, as JSON.
type Witness struct {
	Width  int
	Ratio  float64       `default:"1"`
	Mode   string        `options:"fine,fast"`
	Value  any           `in:",optional"`
	Prompt nodebus.Nodes `hidden:"PROMPT"`
}

func (n Witness) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	g := ctx.NewGraph()
	made := g.AddAs("made", "RefAdd", nodebus.Inputs{"b": 2, "a": 1})
	if _, err := nodebus.Eval[any](ctx, g, made); err != nil {
		return nil, err
	}
	prompt, err := json.Marshal(n.Prompt)
	if err != nil {
		return nil, err
	}
	all, err := json.Marshal(ctx.Hidden("DYNPROMPT"))
	return nodebus.UI{"prompt": []any{string(prompt)}, "all": []any{string(all)}}, err
}

// TestMembersComeBack: what a tool keeps beside a node, and the order of the inputs, come
// back in the lists and reach the nodes. Validation converts a literal at its place.
func TestMembersComeBack(t *testing.T) {
	h := newHost(t, nil)
	flow.Register(h.reg, Witness{}, nodebus.Info{})
	const sent = `{
		"7": {"pos": [30, 40.50], "inputs": {"width": "64", "ratio": 2, "value": {"__value__": ["x", 0]}, "other": 1, "mode": "fast", "mode.steps": 3},
			"is_changed": {"z": 1, "a": [true, null]}, "class_type": "Witness", "disabled": false, "_meta": {"title": "T", "cnr_id": "c"}},
		"3": {"inputs": {"words": "", "name": "a"}, "class_type": "Wait", "_meta": {"title": "W"}},
		"5": {"inputs": {"b": 1, "a": 5, "b": 2}, "ver": 1e400, "class_type": "RefAdd"}
	}`
	const want = `{` +
		`"7":{"pos":[30,40.50],"inputs":{"width":64,"ratio":2,"value":{"__value__":["x",0]},"other":1,"mode":"fast","mode.steps":3},` +
		`"is_changed":{"z":1,"a":[true,null]},"class_type":"Witness","disabled":false,"_meta":{"title":"T","cnr_id":"c"}},` +
		`"3":{"inputs":{"words":"","name":"a"},"class_type":"Wait","_meta":{"title":"W"}},` +
		`"5":{"inputs":{"b":2,"a":5},"ver":null,"class_type":"RefAdd"}}`
	h.submit("me", sent, `"prompt_id":"p"`)
	h.submit("me", sent, `"prompt_id":"behind"`)
	s := h.dial("watch=p", nil)
	s.until("executing 3")
	body := func(path string) string {
		a := h.send("GET", path, "")
		require.Equal(t, 200, a.status, a.body)
		return a.body
	}
	queue := body("/queue")
	require.Contains(t, queue, `"p",`+want)
	require.Contains(t, queue, `"behind",`+want)

	h.gate.open("a")
	require.Contains(t, h.ended("p"), "execution_success")
	require.Contains(t, body("/history"), `"p",`+want)
	require.Contains(t, body("/history/p"), `"p",`+want)
	require.Contains(t, body("/api/jobs/p"), want)

	shown := at(t, h.get("/history/p"), "p", "outputs", "7")
	require.Equal(t, want, at(t, shown, "prompt", 0))
	const made = `,"7.0.0.made":{"class_type":"RefAdd","inputs":{"a":1,"b":2}}}`
	require.Equal(t, want[:len(want)-1]+made, at(t, shown, "all", 0))
}
