//go:build linux

package server

import (
	"encoding/json"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// TestEventsAreOfOneSize checks that all peers are compared with frames of the same length.
func TestEventsAreOfOneSize(t *testing.T) {
	for seq := range int64(97) {
		want := message(seq)
		require.True(t, json.Valid(want))
		require.Contains(t, string(want), wireKey(appended{}))
		for _, make := range []func(int64) nodebus.Event{executing, watched, own} {
			f, err := nodebus.JSON.Encode(make(seq))
			require.NoError(t, err)
			require.InDelta(t, len(want), len(f.Data), 3, "%s\n%s", want, f.Data)
			require.Contains(t, string(f.Data), wireKey(&nodebusPeer{}))
		}
	}
}

// TestPromptsOfClients: their ids are different, and as long as promptID.
func TestPromptsOfClients(t *testing.T) {
	require.Len(t, ownPrompt(7), len(promptID))
	require.Len(t, ownPrompt(1<<40), len(promptID))
	require.NotEqual(t, ownPrompt(7), ownPrompt(8))
}

// TestAcknowledgement: an acknowledgement that is not a number changes nothing.
func TestAcknowledgement(t *testing.T) {
	c := &control{ack: make(chan struct{}, 1)}
	require.NoError(t, c.do("a", []string{"7"}))
	<-c.ack
	require.Error(t, c.do("a", []string{"x"}))
	require.EqualValues(t, 7, c.seen.Load())
	require.Empty(t, c.ack)
}

func wireKey(p interface{ Wire() Wire }) string { return p.Wire().Key }
