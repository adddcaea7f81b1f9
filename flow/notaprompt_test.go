package flow_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestNotAPrompt submits what people take for a prompt. The details say what to do; the other
// members of the error are the same as in ComfyUI.
func TestNotAPrompt(t *testing.T) {
	for _, tt := range []struct{ name, text, id, details string }{
		{
			"a workflow", `{"last_node_id":9,"last_link_id":9,"nodes":[{"id":1,"type":"A"}],"links":[[1,1,0,2,0,"X"]],"extra":{}}`, "last_node_id",
			"Node ID '#last_node_id'; this is a workflow in the format of the front end, with nodes and links: export it in the API format",
		},
		{
			"a body", `{"prompt":{"1":{"class_type":"A","inputs":{}}}}`, "prompt",
			"Node ID '#prompt'; this is the body of a request: the nodes are what it has under prompt",
		},
		{
			"a body with a client", `{"client_id":"me","prompt":{"1":{"class_type":"A","inputs":{}}}}`, "client_id",
			"Node ID '#client_id'; this is the body of a request: the nodes are what it has under prompt",
		},
		{
			"both formats", `{"workflow":{"nodes":[]},"output":{"1":{"class_type":"A","inputs":{}}}}`, "workflow",
			"Node ID '#workflow'; this is an object of two formats: the nodes are what it has under output",
		},
		{"a damaged node", `{"1":5,"nodes":{"class_type":"A","inputs":{}}}`, "1", "Node ID '#1'; the node is not an object"},
		{"a node without a class", `{"output":{"inputs":{}}}`, "output", "Node ID '#output'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nodes, err := nodebus.ParseNodes([]byte(tt.text))
			require.NoError(t, err)
			hub := nodebus.NewHub(nil)
			_, err = flow.Do(t.Context(), flow.NewEngine(flow.NewRegistry(), hub, nil), &nodebus.Prompt{Nodes: nodes})
			require.NoError(t, hub.Close())
			var invalid *nodebus.ValidationError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, nodebus.Problem{
				Type: "missing_node_type", Message: "Node 'ID #" + tt.id + "' has no class_type. The workflow may be corrupted or a custom node is missing.",
				Details: tt.details, Extra: map[string]any{"node_id": tt.id, "class_type": nil, "node_title": nil},
			}, invalid.Problem)
		})
	}
}
