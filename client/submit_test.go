package client_test

import (
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

func TestSubmitAndFollow(t *testing.T) {
	onBoth(t, func(t *testing.T, s server, c *client.Client) {
		id := submit(t, c, node("Say"))
		require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, id)
		var shown nodebus.UI
		for ev, err := range c.Follow(deadline(t), id) {
			require.NoError(t, err)
			if p, ok := ev.Payload.(nodebus.Executed); ok {
				shown = p.Output
			}
		}
		require.Equal(t, nodebus.Text("hello"), shown)
	})
}

// TestSubmitSendsThePrompt looks at what the server has of a prompt.
func TestSubmitSendsThePrompt(t *testing.T) {
	onBoth(t, func(t *testing.T, s server, c *client.Client) {
		first := submit(t, c, node("Rest"))
		begun(t, c, first)
		p := node("Say")
		p.ID, p.Priority, p.Outputs, p.Extra = "mine / 1", -2.5, []string{"1"}, map[string]any{"extra_pnginfo": map[string]any{"a": 1.0}, "client_id": "other"}
		before := *p
		require.Equal(t, "mine / 1", submit(t, c, p))
		require.Equal(t, before, *p)
		_, waiting, err := c.Queue(t.Context())
		require.NoError(t, err)
		require.Len(t, waiting, 1)
		got := waiting[0]
		require.Equal(t, "mine / 1", got.ID)
		require.Equal(t, -2.5, got.Priority)
		require.Equal(t, c.ID(), got.ClientID)
		require.Equal(t, []string{"1"}, got.Outputs)
		require.Equal(t, "Say", got.Nodes[0].Class)
		require.Equal(t, "hello", got.Nodes[0].Inputs["text"])
		require.False(t, got.Created.IsZero())
		s.wake(first)
		s.settle()
	})
}

func TestSubmitRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, _ server, c *client.Client) {
		id, err := c.Submit(t.Context(), node("Bad"))
		require.Empty(t, id)
		var invalid *nodebus.ValidationError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, "prompt_outputs_failed_validation", invalid.Type)
		require.Equal(t, "Bad", invalid.Nodes["1"].Class)
		require.Equal(t, "required_input_missing", invalid.Nodes["1"].Errors[0].Type)
		var refused *client.RefusedError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, 400, refused.Status)
		require.Regexp(t, `^client: the server refused the prompt with status 400: Prompt outputs failed validation; node 1 \(Bad\): Required input is missing: \w+$`, err.Error())
	})
	c := dial(t, newHost(t, nil).URL+"/ws", nil)
	for _, p := range []*nodebus.Prompt{{}, {Nodes: nodebus.Nodes{{ID: "1", Class: "None"}}}} {
		var invalid *nodebus.ValidationError
		_, err := c.Submit(t.Context(), p)
		require.ErrorAs(t, err, &invalid)
	}
	p := node("Rest")
	p.Policy = nodebus.Policy{Timeout: time.Second}
	_, err := c.Submit(t.Context(), p)
	require.ErrorContains(t, err, "has no Policy")
	p = node("Rest")
	p.ID = "taken"
	submit(t, c, p)
	_, err = c.Submit(t.Context(), p)
	require.EqualError(t, err, "client: the server refused the prompt with status 409: prompt_id already exists: "+
		`a prompt "taken" waits, runs or has ended; if it is this prompt, submitted before, then it was accepted; otherwise leave prompt_id out, and the server makes an id, or choose another id`)
}

// TestSubmitToAnOldServer: the server gives the prompt an id of its own.
func TestSubmitToAnOldServer(t *testing.T) {
	s := newComfyUI(t)
	s.oldIDs = true
	c := dial(t, s.URL+"/ws", nil)
	require.Equal(t, "own-2", submit(t, c, node("Say")))
	s.settle()
	o, err := c.Outcome(t.Context(), "own-2")
	require.NoError(t, err)
	require.Equal(t, nodebus.Succeeded, o.State)
}

// TestPartlyRejected: an output of the prompt is not valid, and the rest runs.
func TestPartlyRejected(t *testing.T) {
	onBoth(t, func(t *testing.T, _ server, c *client.Client) {
		g := nodebus.NewGraph()
		g.AddAs("good", "Say", nodebus.Inputs{"text": "hello"})
		g.AddAs("bad", "Bad", nil)
		id := submit(t, c, &nodebus.Prompt{Nodes: g.Nodes()})
		for _, err := range c.Follow(deadline(t), id) {
			require.NoError(t, err)
		}
		o, err := c.Outcome(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, nodebus.Succeeded, o.State)
		require.Equal(t, nodebus.Text("hello"), o.Output("good"))
		var partial *nodebus.PartialError
		require.ErrorAs(t, o.Err(), &partial)
		require.Equal(t, []string{"bad"}, partial.Rejected.Nodes["bad"].DependentOutputs)
	})
}
