package flow_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestBegin: a prompt that may not begin yet runs as far as anybody can see, and
// others do not wait for it.
func TestBegin(t *testing.T) {
	inBubble(t, nil, &flow.EngineOptions{Parallel: 2}, func(r *rig) {
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": "x"})
		begin := make(chan struct{})
		wait := r.start(&nodebus.Prompt{ID: "later", ClientID: "a", Nodes: g.Nodes(), Begin: begin})
		r.submit(&nodebus.Prompt{ClientID: "b", Nodes: g.Nodes()})
		require.Equal(t, "later", r.engine.Running()[0].ID)
		close(begin)
		require.Equal(t, []string{"start", "cached o", "executed o", "success", "executing "}, wait().types())
	})
}
