package comfy_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

var allEvents = []string{"execution_start", "execution_cached", "executing 1", "executed 1", "execution_success", "executing <nil>"}

// TestBackFromALostConnection: a connection is lost, and the server does not notice
// it. When the client reconnects, it receives the events of a prompt that ended in
// the meantime.
func TestBackFromALostConnection(t *testing.T) {
	h := newHost(t, nil)
	lost, other := h.connect("me"), h.connect("other")
	other.next()
	h.submit("me", waitFor("a"))
	lost.until("executing 1") // the client reads no more from this socket
	h.gate.open("a")
	other.until("status 0")
	require.Equal(t, allEvents, without(h.connect("me").until("executing <nil>"), "status", "progress_state"))
}

// TestBackBeforeItIsForgotten: a prompt ends and the client reconnects before the
// server has found the prompts that the client was waiting for.
func TestBackBeforeItIsForgotten(t *testing.T) {
	q := &listedQueue{Queue: flow.NewQueue(nil)}
	h := newHostOf(t, nil, &flow.EngineOptions{Parallel: 4, Queue: q})
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
	require.Equal(t, allEvents, without((<-back).until("executing <nil>"), "status", "progress_state"))
}

// over adds a prompt of a client that ended some time ago. Any goroutine may call
// it.
func (h *host) over(client, id string, ago time.Duration) {
	rec := flow.Record{Prompt: &nodebus.Prompt{ID: id, ClientID: client}, State: nodebus.Succeeded, Ended: time.Now().Add(-ago)}
	err := h.engine.Store().Put(context.Background(), rec)
	for _, said := range []nodebus.Payload{nodebus.ExecutionStart{PromptID: id}, nodebus.Executing{PromptID: id}} {
		err = errors.Join(err, h.hub.Publish(nodebus.Event{PromptID: id, To: client, Payload: said}))
	}
	if err != nil {
		h.t.Error(err)
	}
}

// listedStore calls listed once, at the end of the next List.
type listedStore struct {
	flow.Store
	listed atomic.Pointer[func()]
}

func (st *listedStore) List(ctx context.Context) iter.Seq2[flow.Record, error] {
	return func(yield func(flow.Record, error) bool) {
		st.Store.List(ctx)(yield)
		if listed := st.listed.Swap(nil); listed != nil {
			(*listed)()
		}
	}
}

// TestEndsWhileItIsForgotten: a prompt ends after the server has found the prompts
// of a disconnecting client, and before it has removed the connection.
func TestEndsWhileItIsForgotten(t *testing.T) {
	st := &listedStore{Store: flow.NewStore(nil)}
	h := newHostOf(t, nil, &flow.EngineOptions{Store: st})
	s := h.connect("me")
	s.next()
	ended := make(chan struct{})
	end := func() {
		defer close(ended)
		h.over("me", "late", 0)
	}
	st.listed.Store(&end)
	s.close()
	<-ended
	require.Contains(t, h.connect("me").until("executing <nil>"), "execution_start")
}

// TestSubmitsFirst: a client submits, and connects after it has the answer. It
// receives the events of the prompt, which has already ended.
func TestSubmitsFirst(t *testing.T) {
	h := newHost(t, nil)
	h.ended(h.submit("me", quick))
	me := h.connect("me")
	require.Equal(t, allEvents, without(me.until("executing <nil>"), "status", "progress_state"))
}

// TestLateIsNotForEver: a client receives no events of a prompt that ended long
// before its first connection, or that ended before it disconnected.
func TestLateIsNotForEver(t *testing.T) {
	h := newHost(t, nil)
	for _, ago := range []time.Duration{time.Minute, 0} {
		h.over("me", ago.String(), ago)
	}
	for _, prompts := range []int{1, 0} { // the first connection, and an immediate reconnection
		s := h.connect("me")
		require.NoError(t, h.hub.SendSync(nodebus.Custom{Type: "live"}, "me"))
		require.Len(t, without(s.until("live"), "status"), 2*prompts+1)
		s.close()
		s.closed()
	}
}
