package client_test

import (
	"context"
	"errors"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// TestFollowAfterWait: Wait leaves the events of a prompt to the first Follow, whether
// Wait has ended, still runs, or was given up.
func TestFollowAfterWait(t *testing.T) {
	onBoth(t, func(t *testing.T, s server, c *client.Client) {
		whole := func(id string) {
			t.Helper()
			got := followed(t, c, id)
			require.Contains(t, got, "execution_start")
			require.Contains(t, got, "execution_success")
			require.Equal(t, "executing", got[len(got)-1])
		}
		id := submit(t, c, node("Say"))
		for range 2 {
			o, err := c.Wait(deadline(t), id)
			require.NoError(t, err)
			require.Equal(t, nodebus.Succeeded, o.State)
		}
		whole(id)

		id = submit(t, c, node("Rest"))
		given, giveUp := context.WithCancelCause(t.Context())
		remove := c.OnType("executing", func(nodebus.Event) { giveUp(errors.New("enough")) })
		_, err := c.Wait(given, id)
		require.EqualError(t, err, "enough")
		remove()
		ended := make(chan error, 1)
		go func() {
			_, err := c.Wait(deadline(t), id)
			ended <- err
		}()
		s.wake(id)
		whole(id)
		require.NoError(t, <-ended)
	})
}

// TestWatchWhileWaiting: a Wait that runs does not keep Watch from keeping the events.
func TestWatchWhileWaiting(t *testing.T) {
	s := newHost(t, nil)
	c, other := dial(t, s.URL+"/ws", nil), dial(t, s.URL+"/ws", nil)
	id := submit(t, c, node("Rest"))
	begun(t, c, id)
	ended := make(chan error, 1)
	waits := make(chan struct{})
	go func() {
		next := other.Quietly(deadline(t), id)
		close(waits)
		for _, err := range next {
			if err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	<-waits
	require.NoError(t, other.Watch(deadline(t), id))
	s.wake(id)
	require.NoError(t, <-ended)
	require.NoError(t, other.Unwatch(deadline(t), id))
	got := followed(t, other, id)
	require.Equal(t, "execution_start", got[0])
	require.Equal(t, "executing", got[len(got)-1])
}
