package comfy_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
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

// over makes a prompt of a client that has ended some time ago. Any goroutine may
// call it.
func (h *host) over(client, id string, ago time.Duration) {
	rec := nodebus.Record{Prompt: &nodebus.Prompt{ID: id, ClientID: client}, State: nodebus.Succeeded, Ended: time.Now().Add(-ago)}
	err := h.engine.Store().Put(context.Background(), rec)
	for _, said := range []nodebus.Payload{nodebus.ExecutionStart{PromptID: id}, nodebus.Executing{PromptID: id}} {
		err = errors.Join(err, h.hub.Publish(nodebus.Event{PromptID: id, To: client, Payload: said}))
	}
	if err != nil {
		h.t.Error(err)
	}
}

// listedStore calls listed once, when the records have been listed.
type listedStore struct {
	nodebus.Store
	listed atomic.Pointer[func()]
}

func (st *listedStore) List(ctx context.Context) iter.Seq2[nodebus.Record, error] {
	return func(yield func(nodebus.Record, error) bool) {
		st.Store.List(ctx)(yield)
		if listed := st.listed.Swap(nil); listed != nil {
			(*listed)()
		}
	}
}

// TestEndsWhileItIsForgotten: a prompt ends when it is known what the client that
// goes was waiting for, but not yet that it has gone.
func TestEndsWhileItIsForgotten(t *testing.T) {
	st := &listedStore{Store: nodebus.NewStore(0)}
	h := newHostOf(t, nil, &nodebus.EngineOptions{Store: st})
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
		h.over("me", ago.String(), ago)
	}
	for _, prompts := range []int{1, 0} { // the first time, and when it is back at once
		s := h.connect("me")
		require.NoError(t, h.hub.SendSync(nodebus.Custom{Type: "live"}, "me"))
		require.Len(t, without(s.until("live"), "status"), 2*prompts+1)
		s.close()
		s.closed()
	}
}
