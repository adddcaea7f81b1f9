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
			"Cannot execute because a node is not an object.",
			"Node ID '#id'; this is a workflow in the format of the front end, with nodes and links: export it in the API format",
		},
		`{"prompt":{"1":{"class_type":"A","inputs":{}}}}`: {
			"Cannot execute because a node is missing the class_type property.",
			"Node ID '#prompt'; this is the body of a request: the nodes are what it has under prompt",
		},
	} {
		a := h.post("/prompt", `{"prompt":`+prompt+`}`)
		require.Equal(t, 400, a.status)
		require.Equal(t, map[string]any{"type": "invalid_prompt", "message": want[0], "details": want[1], "extra_info": map[string]any{}}, at(t, a.json(t), "error"))
	}
}

// TestByteOrderMark posts the content of a file that begins with a byte order mark.
func TestByteOrderMark(t *testing.T) {
	h := newHost(t, nil)
	a := h.post("/prompt", "\ufeff"+`{"prompt":{}}`)
	require.Equal(t, 400, a.status)
	require.Equal(t, "prompt_no_outputs", at(t, a.json(t), "error", "type"))
}
