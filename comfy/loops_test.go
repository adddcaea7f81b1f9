package comfy_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/flow/loops"
	"github.com/stretchr/testify/require"
)

const looped = `{
	"1":{"class_type":"StartLoop","inputs":{"mode":"simple","mode.num_iterations":2,"cache_iterations":false}},
	"2":{"class_type":"RefAdd","inputs":{"a":["1",0],"b":5}},
	"3":{"class_type":"EndLoop","inputs":{"output_value":["2",0],"accumulate":false}},
	"4":{"class_type":"RefOutput","inputs":{"value":["3",0]}}}`

// TestNewest7_LoopOverHTTP: what clients see of a loop: the pairs in the queue and the history,
// and a text frame of the start node for each iteration.
func TestNewest7_LoopOverHTTP(t *testing.T) {
	h := newHostThat(t, nil, nil, (*flow.Engine).Pause)
	require.NoError(t, loops.Register(h.reg, nil))
	s := h.connect("a")
	s.next()
	id := h.submit("a", looped)
	start := at(t, h.get("/queue"), "queue_pending", 0, 2, "1")
	require.Equal(t, []any{"2"}, at(t, start, "_loop_body"))
	require.Equal(t, "3", at(t, start, "_loop_end"))
	h.engine.Resume()
	var texts []string
	for {
		m := s.next()
		if m.binary != nil {
			texts = append(texts, fmt.Sprintf("%q", m.binary))
		}
		if m.Type == "execution_success" {
			break
		}
	}
	want := func(text string) string { return fmt.Sprintf("%q", "\x00\x00\x00\x03\x00\x00\x00\x011"+text) }
	require.Equal(t, []string{want("Iteration 0 / 2"), want("Iteration 1 / 2"), want("Iteration 2 / 2")}, texts)
	h.ended(id)
	entry := at(t, h.get("/history/"+id), id)
	require.Equal(t, []any{"2"}, at(t, entry, "prompt", 2, "1", "_loop_body"))
	require.Equal(t, "3", at(t, entry, "prompt", 2, "1", "_loop_end"))
	require.Len(t, at(t, entry, "prompt", 2, "3"), 2, "only the start node has more members")
	require.Equal(t, []any{"4"}, at(t, entry, "prompt", 4))
	require.Equal(t, []any{"6"}, at(t, entry, "outputs", "4", "text"))

	info := h.get("/object_info").(map[string]any)
	require.Equal(t, true, at(t, info, "LoopIteration", "dev_only"))
	require.NotContains(t, info["StartLoop"], "dev_only")
}

// TestNewest2_LoopOverHTTP: the error of a loop in the answer to a submission.
func TestNewest2_LoopOverHTTP(t *testing.T) {
	h := newHost(t, nil)
	require.NoError(t, loops.Register(h.reg, nil))
	a := h.post("/prompt", `{"prompt":{
		"1":{"class_type":"StartLoop","inputs":{"mode":"simple","mode.num_iterations":2,"cache_iterations":false}},
		"4":{"class_type":"RefOutput","inputs":{"value":["1",0]}}}}`)
	require.Equal(t, http.StatusBadRequest, a.status)
	node := at(t, a.json(t), "node_errors", "1")
	require.Equal(t, []any{"4"}, at(t, node, "dependent_outputs"))
	require.Equal(t, "StartLoop", at(t, node, "class_type"))
	require.Equal(t, "custom_validation_failed", at(t, node, "errors", 0, "type"))
	require.Equal(t, map[string]any{
		"input_name": "loop boundary", "loop_error_type": "loop_start_without_end", "node_ids": []any{"1"}, "output_ids": []any{"4"},
	}, at(t, node, "errors", 0, "extra_info"))
}
