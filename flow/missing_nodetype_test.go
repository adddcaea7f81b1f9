package flow_test

import (
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// The tests named TestNewest… follow the sections of what ComfyUI 0.38 does differently.

// TestNewest1_MissingNodeType: a node without a class and a node of an unknown class are
// refused with what the front end needs to mark the node.
func TestNewest1_MissingNodeType(t *testing.T) {
	const without, unknown = " has no class_type. The workflow may be corrupted or a custom node is missing.", " not found. The custom node may not be installed."
	for name, tt := range map[string]struct{ node, message, extra string }{
		"no class":             {`{"inputs":{}}`, "Node 'ID #7'" + without, `{"node_id":"7","class_type":null,"node_title":null}`},
		"no class, a title":    {`{"inputs":{},"_meta":{"title":"My node"}}`, "Node 'My node'" + without, `{"node_id":"7","class_type":null,"node_title":"My node"}`},
		"an empty title":       {`{"inputs":{},"_meta":{"title":""}}`, "Node 'ID #7'" + without, `{"node_id":"7","class_type":null,"node_title":null}`},
		"a title in capitals":  {`{"inputs":{},"_meta":{"Title":"My node"}}`, "Node 'ID #7'" + without, `{"node_id":"7","class_type":null,"node_title":null}`},
		"class null":           {`{"class_type":null,"inputs":{}}`, "Node 'ID #7'" + without, `{"node_id":"7","class_type":null,"node_title":null}`},
		"empty class":          {`{"class_type":"","inputs":{}}`, "Node 'ID #7'" + without, `{"node_id":"7","class_type":null,"node_title":null}`},
		"nothing":              {`{}`, "Node 'ID #7'" + without, `{"node_id":"7","class_type":null,"node_title":null}`},
		"unknown class":        {`{"class_type":"Gone","inputs":{}}`, "Node 'Gone'" + unknown, `{"node_id":"7","class_type":"Gone","node_title":"Gone"}`},
		"unknown, a title":     {`{"class_type":"Gone","inputs":{},"_meta":{"title":"My node","cnr_id":"a-pack","ver":"1"}}`, "Node 'My node'" + unknown, `{"node_id":"7","class_type":"Gone","node_title":"My node"}`},
		"unknown, odd meta":    {`{"class_type":"Gone","inputs":{},"_meta":[1]}`, "Node 'Gone'" + unknown, `{"node_id":"7","class_type":"Gone","node_title":"Gone"}`},
		"unknown, odd title":   {`{"class_type":"Gone","inputs":{},"_meta":{"title":5}}`, "Node 'Gone'" + unknown, `{"node_id":"7","class_type":"Gone","node_title":"Gone"}`},
		"unknown, no inputs":   {`{"class_type":"Gone"}`, "Node 'Gone'" + unknown, `{"node_id":"7","class_type":"Gone","node_title":"Gone"}`},
		"a number":             {`{"class_type":1e400,"inputs":{}}`, "Node '1e400'" + unknown, `{"node_id":"7","class_type":"1e400","node_title":"1e400"}`},
		"a list and an object": {`{"class_type":[{"a":null}],"inputs":{}}`, `Node '[{"a":null}]'` + unknown, `{"node_id":"7","class_type":"[{\"a\":null}]","node_title":"[{\"a\":null}]"}`},
	} {
		t.Run(name, func(t *testing.T) {
			_, ve := validate(t, parse(t, `{"o":{"class_type":"Show","inputs":{"in":1}},"7":`+tt.node+`,"8":{}}`))
			require.NotNil(t, ve, "no output needs the node")
			require.Equal(t, []string{"missing_node_type", tt.message, "Node ID '#7'"}, []string{ve.Type, ve.Message, ve.Details}, "the first one counts")
			require.JSONEq(t, tt.extra, jsonOf(t, ve.Extra))
			require.Empty(t, ve.Nodes)
		})
	}
}

// TestNewest1_DamagedNodes: what is no object has no class either. Other damage, which ComfyUI
// answers with status 500, has a type of its own.
func TestNewest1_DamagedNodes(t *testing.T) {
	for node, want := range map[string][3]string{
		`5`:                                 {"missing_node_type", "Node 'ID #7' has no class_type. The workflow may be corrupted or a custom node is missing.", "Node ID '#7'; the node is not an object"},
		`null`:                              {"missing_node_type", "Node 'ID #7' has no class_type. The workflow may be corrupted or a custom node is missing.", "Node ID '#7'; the node is not an object"},
		`{"class_type":"Show","inputs":[]}`: {"invalid_node", "Cannot execute because a node has inputs that are not an object.", "Node ID '#7'"},
		`{"class_type":"Show","inputs":{}},"7":5`:                                      {"invalid_node", "Cannot execute because a node appears twice.", "Node ID '#7'"},
		`{"class_type":"Show","inputs":{"in":1}},"8":{"class_type":"Add"}`:             {"invalid_node", "Cannot execute because a node is missing the inputs property.", "Node ID '#8'"},
		`{"class_type":"Show","inputs":{"in":1}},"":{"class_type":"Show","inputs":{}}`: {"invalid_node", "Cannot execute because a node has an empty id.", "Node ID '#'"},
	} {
		_, ve := validate(t, parse(t, `{"7":`+node+`}`))
		require.NotNil(t, ve, node)
		require.Equal(t, want, [3]string{ve.Type, ve.Message, ve.Details}, node)
	}
}

// TestNewest1_MissingNodeTypeIsBounded: the answer does not grow with what it quotes.
func TestNewest1_MissingNodeTypeIsBounded(t *testing.T) {
	long := strings.Repeat("é", 100_000)
	for _, n := range []nodebus.NodeSpec{
		{ID: "7", Class: long, Inputs: in{}},
		{ID: long, Inputs: in{}},
		{ID: "7", Inputs: in{}, Meta: []byte(`{"title":"` + long + `"}`)},
	} {
		_, ve := validate(t, nodebus.Nodes{n})
		require.NotNil(t, ve)
		require.Less(t, len(jsonOf(t, ve)), 5000)
	}
}

// TestNewest1_ReplacementComesFirst: a node of a class that was replaced is not missing.
func TestNewest1_ReplacementComesFirst(t *testing.T) {
	reg := validationRegistry()
	require.NoError(t, reg.AddReplacement(flow.Replacement{Old: "Gone", New: "Show"}))
	require.NoError(t, prepare(reg, &nodebus.Prompt{Nodes: parse(t, `{"o":{"class_type":"Gone","inputs":{"in":1}}}`)}))
}
