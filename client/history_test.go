package client_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

func TestOutcome(t *testing.T) {
	onBoth(t, func(t *testing.T, s server, c *client.Client) {
		ids := map[string]string{}
		for _, class := range []string{"Say", "Fail", "Rest"} {
			ids[class] = submit(t, c, node(class))
		}
		for ev, err := range c.Follow(deadline(t), ids["Rest"]) {
			require.NoError(t, err)
			if p, ok := ev.Payload.(nodebus.Executing); ok && p.UniqueID == "1" {
				require.NoError(t, c.Interrupt(t.Context(), ids["Rest"]))
			}
		}
		o, err := c.Outcome(t.Context(), ids["Say"])
		require.NoError(t, err)
		require.Equal(t, ids["Say"], o.PromptID)
		require.Equal(t, nodebus.Succeeded, o.State)
		require.NoError(t, o.Err())
		require.Equal(t, []nodebus.NodeOutput{{Place: nodebus.Place{UniqueID: "1"}.WithDefaults(), UI: nodebus.Text("hello")}}, o.Outputs)

		o, err = c.Outcome(t.Context(), ids["Fail"])
		require.NoError(t, err)
		require.Equal(t, nodebus.Failed, o.State)
		var failed *nodebus.NodeError
		require.ErrorAs(t, o.Err(), &failed)
		require.Equal(t, "Fail", failed.Class)
		require.EqualError(t, failed.Err, "boom")

		o, err = c.Outcome(t.Context(), ids["Rest"])
		require.NoError(t, err)
		require.ErrorIs(t, o.Err(), nodebus.ErrInterrupted)

		all, err := c.History(t.Context(), 0)
		require.NoError(t, err)
		require.Len(t, all, 3)
		require.Equal(t, ids["Say"], all[0].PromptID)
		all, err = c.History(t.Context(), 1)
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.Equal(t, o, all[0])
	})
}

func TestUnknownPrompt(t *testing.T) {
	onBoth(t, func(t *testing.T, _ server, c *client.Client) {
		_, err := c.Outcome(t.Context(), "nobody's")
		require.ErrorIs(t, err, client.ErrNotFound)
		require.EqualError(t, err, "client: the server does not know this prompt: there is no record of prompt nobody's")
		all, err := c.History(t.Context(), 5)
		require.NoError(t, err)
		require.Empty(t, all)
		require.NoError(t, c.Interrupt(t.Context(), "nobody's"))
		require.NoError(t, c.Delete(t.Context(), "nobody's"))
		require.NoError(t, c.Delete(t.Context()))
	})
	c := dial(t, newHost(t, nil).URL+"/ws", nil)
	for _, id := range []string{"", ".", ".."} {
		_, err := c.Outcome(t.Context(), id)
		require.EqualError(t, err, fmt.Sprintf("client: not an id of a prompt: %q cannot be part of a URL", id))
	}
	require.ErrorContains(t, c.Interrupt(t.Context(), ""), "names no prompt")
}

// TestOutcomeHasWhatOnlyNodebusKnows: the server's outcome arrives whole.
func TestOutcomeHasWhatOnlyNodebusKnows(t *testing.T) {
	s := newHost(t, nil)
	c := dial(t, s.URL+"/ws", nil)
	g := nodebus.NewGraph()
	g.AddAs("good", "Say", nodebus.Inputs{"text": "a/b"})
	g.AddAs("ask", "Approve", nil)
	g.AddAs("bad", "Bad", nil)
	id := submit(t, c, &nodebus.Prompt{ID: "a/../b ?#%2F", Nodes: g.Nodes()})
	for ev, err := range c.Follow(deadline(t), id) {
		require.NoError(t, err)
		if q, ok := ev.Payload.(nodebus.Waiting); ok {
			require.NoError(t, c.Refuse(t.Context(), id, q.UniqueID, q.Name, "no money"))
		}
	}
	rec, err := s.engine.Store().Get(t.Context(), id)
	require.NoError(t, err)
	want := rec.Outcome()
	got, err := c.Outcome(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, nodebus.Refused, got.State)
	var refused *nodebus.RefusedError
	require.ErrorAs(t, got.Err(), &refused)
	require.Equal(t, "no money", refused.Reason)
	for i := range want.Nodes { // JSON has no monotonic clock
		require.True(t, want.Nodes[i].Started.Equal(got.Nodes[i].Started))
		require.True(t, want.Nodes[i].Ended.Equal(got.Nodes[i].Ended))
		want.Nodes[i].Started, want.Nodes[i].Ended = got.Nodes[i].Started, got.Nodes[i].Ended
	}
	require.Equal(t, want.Nodes, got.Nodes)
	require.Equal(t, want.Rejected, got.Rejected)
	want.Nodes, got.Nodes = nil, nil
	require.Equal(t, want.Err(), got.Err())
	require.Equal(t, want.Outputs, got.Outputs)
	require.Equal(t, want.Attempt, got.Attempt)
}

func TestAnswers(t *testing.T) {
	c := dial(t, newHost(t, nil).URL+"/ws", nil)
	id := submit(t, c, node("Approve"))
	var misfit error
	client.On(c, func(_ nodebus.Event, q nodebus.Waiting) {
		misfit = c.Answer(t.Context(), id, q.UniqueID, q.Name, "perhaps")
		require.NoError(t, c.Answer(t.Context(), id, q.UniqueID, q.Name, true))
	})
	for _, err := range c.Follow(deadline(t), id) {
		require.NoError(t, err)
	}
	var refused *client.RefusedError
	require.ErrorAs(t, misfit, &refused)
	require.Equal(t, 400, refused.Status)
	require.NotEmpty(t, refused.Text)
	o, err := c.Outcome(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, nodebus.Text("yes"), o.Output("1"))
	err = c.Answer(t.Context(), id, "1", "ok", true)
	require.True(t, errors.As(err, &refused) && refused.Status == 404, err)
}
