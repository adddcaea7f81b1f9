package client_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// TestIDsThatCannotBe: these ids cannot be part of a URL, or change on their way. No method
// waits for their prompts.
func TestIDsThatCannotBe(t *testing.T) {
	h := newHost(t, nil)
	c := dial(t, h.URL+"/ws", nil)
	for _, id := range []string{"", ".", "..", "\xff"} {
		ctx := deadline(t)
		if id != "" { // a new id
			given, err := c.Submit(ctx, &nodebus.Prompt{ID: id, Nodes: node("Say").Nodes})
			require.ErrorIs(t, err, client.ErrPromptID)
			require.Empty(t, given)
		}
		_, err := c.Wait(ctx, id)
		require.ErrorIs(t, err, client.ErrPromptID)
		_, err = c.Outcome(ctx, id)
		require.ErrorIs(t, err, client.ErrPromptID)
		_, err = c.State(ctx, id)
		require.ErrorIs(t, err, client.ErrPromptID)
		n := 0
		for _, err := range c.Follow(ctx, id) {
			require.ErrorIs(t, err, client.ErrPromptID)
			n++
		}
		require.Equal(t, 1, n)
	}
	require.Zero(t, h.engine.Remaining())
}
