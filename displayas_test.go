package nodebus_test

import (
	"encoding/json"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// TestDisplayAs: the id is a member of the node in JSON, as in ComfyUI, so that it survives
// on its way to another process.
func TestDisplayAs(t *testing.T) {
	g := nodebus.NewGraph()
	at := g.Add("A", nil)
	require.Equal(t, at, g.DisplayAs(at, "7"))
	first := g.Nodes()[0]
	require.Equal(t, at.At(1), g.DisplayAs(at.At(1), "8\"\n"), "any output names the node")
	require.Equal(t, "7", first.DisplayID(), "a copy does not change")
	enc, err := json.Marshal(g.Nodes())
	require.NoError(t, err)
	require.JSONEq(t, `{"1":{"class_type":"A","inputs":{},"override_display_id":"8\"\n"}}`, string(enc))
	var back nodebus.Nodes
	require.NoError(t, json.Unmarshal(enc, &back))
	require.Equal(t, "8\"\n", back[0].DisplayID())
	require.Empty(t, (&nodebus.NodeSpec{}).DisplayID())
	back[0].Extra["override_display_id"] = json.RawMessage(`5`)
	require.Empty(t, back[0].DisplayID())
	require.PanicsWithValue(t, `nodebus: DisplayAs: the graph has no node "2"; add the node first`, func() { g.DisplayAs(g.Link("2"), "7") })
}
