package client_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// TestNaNOfComfyUI: Python writes NaN as a bare word, which is no JSON. The events arrive
// all the same.
func TestNaNOfComfyUI(t *testing.T) {
	s := newComfyUI(t)
	c := dial(t, s.URL+"/ws", nil)
	client.On(c, func(nodebus.Event, ticked) {})
	id := submit(t, c, node("Fail"))
	var failed *nodebus.ExecutionError
	for ev, err := range c.Follow(deadline(t), id) {
		require.NoError(t, err)
		if p, ok := ev.Payload.(nodebus.ExecutionError); ok {
			failed = &p
		}
	}
	require.NotNil(t, failed)
	require.Equal(t, map[string][]any{"value": {nil}}, failed.CurrentInputs)
	require.Equal(t, "boom\n", failed.ExceptionMessage)
}
