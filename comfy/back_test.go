package comfy_test

import (
	"testing"

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
