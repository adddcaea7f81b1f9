package nodebus_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

func TestStatsAndSessions(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{QueueLen: 3, KeepLen: 4})
		require.Zero(t, h.Stats())
		fast, slow := &tape{}, newPausedTape()
		serveOn(t, h.Join("fast", &nodebus.SessionOptions{Watch: []string{"1", "2"}}), tryTape{fast})
		over := serveOn(t, h.Join("slow", &nodebus.SessionOptions{Since: at(h, 0)}), slow)
		synctest.Wait()
		for n := range 3 {
			require.NoError(t, h.Broadcast(gauge{"g", n}))
			synctest.Wait()
		}
		require.Equal(t, []nodebus.SessionStats{
			{Name: "s1", Client: "fast", Watches: 2},
			{Name: "s2", Client: "slow", Lag: 2, Queued: 1, QueuedBytes: h.Stats().QueuedBytes, Replaced: 1, Resumed: true},
		}, h.Sessions())
		stats := h.Stats()
		require.Positive(t, stats.QueuedBytes)
		stats.QueuedBytes = 0
		require.Equal(t, nodebus.HubStats{Sessions: 2, Queued: 1, Replaced: 1, Resumed: 1}, stats)

		for n := range 9 {
			say(t, h, word(fmt.Sprint(n)))
			synctest.Wait()
		}
		require.EqualValues(t, 2, h.Stats().FellBehind)
		slow.play()
		synctest.Wait()
		require.EqualValues(t, 1, h.Stats().Gaps)
		require.Zero(t, h.Sessions()[1].Lag)

		no := errors.New("no")
		require.False(t, h.End("s3", no))
		require.True(t, h.End("s2", no))
		require.ErrorIs(t, over(), no)
		require.False(t, h.End("s2", no))
		require.Equal(t, nodebus.HubStats{Sessions: 1, Replaced: 1, Gaps: 1, FellBehind: 2, Resumed: 1}, h.Stats(), "the counters of sessions that have left stay")
	})
}

func TestStatsOfConfirmations(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		s := h.Join("alice", &nodebus.SessionOptions{Confirms: true})
		p := &tape{}
		over := serveOn(t, s, tryTape{p})
		publish(t, h, start("1"), about("1", nodebus.ExecutionSuccess{}), ending("1"))
		synctest.Wait()
		require.True(t, h.Sessions()[0].Unconfirmed)
		require.Equal(t, 1, h.Stats().Unconfirmed)
		require.Equal(t, "execution_success", p.frames[1].Type)
		s.Confirm(p.frames[1].ID)
		require.Zero(t, h.Stats().Unconfirmed)
		s.Close(fmt.Errorf("the line: %w", nodebus.ErrSlow))
		require.ErrorIs(t, over(), nodebus.ErrSlow)
		require.EqualValues(t, 1, h.Stats().Slow)
	})
}
