package client_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/fold"
	"github.com/stretchr/testify/require"
)

// TestGapOfAServerWithoutCursors: after a reconnect, nobody knows what is missing. Events,
// Follow and listeners have a Gap before the greeting, and a folded run is incomplete.
func TestGapOfAServerWithoutCursors(t *testing.T) {
	s := newComfyUI(t)
	c := dial(t, s.URL+"/ws", &client.Options{Retry: 1})
	var heard []nodebus.Gap
	client.On(c, func(_ nodebus.Event, p nodebus.Gap) { heard = append(heard, p) })
	id, later := submit(t, c, node("Rest")), submit(t, c, node("Say"))
	run := fold.Run{PromptID: id}
	for ev, err := range c.Follow(deadline(t), id) {
		require.NoError(t, err)
		run.Apply(ev)
		if p, ok := ev.Payload.(nodebus.Executing); ok && p.UniqueID != "" {
			require.False(t, run.Incomplete)
			s.cut()
		}
		if gap, ok := ev.Payload.(nodebus.Gap); ok {
			require.Equal(t, nodebus.Gap{}, gap)
			s.wake(id)
		}
	}
	require.True(t, run.Incomplete)
	require.True(t, run.Closed)
	require.Equal(t, []nodebus.Gap{{}}, heard)
	require.Equal(t, "gap 0 to 0", followed(t, c, later)[0], "so has a prompt that waits to be followed")

	s.cut()
	var got []string
	for ev, err := range c.Events(deadline(t)) {
		require.NoError(t, err)
		if got = append(got, told(ev)); told(ev) == "status" && len(got) > 1 {
			break
		}
	}
	require.Equal(t, []string{"gap 0 to 0", "status"}, got[len(got)-2:])
}
