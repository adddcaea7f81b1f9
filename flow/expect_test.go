package flow_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// received is a transport that keeps the types of all frames.
type received struct {
	mu    sync.Mutex
	types []string
}

func (r *received) Write(_ context.Context, frames []nodebus.Frame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range frames {
		r.types = append(r.types, f.Type)
	}
	return nil
}

func (r *received) Close(error) error { return nil }

// connect joins a client that confirms nothing. It returns the session, and a function
// that returns the types of the frames so far.
func (r *rig) connect(client string) (s *nodebus.Session, got func() []string) {
	s = r.hub.Join(client, &nodebus.SessionOptions{Confirms: true})
	to := &received{}
	go func() { _ = s.Serve(context.Background(), to) }()
	return s, func() []string {
		synctest.Wait()
		to.mu.Lock()
		defer to.mu.Unlock()
		return to.types
	}
}

// TestSubmitterIsOwedAPromptThatWaited: a client submits and disconnects while its prompt
// waits in the queue. When it returns long after the end, it receives the prompt.
func TestSubmitterIsOwedAPromptThatWaited(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		ready := make(chan struct{})
		s, _ := r.connect("me")
		wait := r.startWith(&nodebus.Prompt{ClientID: "me", Nodes: shown("x")}, &flow.SubmitOptions{Ready: ready})
		s.Close(nil)
		close(ready)
		wait()
		time.Sleep(time.Minute)
		_, got := r.connect("me")
		require.Contains(t, got(), "execution_start")
		require.Equal(t, "executing", got()[len(got())-1])
	})
}

// TestDeletedPromptIsNotExpected: a prompt is deleted while it waits, and its client
// leaves. Nobody waits for a later prompt with the same id.
func TestDeletedPromptIsNotExpected(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		ready := make(chan struct{})
		defer close(ready)
		s, _ := r.connect("me")
		_, err := r.engine.Submit(r.ctx, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")}, &flow.SubmitOptions{Ready: ready})
		require.NoError(t, err)
		gone, err := r.engine.Delete(r.ctx, "p")
		require.NoError(t, err)
		require.Equal(t, []string{"p"}, gone)
		s.Close(nil)
		synctest.Wait()
		r.submit(&nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})
		time.Sleep(time.Minute)
		_, got := r.connect("me")
		require.Empty(t, got())
	})
}

// TestIDUsedAgainIsInterruptedWhileItWaits: the record of a prompt is deleted, its id is
// used again, and the new prompt is interrupted before it begins. Clients receive exactly
// one outcome of the new prompt, and its last event.
func TestIDUsedAgainIsInterruptedWhileItWaits(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		_, got := r.connect("me")
		r.submit(&nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})
		require.NoError(t, r.engine.Store().Delete(r.ctx, "p"))
		before := len(got())
		r.engine.Pause() // nobody takes the prompt
		wait := r.startWith(&nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")}, nil)
		require.True(t, interrupt(r.engine, "p"))
		require.Equal(t, []string{"interrupted ", "executing "}, wait().types())
		rest := slices.DeleteFunc(slices.Clone(got()[before:]), func(typ string) bool { return typ == "status" })
		require.Equal(t, []string{"execution_interrupted", "executing"}, rest)
	})
}
