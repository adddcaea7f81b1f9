package client_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

func TestSubmitWithoutAPrompt(t *testing.T) {
	c := dial(t, newHost(t, nil).URL+"/ws", nil)
	id, err := c.Submit(t.Context(), nil)
	require.EqualError(t, err, "client: there is no prompt to submit: it is nil")
	require.Empty(t, id)
}

// TestSubmitAfterClose: nobody would receive the events.
func TestSubmitAfterClose(t *testing.T) {
	c := dial(t, newHost(t, nil).URL+"/ws", nil)
	require.NoError(t, c.Close())
	id, err := c.Submit(t.Context(), node("Say"))
	require.ErrorIs(t, err, nodebus.ErrClosed)
	require.Empty(t, id)
}
