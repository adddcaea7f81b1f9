package comfy_test

import (
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

var wholeStory = []string{"execution_start", "execution_cached", "executing 1", "executed 1", "execution_success", "executing <nil>"}

// TestBackFromALostConnection: of a prompt that ended while a connection was
// lost, which the server has not noticed, the client is told when it is back.
func TestBackFromALostConnection(t *testing.T) {
	h := newHost(t, nil)
	lost, other := h.connect("me"), h.connect("other")
	other.next()
	h.submit("me", waitFor("a"))
	lost.until("executing 1") // and is not read any more
	h.gate.open("a")
	other.until("status 0")
	require.Equal(t, wholeStory, without(h.connect("me").until("executing <nil>"), "status", "progress_state"))
}

// TestBackBeforeItIsForgotten: a prompt ends, and the client is back, while the
// server has yet to find out what the client was waiting for.
func TestBackBeforeItIsForgotten(t *testing.T) {
	q := &listedQueue{Queue: nodebus.NewQueue(0)}
	h := newHostOf(t, nil, &nodebus.EngineOptions{Parallel: 4, Queue: q})
	s, other := h.connect("me"), h.connect("other")
	other.next()
	h.submit("me", waitFor("a"))
	s.until("executing 1")
	back := make(chan *socket, 1)
	q.listed = func() {
		h.gate.open("a")
		other.until("status 0")
		back <- h.connect("me")
	}
	s.close()
	require.Equal(t, wholeStory, without((<-back).until("executing <nil>"), "status", "progress_state"))
}

// TestSubmitsFirst: a client that connects once it has the answer to its
// submission is told of a prompt that has ended before.
func TestSubmitsFirst(t *testing.T) {
	h := newHost(t, nil)
	h.ended(h.submit("me", quick))
	me := h.connect("me")
	require.Equal(t, wholeStory, without(me.until("executing <nil>"), "status", "progress_state"))
}

// TestLateIsNotForEver: what ended long before a client comes for the first time,
// or ended before it went, it is not sent.
func TestLateIsNotForEver(t *testing.T) {
	h := newHost(t, nil)
	for _, ago := range []time.Duration{time.Minute, 0} {
		id := ago.String()
		rec := nodebus.Record{Prompt: &nodebus.Prompt{ID: id, ClientID: "me"}, State: nodebus.Succeeded, Ended: time.Now().Add(-ago)}
		require.NoError(t, h.engine.Store().Put(t.Context(), rec))
		for _, said := range []nodebus.Payload{nodebus.ExecutionStart{PromptID: id}, nodebus.Executing{PromptID: id}} {
			require.NoError(t, h.hub.Publish(nodebus.Event{PromptID: id, To: "me", Payload: said}))
		}
	}
	for _, prompts := range []int{1, 0} { // the first time, and when it is back at once
		s := h.connect("me")
		require.NoError(t, h.hub.SendSync(nodebus.Custom{Type: "live"}, "me"))
		require.Len(t, without(s.until("live"), "status"), 2*prompts+1)
		s.close()
		s.closed()
	}
}
