package comfy_test

import (
	"testing"

	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

func TestNodeReplacements(t *testing.T) {
	twins(t, "/node_replacements", func(t *testing.T, path string) {
		h := newHost(t, nil)
		require.Equal(t, `{}`, h.send("GET", path, "").body)
		require.NoError(t, h.reg.AddReplacement(flow.Replacement{Old: "Old/2", New: "RefAdd"}))
		require.NoError(t, h.reg.AddReplacement(flow.Replacement{
			Old: "Old1", New: "RefAdd",
			Widgets: []string{"x", "y"},
			Inputs:  []flow.ReplacedInput{{New: "a", Old: "x"}, {New: "b", Value: 3}, {New: "c", Value: []any{"1", 0.5}}},
			Outputs: []flow.ReplacedOutput{{Old: 1, New: 0}},
		}))
		require.Equal(t, `{"Old/2":[{"new_node_id":"RefAdd","old_node_id":"Old/2","old_widget_ids":null,"input_mapping":null,"output_mapping":null}],`+
			`"Old1":[{"new_node_id":"RefAdd","old_node_id":"Old1","old_widget_ids":["x","y"],`+
			`"input_mapping":[{"new_id":"a","old_id":"x"},{"new_id":"b","set_value":3},{"new_id":"c","set_value":["1",0.5]}],`+
			`"output_mapping":[{"new_idx":0,"old_idx":1}]}]}`, h.send("GET", path, "").body)
	})
}

// TestReplacedNodesRun: a saved workflow with an old class runs, and the queue and the
// history show the new class.
func TestReplacedNodesRun(t *testing.T) {
	h := newHost(t, nil)
	require.NoError(t, h.reg.AddReplacement(flow.Replacement{
		Old: "OldAdd", New: "RefAdd",
		Inputs:  []flow.ReplacedInput{{New: "a", Old: "x"}, {New: "b", Value: 3}},
		Outputs: []flow.ReplacedOutput{{Old: 1, New: 0}},
	}))
	require.NoError(t, h.reg.AddReplacement(flow.Replacement{Old: "Wait1", New: "Wait", Inputs: []flow.ReplacedInput{{New: "name", Old: "name"}}}))
	s := h.connect("a")
	s.next()
	id := h.submit("a", `{"1":{"class_type":"OldAdd","inputs":{"x":4,"gone":1},"_meta":{"title":"Sum"}},"2":{"class_type":"RefOutput","inputs":{"value":["1",1]}}}`)
	all := s.until("executing <nil>")
	require.Contains(t, all, "executed 2")
	entry := at(t, h.get("/history/"+id), id)
	require.Equal(t, []any{"7"}, at(t, entry, "outputs", "2", "text"))
	require.Equal(t, map[string]any{
		"1": map[string]any{"class_type": "RefAdd", "inputs": map[string]any{"a": 4.0, "b": 3.0}, "_meta": map[string]any{"title": "Sum"}},
		"2": map[string]any{"class_type": "RefOutput", "inputs": map[string]any{"value": []any{"1", 0.0}}},
	}, at(t, entry, "prompt", 2))

	id = h.submit("a", `{"1":{"class_type":"Wait1","inputs":{"name":"x"}}}`)
	s.until("executing 1")
	require.Equal(t, "Wait", at(t, h.get("/queue"), "queue_running", 0, 2, "1", "class_type"))
	h.gate.open("x")
	s.until("executing <nil>")

	a := h.post("/prompt", `{"prompt":{"1":{"class_type":"OldAdd","inputs":{"x":"many"}},"2":{"class_type":"RefOutput","inputs":{"value":["1",1]}}}}`)
	require.Equal(t, 400, a.status)
	require.Equal(t, "RefAdd", at(t, a.json(t), "node_errors", "1", "class_type"), "errors are about the new class")
	require.NotEmpty(t, id)
}
