package client_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

func TestQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, s server, c *client.Client) {
		running, waiting, err := c.Queue(t.Context())
		require.NoError(t, err)
		require.Empty(t, running)
		require.Empty(t, waiting)

		first := submit(t, c, node("Rest"))
		begun(t, c, first)
		var want []string
		for _, priority := range []float64{30, 10, 20, 40} {
			p := node("Say")
			p.Priority = priority
			id := submit(t, c, p)
			want = append(want, id)
		}
		want[0], want[1], want[2] = want[1], want[2], want[0]
		ids := func() (all []string) {
			running, waiting, err := c.Queue(t.Context())
			require.NoError(t, err)
			require.Len(t, running, 1)
			require.Equal(t, first, running[0].ID)
			for _, p := range waiting {
				all = append(all, p.ID)
			}
			return all
		}
		require.Equal(t, want, ids())
		require.NoError(t, c.Delete(t.Context(), want[1], first, "unknown"))
		require.Equal(t, []string{want[0], want[2], want[3]}, ids(), "what runs is not deleted")
		require.NoError(t, c.Interrupt(t.Context(), want[2]), "an interrupt of a prompt that waits")
		require.Equal(t, []string{want[0], want[3]}, ids())
		require.NoError(t, c.Interrupt(t.Context(), first))
		for ev, err := range c.Follow(deadline(t), want[3]) {
			require.NoError(t, err)
			require.NotContains(t, []string{want[1], want[2]}, ev.PromptID)
		}
		o, err := c.Outcome(t.Context(), first)
		require.NoError(t, err)
		require.Equal(t, nodebus.Interrupted, o.State)
	})
}
