package comfy_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMistakenPrompts posts what people take for a prompt. The details say what to do.
func TestMistakenPrompts(t *testing.T) {
	h := newHost(t, nil)
	for prompt, want := range map[string][2]string{
		`{"id":"x","last_node_id":2,"nodes":[],"links":[]}`: {
			"id",
			"Node ID '#id'; this is a workflow in the format of the front end, with nodes and links: export it in the API format",
		},
		`{"prompt":{"1":{"class_type":"A","inputs":{}}}}`: {
			"prompt",
			"Node ID '#prompt'; this is the body of a request: the nodes are what it has under prompt",
		},
	} {
		a := h.post("/prompt", `{"prompt":`+prompt+`}`)
		require.Equal(t, 400, a.status)
		require.Equal(t, map[string]any{
			"type": "missing_node_type", "message": "Node 'ID #" + want[0] + "' has no class_type. The workflow may be corrupted or a custom node is missing.",
			"details": want[1], "extra_info": map[string]any{"node_id": want[0], "class_type": nil, "node_title": nil},
		}, at(t, a.json(t), "error"))
	}
}

// TestByteOrderMark posts the content of a file that begins with a byte order mark.
func TestByteOrderMark(t *testing.T) {
	h := newHost(t, nil)
	a := h.post("/prompt", "\ufeff"+`{"prompt":{}}`)
	require.Equal(t, 400, a.status)
	require.Equal(t, "prompt_no_outputs", at(t, a.json(t), "error", "type"))
}
