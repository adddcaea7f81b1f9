package client_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// TestWaitOverSSE: the events come over Server-Sent Events, and the requests go to the routes
// beside the stream.
func TestWaitOverSSE(t *testing.T) {
	h := newHost(t, nil)
	c := dial(t, h.URL+"/events", &client.Options{SSE: true})
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	for class, state := range map[string]nodebus.State{"Say": nodebus.Succeeded, "Fail": nodebus.Failed} {
		id := submit(t, c, node(class))
		for range 2 {
			o, err := c.Wait(deadline(t), id)
			require.NoError(t, err)
			require.Equal(t, state, o.State)
		}
	}
	rest := submit(t, c, node("Rest"))
	begun(t, c, rest)
	waits := submit(t, c, node("Say"))
	require.NoError(t, c.Delete(t.Context(), waits))
	_, err := c.Wait(deadline(t), waits)
	require.ErrorIs(t, err, client.ErrNotFound)
	require.NoError(t, c.Interrupt(t.Context(), rest))
	o, err := c.Wait(deadline(t), rest)
	require.NoError(t, err)
	require.ErrorIs(t, o.Err(), nodebus.ErrInterrupted)
}
