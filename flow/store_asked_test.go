package flow_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// deafStore is a store that finds no records while deaf is set, but takes them.
type deafStore struct {
	flow.Store
	deaf  atomic.Bool
	waits bool // until the context ends
}

func newDeafStore(s flow.Store, waits bool) *deafStore {
	d := &deafStore{Store: s, waits: waits}
	d.deaf.Store(true)
	return d
}

func (s *deafStore) Get(ctx context.Context, id string) (flow.Record, error) {
	if !s.deaf.Load() {
		return s.Store.Get(ctx, id)
	}
	if s.waits {
		<-ctx.Done()
		return flow.Record{}, context.Cause(ctx)
	}
	return flow.Record{}, errDisk
}

// bothDeafStores runs a test with a store that says that it fails, and with one that does not
// answer.
func bothDeafStores(t *testing.T, test func(f *fleet, store *deafStore)) {
	t.Helper()
	for name, waits := range map[string]bool{"it says so": false, "it does not answer": true} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) { test(f, newDeafStore(f.store, waits)) })
		})
	}
}

// TestStoreIsDeafAfterTheEnd has a prompt whose end was told, and whose engine has died before it
// took the prompt out of the queue. The store does not say for a while whether there is a record:
// the prompt does not run again, and its end is not told again.
func TestStoreIsDeafAfterTheEnd(t *testing.T) {
	bothDeafStores(t, func(f *fleet, store *deafStore) {
		var runs atomic.Int64
		q := &hookedQueue{Queue: f.queue, done: func(context.Context) error { return errNet }}
		dead := f.engine(&flow.EngineOptions{Executor: countingRuns(&runs), Queue: q})
		tape := f.record()
		stop := f.run(dead)
		require.Equal(t, nodebus.Succeeded, f.ended(f.submit(dead, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})))
		stop()
		f.run(f.engine(&flow.EngineOptions{Executor: countingRuns(&runs), Store: store}))
		time.Sleep(time.Hour)
		require.Equal(t, []string{"+p"}, queued(t, f.queue.List(f.ctx)), "the prompt keeps its lease")
		store.deaf.Store(false)
		time.Sleep(longer)
		types, _ := tape.of("p")
		require.Equal(t, toldOnce, types)
		require.EqualValues(t, 1, runs.Load())
		rec, err := f.store.Get(f.ctx, "p")
		require.NoError(t, err)
		require.Equal(t, 1, rec.Attempt)
		require.Empty(t, queued(t, f.queue.List(f.ctx)))
	})
}

// TestStoreIsDeafBeforeTheStart has a prompt that has not ended: it runs when the store says so.
func TestStoreIsDeafBeforeTheStart(t *testing.T) {
	bothDeafStores(t, func(f *fleet, store *deafStore) {
		var runs atomic.Int64
		e := f.engine(&flow.EngineOptions{Executor: countingRuns(&runs), Store: store})
		f.run(e)
		s := f.submit(e, &nodebus.Prompt{Nodes: shown("x")})
		time.Sleep(time.Hour)
		require.Zero(t, runs.Load())
		store.deaf.Store(false)
		o, err := s.Wait(f.ctx)
		require.NoError(t, err)
		require.Equal(t, 1, o.Attempt)
		require.EqualValues(t, 1, runs.Load())
	})
}

// TestInterruptWhileTheStoreIsDeaf interrupts a prompt that waits for the store, here and from
// another engine: it ends without the answer.
func TestInterruptWhileTheStoreIsDeaf(t *testing.T) {
	for name, elsewhere := range map[string]bool{"here": false, "elsewhere": true} {
		t.Run(name, func(t *testing.T) {
			bothDeafStores(t, func(f *fleet, store *deafStore) {
				var runs atomic.Int64
				e := f.engine(&flow.EngineOptions{Executor: countingRuns(&runs), Store: store})
				f.run(e)
				s := f.submit(e, &nodebus.Prompt{Nodes: shown("x")})
				time.Sleep(time.Minute)
				began := time.Now()
				if elsewhere {
					require.True(t, interrupt(f.engine(nil), s.ID))
				} else {
					require.True(t, interrupt(e, s.ID))
				}
				require.Equal(t, nodebus.Interrupted, f.ended(s))
				require.LessOrEqual(t, time.Since(began), 31*time.Second)
				require.Zero(t, runs.Load())
			})
		})
	}
}

// TestRunEndsWhileTheStoreIsDeaf ends Run while a prompt waits for the store: the prompt goes back
// to the queue at once, and the attempt does not count.
func TestRunEndsWhileTheStoreIsDeaf(t *testing.T) {
	bothDeafStores(t, func(f *fleet, store *deafStore) {
		var runs atomic.Int64
		e := f.engine(&flow.EngineOptions{Executor: countingRuns(&runs), Store: store})
		stop := f.run(e)
		s := f.submit(e, &nodebus.Prompt{Nodes: shown("x")})
		time.Sleep(time.Minute)
		began := time.Now()
		stop()
		require.Zero(t, time.Since(began))
		require.Equal(t, []string{s.ID}, queued(t, f.queue.List(f.ctx)))
		store.deaf.Store(false)
		f.run(f.engine(&flow.EngineOptions{Executor: countingRuns(&runs)}))
		o, err := s.Wait(f.ctx)
		require.NoError(t, err)
		require.Equal(t, 1, o.Attempt)
		require.EqualValues(t, 1, runs.Load())
	})
}

// TestDeleteAfterTheStoreWasDeaf deletes a prompt that was taken and given back, because the store
// did not answer. Clients have not seen its start: it leaves no record, and they see no end.
func TestDeleteAfterTheStoreWasDeaf(t *testing.T) {
	bothDeafStores(t, func(f *fleet, store *deafStore) {
		e := f.engine(&flow.EngineOptions{Store: store})
		tape := f.record()
		stop := f.run(e)
		s := f.submit(e, &nodebus.Prompt{Nodes: shown("x")})
		time.Sleep(time.Minute)
		stop()
		gone, err := e.Delete(f.ctx, s.ID)
		require.NoError(t, err)
		require.Equal(t, []string{s.ID}, gone)
		_, err = s.Wait(f.ctx)
		require.ErrorIs(t, err, flow.ErrNotFound)
		types, _ := tape.of(s.ID)
		require.Empty(t, types)
		_, err = f.store.Get(f.ctx, s.ID)
		require.ErrorIs(t, err, flow.ErrNotFound)
	})
}

// TestLeaseIsLostWhileTheStoreIsDeaf has an engine that loses its lease while it waits for the
// store: another engine runs the prompt, and the first says nothing.
func TestLeaseIsLostWhileTheStoreIsDeaf(t *testing.T) {
	bothDeafStores(t, func(f *fleet, store *deafStore) {
		var here, there atomic.Int64
		lost := f.engine(&flow.EngineOptions{Executor: countingRuns(&here), Queue: cutOff(f.queue), Store: store})
		tape := f.record()
		stop := f.run(lost)
		s := f.submit(lost, &nodebus.Prompt{Nodes: shown("x")})
		time.Sleep(time.Second)
		lost.Pause()
		f.run(f.engine(&flow.EngineOptions{Executor: countingRuns(&there)}))
		time.Sleep(longer)
		store.deaf.Store(false)
		time.Sleep(longer)
		stop()
		types, attempts := tape.of(s.ID)
		require.Equal(t, toldOnce, types)
		require.Equal(t, []int{2, 2, 2, 2}, attempts)
		require.Equal(t, []int64{0, 1}, []int64{here.Load(), there.Load()})
	})
}

// TestWaitWhileTheStoreIsDeaf has a prompt that ends in another engine. Wait asks the store again,
// and does not say that there is no record as long as the store does not say so.
func TestWaitWhileTheStoreIsDeaf(t *testing.T) {
	for name, c := range map[string]struct {
		lasts time.Duration
		err   error
	}{
		"for a moment": {10 * time.Second, nil},
		"for long":     {time.Hour, errDisk},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				store := newDeafStore(f.store, false)
				e := f.engine(&flow.EngineOptions{Store: store})
				s := f.submit(e, &nodebus.Prompt{Nodes: shown("x")})
				time.AfterFunc(c.lasts, func() { store.deaf.Store(false) })
				f.run(f.engine(nil))
				o, err := s.Wait(f.ctx)
				require.ErrorIs(t, err, c.err)
				require.NotErrorIs(t, err, flow.ErrNotFound)
				require.Equal(t, c.err == nil, o.State == nodebus.Succeeded)
			})
		})
	}
}

// TestInterruptAfterTheEndWhileTheStoreIsDeaf interrupts a prompt that waits again although it has
// a record. While the store does not say so, nobody hears of an interrupt.
func TestInterruptAfterTheEndWhileTheStoreIsDeaf(t *testing.T) {
	for name, long := range map[string]time.Duration{"for a moment": 10 * time.Second, "for long": time.Hour} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				tape := f.record()
				f.waitsAgain("p")
				for q, err := range f.queue.List(f.ctx) {
					require.NoError(t, err)
					rec := flow.Record{Prompt: q.Prompt, Attempt: 1, State: nodebus.Succeeded, Success: &nodebus.ExecutionSuccess{PromptID: "p"}}
					require.NoError(t, f.store.Put(f.ctx, rec))
				}
				store := newDeafStore(f.store, false)
				e := f.engine(&flow.EngineOptions{Store: store})
				time.AfterFunc(long, func() { store.deaf.Store(false) })
				found, err := e.Interrupt(f.ctx, "p")
				require.True(t, found)
				require.Equal(t, long < time.Minute, err == nil, err)
				time.Sleep(long)
				f.run(e)
				time.Sleep(longer)
				types, _ := tape.of("p")
				require.Equal(t, []string{"success", "executing "}, types)
				rec, err := f.store.Get(f.ctx, "p")
				require.NoError(t, err)
				require.Equal(t, nodebus.Succeeded, rec.State)
				require.Empty(t, queued(t, f.queue.List(f.ctx)))
			})
		})
	}
}

// TestLeaseIsLostBeforeTheEndIsStored has an engine that knows how a prompt has ended, and has lost
// its lease. Before the store answers, it loses the lease of the next attempt, too. Nobody else has
// begun the prompt: it does not run again, and ends once.
func TestLeaseIsLostBeforeTheEndIsStored(t *testing.T) {
	bothDeafStores(t, func(f *fleet, store *deafStore) {
		store.deaf.Store(false)
		away := newAwayStore(f.store, false)
		store.Store = away
		var runs atomic.Int64
		var cut atomic.Bool
		cut.Store(true)
		q := &hookedQueue{Queue: f.queue, extend: func(context.Context, int64) error {
			if cut.Load() {
				return errNet
			}
			return nil
		}}
		e := f.engine(&flow.EngineOptions{Executor: countingRuns(&runs), Queue: q, Store: store})
		tape := f.record()
		f.run(e)
		s := f.submit(e, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
		time.Sleep(time.Second)
		store.deaf.Store(true)
		time.Sleep(75 * time.Second) // the third attempt waits for the store
		cut.Store(false)
		away.away.Store(false)
		store.deaf.Store(false)
		require.Equal(t, nodebus.Succeeded, f.ended(s))
		time.Sleep(longer)
		types, attempts := tape.of("p")
		require.Equal(t, toldOnce, types)
		require.Equal(t, []int{1, 1, 1, 1}, attempts)
		require.EqualValues(t, 1, runs.Load())
		require.Empty(t, queued(t, f.queue.List(f.ctx)))
	})
}

// TestSweepDoesNotHoldUpSubmit: another engine has deleted many prompts, and the store does not
// answer when this engine looks what has become of them. Submit does not wait for that.
func TestSweepDoesNotHoldUpSubmit(t *testing.T) {
	bothDeafStores(t, func(f *fleet, store *deafStore) {
		f.queue = flow.NewQueue(&flow.QueueOptions{PerClient: 10_000})
		e := f.engine(&flow.EngineOptions{Store: store})
		var ids []string
		var last *flow.Submission
		for range 1023 {
			last = f.submit(e, &nodebus.Prompt{Nodes: shown("x")})
			ids = append(ids, last.ID)
		}
		_, err := f.engine(nil).Delete(f.ctx, ids...)
		require.NoError(t, err)
		began := time.Now()
		f.submit(e, &nodebus.Prompt{Nodes: shown("x")})
		require.Zero(t, time.Since(began))
		store.deaf.Store(false)
		_, err = last.Wait(f.ctx)
		require.ErrorIs(t, err, flow.ErrNotFound)
	})
}

// TestSubmitEndsWhileTheStoreIsDeaf: another engine has deleted a prompt, and its id is used again
// while the store does not answer. Submit ends with its context.
func TestSubmitEndsWhileTheStoreIsDeaf(t *testing.T) {
	bothDeafStores(t, func(f *fleet, store *deafStore) {
		e := f.engine(&flow.EngineOptions{Store: store})
		store.deaf.Store(false)
		f.submit(e, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
		_, err := f.engine(nil).Delete(f.ctx, "p")
		require.NoError(t, err)
		store.deaf.Store(true)
		ctx, cancel := context.WithTimeout(f.ctx, time.Second)
		defer cancel()
		began := time.Now()
		_, err = submit(e, ctx, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		store.deaf.Store(false)
		time.Sleep(longer)
		f.submit(e, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
	})
}
