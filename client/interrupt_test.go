package client_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// TestInterruptOfAPromptThatWaits: the prompt never begins, and its Wait ends. ComfyUI keeps
// no record of such a prompt.
func TestInterruptOfAPromptThatWaits(t *testing.T) {
	onBoth(t, func(t *testing.T, s server, c *client.Client) {
		first := submit(t, c, node("Rest"))
		begun(t, c, first)
		waits := submit(t, c, node("Say"))
		ended := make(chan error, 1)
		go func() {
			o, err := c.Wait(deadline(t), waits)
			if err == nil {
				err = o.Err()
			}
			ended <- err
		}()
		require.NoError(t, c.Interrupt(t.Context(), waits))
		want := nodebus.ErrInterrupted
		if _, plain := s.(*comfyUI); plain {
			want = client.ErrNotFound
		}
		require.ErrorIs(t, <-ended, want)
		s.wake(first)
		o, err := c.Wait(deadline(t), first)
		require.NoError(t, err)
		require.NoError(t, o.Err())
	})
}
