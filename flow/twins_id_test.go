package flow_test

import (
	"context"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// swappingQueue replaces a prompt by a new one with the same id, just before it gives the prompt
// out: the first has ended elsewhere, and its record was deleted.
type swappingQueue struct {
	flow.Queue
	t    *testing.T
	left int // how often it does so
}

func (q *swappingQueue) TakeOne(ctx context.Context, id string) (flow.Lease, error) {
	if q.left--; q.left >= 0 {
		old, err := q.Queue.TakeOne(ctx, id)
		require.NoError(q.t, err)
		require.NoError(q.t, old.Done(ctx))
		anew := &nodebus.Prompt{ID: id, ClientID: "me", Nodes: shown("new"), Created: old.Job().Prompt.Created.Add(time.Second)}
		require.NoError(q.t, q.Queue.Push(ctx, anew, nil))
	}
	return q.Queue.TakeOne(ctx, id)
}

// TestEndOfAnotherPromptWithTheID ends a prompt whose id is used again at the same moment: the
// end is not for the new prompt.
func TestEndOfAnotherPromptWithTheID(t *testing.T) {
	for name, end := range map[string]func(f *fleet, e *flow.Engine){
		"a deadline": func(f *fleet, e *flow.Engine) {
			f.submit(e, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x"), Policy: nodebus.Policy{Deadline: time.Now().Add(time.Minute)}})
		},
		"a deadline of another engine": func(f *fleet, _ *flow.Engine) {
			at := time.Now().Add(time.Minute)
			p := &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x"), Created: time.Now(), Policy: nodebus.Policy{Deadline: at}}
			require.NoError(f.t, f.queue.Push(f.ctx, p, nil))
		},
		"an interrupt between two attempts": func(f *fleet, e *flow.Engine) {
			e.Resume()
			f.betweenAttempts(e, nodebus.Policy{})
			e.Pause()
			require.NoError(f.t, f.sigs.Send(f.ctx, flow.Signal{PromptID: "p", Interrupt: true}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				e := f.engine(&flow.EngineOptions{Queue: &swappingQueue{f.queue, t, 1}})
				e.Pause()
				f.run(e)
				end(f, e)
				time.Sleep(longer)
				_, err := f.store.Get(f.ctx, "p")
				require.ErrorIs(t, err, flow.ErrNotFound)
				var left []flow.Queued
				for q, err := range f.queue.List(f.ctx) {
					require.NoError(t, err)
					left = append(left, q)
				}
				require.Len(t, left, 1)
				require.Equal(t, shown("new"), left[0].Prompt.Nodes)
				require.Equal(t, 1, left[0].Attempt)
			})
		})
	}
}
