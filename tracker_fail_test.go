package nodebus_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// keptPayloads keeps what is published to it. A tracker publishes one event at a time.
type keptPayloads []nodebus.Payload

func (p *keptPayloads) Publish(ev nodebus.Event) error {
	*p = append(*p, ev.Payload)
	return nil
}

// TestTrackerOfAPromptThatGoesOn: nodes fail, and the prompt goes on.
func TestTrackerOfAPromptThatGoesOn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var events keptPayloads
		job := &nodebus.Job{Prompt: &nodebus.Prompt{ID: "p", Nodes: nodebus.Nodes{{ID: "a"}, {ID: "b"}, {ID: "c"}}}}
		tr := nodebus.NewTracker(job, &events)
		tr.Cached(nil)
		for n := range 3 {
			tr.Begin(n)
		}
		require.NoError(t, tr.Progress(1, 1, 4))
		tr.Fail(0, nil) // the first error, which ends the prompt later
		tr.Fail(1, &nodebus.NodeFailed{Class: "B", ExceptionMessage: "boom\n"})
		require.ErrorIs(t, tr.Progress(1, 2, 4), nodebus.ErrClosed, "the node has ended")
		tr.Finish(2)
		tr.Done(2, nodebus.NodeDone{Duration: time.Second})
		tr.Close(errors.New("a has failed"))
		tr.Fail(2, &nodebus.NodeFailed{})
		tr.Done(2, nodebus.NodeDone{})

		var failed []nodebus.NodeFailed
		var done []nodebus.NodeDone
		states := map[string]string{}
		for _, p := range events {
			switch p := p.(type) {
			case nodebus.NodeFailed:
				failed = append(failed, p)
			case nodebus.NodeDone:
				done = append(done, p)
			case nodebus.ProgressState:
				for _, n := range p.Nodes() {
					states[n.UniqueID] = n.State
				}
			}
		}
		at := func(id string) nodebus.Place { return nodebus.Place{UniqueID: id}.WithDefaults() }
		require.Equal(t, []nodebus.NodeFailed{{Place: at("b"), PromptID: "p", Class: "B", ExceptionMessage: "boom\n"}}, failed)
		require.Equal(t, []nodebus.NodeDone{{Place: at("c"), PromptID: "p", Duration: time.Second}}, done)
		require.Equal(t, map[string]string{"a": "error", "b": "error", "c": "finished"}, states)
	})
}
