package nodebus_test

import (
	"errors"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

func TestOnReceivesEventsOfItsType(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		say(t, h, "before")
		var words []word
		var all, late int
		stop := nodebus.On(h, func(ev nodebus.Event, w word) {
			require.Equal(t, h.Epoch(), ev.Cursor().Epoch)
			words = append(words, w)
		})
		stopAll := nodebus.On(h, func(nodebus.Event, nodebus.Payload) { all++ })
		say(t, h, "a")
		require.NoError(t, h.Broadcast(gauge{"g", 1}))
		say(t, h, "b")
		synctest.Wait()
		require.NoError(t, stop())
		say(t, h, "c")
		synctest.Wait()
		require.Equal(t, []word{"a", "b"}, words)
		require.Equal(t, 4, all)
		require.NoError(t, stop())
		require.NoError(t, h.Close())
		synctest.Wait()
		require.NoError(t, stopAll())
		require.NoError(t, nodebus.On(h, func(nodebus.Event, word) { late++ })())
		require.Zero(t, late)
	})
}

func TestOnSaysWhyItHasEnded(t *testing.T) {
	no := errors.New("no")
	for name, c := range map[string]struct {
		f     func(hold chan struct{})
		check func(t *testing.T, err error)
	}{
		"too slow": {func(hold chan struct{}) { <-hold }, func(t *testing.T, err error) { require.ErrorIs(t, err, nodebus.ErrSlow) }},
		"panic":    {func(chan struct{}) { panic(no) }, func(t *testing.T, err error) { require.ErrorIs(t, err, no) }},
		"Goexit":   {func(chan struct{}) { runtime.Goexit() }, func(t *testing.T, err error) { require.ErrorContains(t, err, "Goexit") }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, &nodebus.HubOptions{KeepLen: 3})
				hold := make(chan struct{})
				stop := nodebus.On(h, func(nodebus.Event, word) { c.f(hold) })
				say(t, h, "a")
				synctest.Wait()
				say(t, h, "b", "c", "d", "e", "f")
				close(hold)
				synctest.Wait()
				c.check(t, stop())
			})
		})
	}
}
