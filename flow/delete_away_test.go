package flow_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestDeleteWhileTheStoreIsAway deletes prompts. Some have begun, so that each of
// them needs a record. Without it, they stay in the queue, and the caller gets the error in
// time.
func TestDeleteWhileTheStoreIsAway(t *testing.T) {
	for name, c := range map[string]struct {
		waits   bool          // the store does not answer
		limit   time.Duration // of the caller
		takes   time.Duration
		deleted []string
		stay    []string
	}{
		"it says so":                 {false, time.Hour, 30 * time.Second, []string{"new"}, []string{"a", "b", "c"}},
		"it does not answer":         {true, time.Hour, 30 * time.Second, []string{"new"}, []string{"a", "b", "c"}},
		"a caller with little time":  {false, time.Second, time.Second, nil, []string{"new", "a", "b", "c"}},
		"little time, and no answer": {true, time.Second, time.Second, nil, []string{"new", "a", "b", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				store := newAwayStore(f.store, c.waits)
				e := f.engine(&flow.EngineOptions{Store: store})
				tape := f.record()
				f.submit(e, &nodebus.Prompt{ID: "new", ClientID: "me", Nodes: shown("x")})
				f.waitsAgain("a", "b", "c")
				ctx, cancel := context.WithTimeout(f.ctx, c.limit)
				defer cancel()
				began := time.Now()
				deleted, err := e.Delete(ctx, "a", "b", "new", "c")
				require.ErrorContains(t, err, "storing the record of prompt a")
				require.Equal(t, c.takes, time.Since(began))
				require.Equal(t, c.deleted, deleted)
				require.Equal(t, c.stay, queued(t, f.queue.List(f.ctx)))
				store.away.Store(false)
				var runs atomic.Int64
				f.run(f.engine(&flow.EngineOptions{Executor: countingRuns(&runs)}))
				time.Sleep(longer)
				for _, id := range []string{"a", "b", "c"} {
					types, _ := tape.of(id)
					require.Equal(t, toldOnce, types)
				}
			})
		})
	}
}

// TestDeleteAPauseWhileTheStoreIsAway is the same for a prompt that waits for its next
// attempt in the engine.
func TestDeleteAPauseWhileTheStoreIsAway(t *testing.T) {
	inFleet(t, func(f *fleet) {
		store := newAwayStore(f.store, false)
		e := f.engine(&flow.EngineOptions{Store: store})
		f.run(e)
		s := f.betweenAttempts(e, nodebus.Policy{RetryAfter: time.Hour})
		e.Pause()
		ctx, cancel := context.WithTimeout(f.ctx, time.Second)
		defer cancel()
		began := time.Now()
		deleted, err := e.Delete(ctx, "p")
		require.ErrorContains(t, err, "storing the record of prompt p")
		require.Equal(t, time.Second, time.Since(began))
		require.Empty(t, deleted)
		require.Equal(t, []string{"p"}, queued(t, f.queue.List(f.ctx)))
		store.away.Store(false)
		e.Resume()
		require.Equal(t, nodebus.Interrupted, f.ended(s))
	})
}

// TestDeleteOfAPromptThatBeginsMeanwhile has an attempt of a prompt that begins, and fails,
// while the prompt is deleted. The store is away: the prompt ends without a record, because
// it is not in the queue any more.
func TestDeleteOfAPromptThatBeginsMeanwhile(t *testing.T) {
	inFleet(t, func(f *fleet) {
		store := newAwayStore(f.store, false)
		var e *flow.Engine
		exec := executorFunc(func(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
			e.Pause()
			return nodebus.Report{}, errors.New("fails")
		})
		q := &hookedQueue{Queue: f.queue, deletes: func(int64) { e.Resume(); synctest.Wait() }}
		e = f.engine(&flow.EngineOptions{Executor: exec, Store: store, Queue: q})
		e.Pause()
		tape := f.record()
		f.run(e)
		s := f.submit(e, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x"), Policy: nodebus.Policy{Retries: 1}})
		ctx, cancel := context.WithTimeout(f.ctx, time.Second)
		defer cancel()
		deleted, err := e.Delete(ctx, "p")
		require.NoError(t, err)
		require.Equal(t, []string{"p"}, deleted)
		require.Equal(t, nodebus.Interrupted, f.ended(s))
		types, _ := tape.of("p")
		require.Equal(t, []string{"start", "cached", "interrupted ", "executing "}, types)
		_, err = f.store.Get(f.ctx, "p")
		require.ErrorIs(t, err, flow.ErrNotFound)
	})
}

// TestDeleteWithoutAList has a queue that cannot be listed: nobody knows which of the prompts
// have begun, and they stay in the queue.
func TestDeleteWithoutAList(t *testing.T) {
	inFleet(t, func(f *fleet) {
		e := f.engine(&flow.EngineOptions{Queue: listless{f.queue}})
		f.waitsAgain("p")
		deleted, err := e.Delete(f.ctx, "p")
		require.ErrorIs(t, err, errNet)
		require.Empty(t, deleted)
		require.Equal(t, []string{"p"}, queued(t, f.queue.List(f.ctx)))
	})
}

type listless struct{ flow.Queue }

func (listless) List(context.Context, ...string) iter.Seq2[flow.Queued, error] {
	return func(yield func(flow.Queued, error) bool) { yield(flow.Queued{}, errNet) }
}
