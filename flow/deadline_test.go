package flow_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// failingDelete is a queue from which nothing can be deleted for some times.
type failingDelete struct {
	flow.Queue
	times int
}

func (q *failingDelete) TakeOne(ctx context.Context, id string) (flow.Lease, error) {
	if q.times--; q.times >= 0 {
		return nil, errors.New("the queue is not there")
	}
	return q.Queue.TakeOne(ctx, id)
}

func (q *failingDelete) Delete(ctx context.Context, ids ...string) ([]*nodebus.Prompt, error) {
	if q.times--; q.times >= 0 {
		return nil, errors.New("the queue is not there")
	}
	return q.Queue.Delete(ctx, ids...)
}

// TestDeadlineIsNotForgotten: a prompt ends after its deadline, although it could not be
// ended at the deadline.
func TestDeadlineIsNotForgotten(t *testing.T) {
	// process takes the prompt and dies.
	process := func(f *fleet) {
		_, err := f.queue.Take(f.ctx, func(string) bool { return false })
		require.NoError(f.t, err)
	}
	for name, c := range map[string]struct {
		failures int // of Queue.Delete
		foreign  bool
		runs     bool // the engine runs, but is paused
		taken    bool
		within   time.Duration // after the deadline
	}{
		"the queue fails":                       {failures: 2, within: 4 * time.Second},
		"the queue fails, the engine runs":      {failures: 1, runs: true, within: 2 * time.Second},
		"another process has died":              {taken: true, within: time.Minute},
		"and the engine runs":                   {taken: true, runs: true, within: time.Minute},
		"a prompt of another process waits":     {foreign: true, runs: true, within: time.Minute},
		"both processes have died":              {foreign: true, runs: true, taken: true, within: time.Minute},
		"a foreign prompt, and the queue fails": {foreign: true, runs: true, failures: 1, within: 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				e := f.engine(&flow.EngineOptions{Queue: &failingDelete{f.queue, c.failures}})
				if c.runs {
					e.Pause()
					f.run(e)
				}
				deadline := time.Now().Add(20 * time.Second)
				p := &nodebus.Prompt{ID: "p", Nodes: shown("x"), Policy: nodebus.Policy{Deadline: deadline}}
				if c.foreign {
					p.Created = time.Now()
					require.NoError(t, f.queue.Push(f.ctx, p, nil))
				} else {
					f.submit(e, p)
				}
				if c.taken {
					process(f)
				}
				ctx, cancel := context.WithTimeout(f.ctx, time.Hour)
				defer cancel()
				o, err := e.Wait(ctx, "p")
				require.NoError(t, err)
				require.Equal(t, nodebus.Failed, o.State)
				require.Equal(t, "deadline", o.Error.ExceptionType)
				require.WithinRange(t, time.Now(), deadline, deadline.Add(c.within))
				require.Zero(t, e.Remaining())
			})
		})
	}
}

// TestDeadlineOfATakenForeignPrompt: the engine learns of a prompt when it takes it. The
// lease then lapses, and the engine is paused.
func TestDeadlineOfATakenForeignPrompt(t *testing.T) {
	inFleet(t, func(f *fleet) {
		f.fn("Slow", waitsForEnd)
		q := &lapsing{Queue: f.queue}
		q.lapses.Store(1)
		e := f.engine(&flow.EngineOptions{Queue: q})
		deadline := time.Now().Add(50 * time.Second)
		p := &nodebus.Prompt{ID: "p", Nodes: two("Slow"), Created: time.Now(), Policy: nodebus.Policy{Deadline: deadline}}
		require.NoError(t, f.queue.Push(f.ctx, p, nil))
		stop := f.run(e)
		time.Sleep(time.Second)
		e.Pause()
		time.Sleep(35 * time.Second)
		stop()
		require.Equal(t, []string{"p"}, queued(t, e.Queued(f.ctx)))
		o, err := e.Wait(f.ctx, "p")
		require.NoError(t, err)
		require.Equal(t, nodebus.Failed, o.State)
		require.Equal(t, deadline, time.Now())
	})
}
