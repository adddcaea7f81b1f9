package nodebus_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// TestContextBegin: contexts of one prompt share the prompt, but nothing about the node.
func TestContextBegin(t *testing.T) {
	pub := &trackerTape{}
	job := &nodebus.Job{Prompt: &nodebus.Prompt{ID: "p", ClientID: "me"}, Attempt: 3}
	first := nodebus.NewContext(t.Context(), nodebus.CallInfo{
		Place: nodebus.Place{UniqueID: "1"}, Job: job, Index: 5, Publisher: pub, Runtime: givenRuntime{},
	})
	require.Equal(t, nodebus.Place{UniqueID: "1", DisplayID: "1", RealID: "1"}, first.Place())
	require.Equal(t, 5, first.Index())
	first.End()

	made := nodebus.Place{UniqueID: "1.0.0.a", DisplayID: "1", ParentID: "1"}
	for _, at := range []nodebus.Place{{UniqueID: "2"}, {UniqueID: "2", DisplayID: "2", RealID: "2"}, made, {}} {
		var c nodebus.Context
		c.Begin(first, at, 7, nil)
		require.Equal(t, first.Context, c.Context)
		require.Equal(t, at.UniqueID, c.UniqueID())
		require.Equal(t, at.WithDefaults(), c.Place())
		require.Equal(t, at.WithDefaults().DisplayID, c.DisplayID())
		require.Equal(t, 7, c.Index())
		require.Equal(t, []any{"p", "me", 3}, []any{c.PromptID(), c.ClientID(), c.Attempt()})
		require.Nil(t, c.Runtime())
		require.False(t, c.Ended())
		require.NoError(t, c.SendSync(nodebus.Executing{UniqueID: "x"}))
	}
	require.Len(t, pub.take(), 4)
	require.NotNil(t, first.Runtime())
}
