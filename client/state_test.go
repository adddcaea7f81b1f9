package client_test

import (
	"net/http"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/fold"
	"github.com/stretchr/testify/require"
)

func TestState(t *testing.T) {
	s := newHost(t, nil)
	c := dial(t, s.URL+"/ws", nil)
	p := node("Rest")
	p.ID = "a/b ?"
	id := submit(t, c, p)
	begun(t, c, id)
	run, err := c.State(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, id, run.PromptID)
	require.Equal(t, fold.Running, run.State)
	require.Equal(t, fold.NodeRunning, run.Nodes["1"].State)

	s.wake(id)
	for ev, err := range c.Follow(deadline(t), id) {
		require.NoError(t, err)
		run.Apply(ev)
	}
	require.True(t, run.Closed)
	require.Equal(t, nodebus.Text("hello"), run.Nodes["1"].Output)
	later, err := c.State(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, nodebus.Succeeded, later.State)
	require.Equal(t, run.Nodes["1"].Output, later.Nodes["1"].Output)

	_, err = c.State(t.Context(), "unknown")
	require.ErrorIs(t, err, client.ErrNotFound)
	var refused *client.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 404, refused.Status)
	_, err = c.State(t.Context(), "..")
	require.ErrorContains(t, err, "cannot be part of a URL")

	plain := dial(t, newComfyUI(t).URL+"/ws", nil)
	_, err = plain.State(t.Context(), id)
	require.ErrorIs(t, err, client.ErrNotFound)
}

// TestStateOfAnOwnPrompt: a grant without a client lets the request say which client it is.
func TestStateOfAnOwnPrompt(t *testing.T) {
	s := newHost(t, &comfy.Options{Authorize: func(*http.Request) (nodebus.Grant, error) { return nodebus.Grant{}, nil }})
	c := dial(t, s.URL+"/ws", &client.Options{ID: "me"})
	id := submit(t, c, node("Say"))
	_, err := c.Wait(t.Context(), id)
	require.NoError(t, err)
	run, err := c.State(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, nodebus.Succeeded, run.State)
	other := dial(t, s.URL+"/ws", &client.Options{ID: "other"})
	_, err = other.State(t.Context(), id)
	require.ErrorIs(t, err, client.ErrNotFound)
}
