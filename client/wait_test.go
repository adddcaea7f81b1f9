package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

func TestWait(t *testing.T) {
	onBoth(t, func(t *testing.T, _ server, c *client.Client) {
		for class, state := range map[string]nodebus.State{"Say": nodebus.Succeeded, "Fail": nodebus.Failed} {
			id := submit(t, c, node(class))
			for range 2 { // the second time, it has ended
				o, err := c.Wait(deadline(t), id)
				require.NoError(t, err)
				require.Equal(t, state, o.State)
				require.Equal(t, state == nodebus.Succeeded, o.Err() == nil)
			}
		}
	})
}

// TestWaitForMany: many goroutines wait for many prompts over one connection.
func TestWaitForMany(t *testing.T) {
	onBoth(t, func(t *testing.T, _ server, c *client.Client) {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				id, err := c.Submit(t.Context(), node("Say"))
				if err == nil {
					_, err = c.Wait(deadline(t), id)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

// TestWaitForOthers: the prompt is of another client, whose events do not come.
func TestWaitForOthers(t *testing.T) {
	onBoth(t, func(t *testing.T, s server, c *client.Client) {
		id := submit(t, c, node("Rest"))
		begun(t, c, id)
		other := dial(t, s.url()+"/ws", nil)
		ended := make(chan error, 1)
		go func() {
			o, err := other.Wait(deadline(t), id)
			if err == nil && o.State != nodebus.Succeeded {
				err = errors.New("state " + string(o.State))
			}
			ended <- err
		}()
		s.wake(id)
		require.NoError(t, <-ended)
	})
}

// TestWaitForADeletedPrompt: Wait ends although no event says so.
func TestWaitForADeletedPrompt(t *testing.T) {
	onBoth(t, func(t *testing.T, s server, c *client.Client) {
		first := submit(t, c, node("Rest"))
		begun(t, c, first)
		waits := submit(t, c, node("Say"))
		ended := make(chan error, 1)
		go func() {
			_, err := c.Wait(deadline(t), waits)
			ended <- err
		}()
		require.NoError(t, c.Delete(t.Context(), waits))
		require.ErrorIs(t, <-ended, client.ErrNotFound)
		_, err := c.Wait(deadline(t), "never submitted")
		require.ErrorIs(t, err, client.ErrNotFound)
		s.wake(first)
		o, err := c.Wait(deadline(t), first)
		require.NoError(t, err)
		require.NoError(t, o.Err())
	})
}

// TestManyWaitsAskTogether: many goroutines wait for prompts in the queue. When the queue
// changes, they share one look at it, which is repeated if it fails.
func TestManyWaitsAskTogether(t *testing.T) {
	s := newComfyUI(t)
	c := dial(t, s.URL+"/ws", nil)
	first := submit(t, c, node("Rest"))
	begun(t, c, first)
	const n = 100
	ids := make([]string, n)
	for i := range ids {
		ids[i] = submit(t, c, node("Say"))
	}
	s.failed.Store(2)
	errs := make(chan error, n)
	for _, id := range ids {
		go func() {
			_, err := c.Wait(deadline(t), id)
			errs <- err
		}()
	}
	require.NoError(t, c.Delete(t.Context(), ids...))
	for range n {
		require.ErrorIs(t, <-errs, client.ErrNotFound)
	}
	require.Less(t, s.lists.Load(), int32(n))
	s.wake(first)
}

// TestWaitIsToldOfTheDeletion: the server tells the client of a deleted prompt.
func TestWaitIsToldOfTheDeletion(t *testing.T) {
	s := newHost(t, &comfy.Options{TellRemoved: true})
	c := dial(t, s.URL+"/ws", nil)
	first := submit(t, c, node("Rest"))
	begun(t, c, first)
	waits := submit(t, c, node("Say"))
	require.NoError(t, c.Delete(t.Context(), waits))
	o, err := c.Wait(deadline(t), waits)
	require.NoError(t, err)
	require.ErrorIs(t, o.Err(), nodebus.ErrInterrupted)
	s.wake(first)
}

// TestWaitOverARestart: the server has forgotten the prompt.
func TestWaitOverARestart(t *testing.T) {
	s := newComfyUI(t)
	c := dial(t, s.URL+"/ws", nil)
	id := submit(t, c, node("Rest"))
	begun(t, c, id)
	ended := make(chan error, 1)
	go func() {
		_, err := c.Wait(deadline(t), id)
		ended <- err
	}()
	s.restart()
	require.ErrorIs(t, <-ended, client.ErrNotFound)
	o, err := c.Wait(deadline(t), submit(t, c, node("Say")))
	require.NoError(t, err)
	require.NoError(t, o.Err())
}

// TestWaitOverABreak: the prompt ends while the client is away.
func TestWaitOverABreak(t *testing.T) {
	s := newComfyUI(t)
	c := dial(t, s.URL+"/ws", nil)
	id := submit(t, c, node("Rest"))
	begun(t, c, id)
	s.cut()
	s.wake(id)
	s.settle()
	o, err := c.Wait(deadline(t), id)
	require.NoError(t, err)
	require.Equal(t, nodebus.Text("hello"), o.Output("1"))
}

func TestWaitEndsWithItsContext(t *testing.T) {
	onBoth(t, func(t *testing.T, s server, c *client.Client) {
		id := submit(t, c, node("Rest"))
		begun(t, c, id)
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		cancel(why)
		_, err := c.Wait(ctx, id)
		require.ErrorIs(t, err, why)
		s.wake(id)
		_, err = c.Wait(deadline(t), id)
		require.NoError(t, err)
	})
	c := dial(t, newHost(t, nil).URL+"/ws", nil)
	id := submit(t, c, node("Rest"))
	require.NoError(t, c.Close())
	_, err := c.Wait(t.Context(), id)
	require.ErrorIs(t, err, nodebus.ErrClosed)
}

// TestWaitInAListener: a listener may submit and wait.
func TestWaitInAListener(t *testing.T) {
	onBoth(t, func(t *testing.T, _ server, c *client.Client) {
		var got *nodebus.Outcome
		remove := client.On(c, func(nodebus.Event, nodebus.ExecutionStart) {
			if got != nil {
				return
			}
			got = &nodebus.Outcome{}
			id, err := c.Submit(t.Context(), node("Fail"))
			require.NoError(t, err)
			got, err = c.Wait(deadline(t), id)
			require.NoError(t, err)
		})
		defer remove()
		first := submit(t, c, node("Say"))
		for _, err := range c.Follow(deadline(t), first) {
			require.NoError(t, err)
		}
		require.Equal(t, nodebus.Failed, got.State)
	})
}

// TestWaitWithoutRoutes: a server with a WebSocket only. The events tell the outcome.
func TestWaitWithoutRoutes(t *testing.T) {
	hub := nodebus.NewHub(nil)
	mux := http.NewServeMux()
	mux.Handle("/ws", ws.New(hub, nil))
	srv := httptest.NewServer(mux)
	defer srv.Close()
	defer hub.Close()
	c := dial(t, srv.URL+"/ws", nil)
	say := func(id string, all ...nodebus.Payload) {
		for _, p := range all {
			require.NoError(t, hub.Publish(nodebus.Event{PromptID: id, To: c.ID(), Payload: p}))
		}
	}
	for _, id := range []string{"failed", "refused", "late"} {
		require.NoError(t, c.Watch(deadline(t), id))
	}
	at := nodebus.Place{UniqueID: "1"}
	say("failed", nodebus.ExecutionStart{PromptID: "failed", Attempt: 2}, nodebus.Executing{UniqueID: "1", PromptID: "failed"},
		nodebus.Executed{Place: at, Output: nodebus.Text("a"), PromptID: "failed"}, nodebus.Executed{Place: at, Output: nodebus.Text("b"), PromptID: "failed"},
		nodebus.ExecutionError{PromptID: "failed", ExceptionType: "ExecutionBlocked", ExceptionMessage: "no"},
		nodebus.NodeFailed{Place: at, PromptID: "failed", ExceptionMessage: "boom"},
		nodebus.ExecutionError{PromptID: "failed", ExceptionType: "x", ExceptionMessage: "boom\n"}, nodebus.Executing{PromptID: "failed"})
	say("refused", nodebus.ExecutionError{PromptID: "refused", ExceptionType: "refused", ExceptionMessage: "no"}, nodebus.Executing{PromptID: "refused"})
	say("late", nodebus.Executing{UniqueID: "1", PromptID: "late"}, nodebus.ExecutionSuccess{PromptID: "late"}, nodebus.Executing{PromptID: "late"})

	outcomes := map[string]*nodebus.Outcome{}
	errs := map[string]error{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, id := range []string{"failed", "refused", "late"} {
		all.Go(func() {
			o, err := c.Wait(deadline(t), id)
			mu.Lock()
			defer mu.Unlock()
			outcomes[id], errs[id] = o, err
		})
	}
	all.Wait()
	require.NoError(t, errs["failed"])
	o := outcomes["failed"]
	require.Equal(t, 2, o.Attempt)
	require.Equal(t, []nodebus.NodeOutput{{Place: at.WithDefaults(), UI: nodebus.Text("b")}}, o.Outputs)
	require.Equal(t, "boom", o.Errors[0].ExceptionMessage)
	require.EqualError(t, o.Err(), "boom")
	require.NoError(t, errs["refused"])
	require.Equal(t, nodebus.Refused, outcomes["refused"].State)
	require.ErrorContains(t, errs["late"], "client: the prompt has ended, but some of its events are missing: the server refused the record of prompt late with status 404: ")
}
