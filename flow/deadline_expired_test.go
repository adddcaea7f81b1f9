package flow_test

import (
	"context"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// expiringQueue is a queue that knows which deadlines have passed, and that is dear to list.
type expiringQueue struct {
	listless
	fails int // calls of Expired
}

func (q *expiringQueue) Expired(ctx context.Context, now time.Time) (ids []string, err error) {
	if q.fails--; q.fails >= 0 {
		return nil, errNet
	}
	for p, err := range q.Queue.List(ctx) {
		if err != nil {
			return nil, err
		}
		if at := p.Prompt.Policy.Deadline; !p.Leased && !at.IsZero() && at.Before(now) {
			ids = append(ids, p.Prompt.ID)
		}
	}
	return ids, nil
}

// TestDeadlinesWithoutAList has a queue that says which deadlines have passed: the engine
// does not list it, and ends the prompts of other processes in time.
func TestDeadlinesWithoutAList(t *testing.T) {
	inFleet(t, func(f *fleet) {
		e := f.engine(&flow.EngineOptions{Queue: &expiringQueue{listless{f.queue}, 1}})
		e.Pause()
		f.run(e)
		p := &nodebus.Prompt{ID: "p", Nodes: shown("x"), Created: time.Now(), Policy: nodebus.Policy{Deadline: time.Now().Add(time.Minute)}}
		require.NoError(t, f.queue.Push(f.ctx, p, nil))
		require.NoError(t, f.queue.Push(f.ctx, &nodebus.Prompt{ID: "stays", Nodes: shown("x")}, nil))
		time.Sleep(time.Minute - time.Second)
		require.Equal(t, []string{"p", "stays"}, queued(t, f.queue.List(f.ctx)))
		time.Sleep(time.Minute)
		require.Equal(t, []string{"stays"}, queued(t, f.queue.List(f.ctx)))
		rec, err := f.store.Get(f.ctx, "p")
		require.NoError(t, err)
		require.Equal(t, "deadline", rec.Error.ExceptionType)
	})
}
