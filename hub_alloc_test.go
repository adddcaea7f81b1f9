package nodebus_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// TestDeliverAllocatesLittle: an event that nobody but the log receives costs one allocation,
// for the event. The tape of the log grows now and then.
func TestDeliverAllocatesLittle(t *testing.T) {
	hub := nodebus.NewHub(nil)
	require.NoError(t, hub.Publish(nodebus.Event{PromptID: "p", Payload: nodebus.ExecutionStart{PromptID: "p"}}))
	var running nodebus.Payload = nodebus.Executing{UniqueID: "1", DisplayID: "1", PromptID: "p"}
	publish := func() {
		_ = hub.Publish(nodebus.Event{PromptID: "p", To: "c", Payload: running, Frozen: true})
	}
	least := testing.AllocsPerRun(2000, publish)
	for range 9 { // goroutines of earlier tests may allocate meanwhile
		least = min(least, testing.AllocsPerRun(2000, publish))
	}
	require.LessOrEqual(t, least, 1.0, "the event itself")
	require.NoError(t, hub.Close())
}
