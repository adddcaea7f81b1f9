package nats_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Agree is a node that asks for a number.
type Agree struct{}

// Run shows the number.
func (Agree) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	n, err := nodebus.Await[int](ctx, "number", nil)
	return nodebus.Text(fmt.Sprint(n)), err
}

// machine is an engine with all parts of a bus. If it runs, it takes prompts.
func machine(t *testing.T, bus *nats.Bus, runs bool) (*flow.Engine, *nodebus.Hub) {
	hub := nodebus.NewHub(&nodebus.HubOptions{Log: bus.Log()})
	t.Cleanup(func() { _ = hub.Close() })
	r := flow.NewRegistry()
	flow.Register(r, Agree{}, nodebus.Info{})
	e := flow.NewEngine(r, hub, &flow.EngineOptions{Queue: bus.Queue(), Store: bus.Store(), Signals: bus.Signals(), Parallel: 4, Logger: quiet})
	if runs {
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		t.Cleanup(func() {
			stop()
			require.ErrorIs(t, <-ended, context.Canceled)
		})
	}
	return e, hub
}

// TestAnswersReachTheNode submits prompts at a process that runs none, and answers there
// the questions that nodes ask in the other process. The record is read there, too.
func TestAnswersReachTheNode(t *testing.T) {
	a, b := two(t, nats.Options{})
	here, hub := machine(t, a, false)
	machine(t, b, true)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := hub.Subscribe(ctx)
	g := nodebus.NewGraph()
	g.AddAs("7", "Agree", nil)
	for _, id := range []string{"early", "answered", "refused", "interrupted"} {
		if id == "early" {
			require.ErrorIs(t, here.Answer(t.Context(), id, "7", "number", 1), flow.ErrNotFound)
		}
		_, err := here.Submit(t.Context(), &nodebus.Prompt{ID: id, ClientID: "c", Nodes: g.Nodes()}, nil)
		require.NoError(t, err)
		if id == "early" { // before or after the question
			require.NoError(t, here.Answer(t.Context(), id, "7", "number", 1))
		}
	}
	states := map[string]nodebus.State{}
	for ev, err := range events {
		require.NoError(t, err)
		if q, ok := ev.Payload.(nodebus.Waiting); ok {
			switch q.PromptID {
			case "answered":
				require.ErrorIs(t, here.Answer(t.Context(), q.PromptID, q.UniqueID, q.Name, "seven"), flow.ErrAnswer)
				require.NoError(t, here.Answer(t.Context(), q.PromptID, q.UniqueID, q.Name, 7))
			case "refused":
				require.NoError(t, here.Refuse(t.Context(), q.PromptID, q.UniqueID, q.Name, "not today"))
			case "interrupted":
				found, err := here.Interrupt(t.Context(), q.PromptID)
				require.NoError(t, err)
				require.True(t, found)
			}
		}
		switch ev.Payload.(type) {
		case nodebus.ExecutionSuccess, nodebus.ExecutionError, nodebus.ExecutionInterrupted:
			r, err := a.Store().Get(t.Context(), ev.PromptID)
			require.NoError(t, err, "the record comes first")
			states[ev.PromptID] = r.State
		}
		if len(states) == 4 {
			break
		}
	}
	require.Equal(t, map[string]nodebus.State{
		"early": nodebus.Succeeded, "answered": nodebus.Succeeded, "refused": nodebus.Refused, "interrupted": nodebus.Interrupted,
	}, states)
	for id, want := range map[string]string{"early": "1", "answered": "7"} {
		r, err := a.Store().Get(t.Context(), id)
		require.NoError(t, err)
		out := r.Outcome()
		require.Equal(t, nodebus.Text(want), out.Output("7"))
	}
}
