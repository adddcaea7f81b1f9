package flow_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// awayStore is a store that takes no records while away is set.
type awayStore struct {
	flow.Store
	away  atomic.Bool
	waits bool // until the context ends
	puts  atomic.Int64
}

func newAwayStore(s flow.Store, waits bool) *awayStore {
	a := &awayStore{Store: s, waits: waits}
	a.away.Store(true)
	return a
}

var errDisk = errors.New("the disk is full")

func (s *awayStore) Put(ctx context.Context, r flow.Record) error {
	s.puts.Add(1)
	if !s.away.Load() {
		return s.Store.Put(ctx, r)
	}
	if s.waits {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return errDisk
}

// countingRuns is an executor that succeeds at once, and counts.
func countingRuns(runs *atomic.Int64) executorFunc {
	return func(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
		runs.Add(1)
		return nodebus.Report{}, nil
	}
}

var toldOnce = []string{"start", "cached", "success", "executing "}

// TestStoreIsAway has a store that takes no record for a long time when a prompt ends:
// nobody hears of an end without a record, and the prompt does not run again.
func TestStoreIsAway(t *testing.T) {
	for name, c := range map[string]struct {
		waits   bool
		lapses  bool // the queue is away, too: the lease lapses, and the prompt is taken again
		attempt int  // that clients hear of
		at      string
	}{
		"and says so":                    {false, false, 1, "+p"},
		"and does not answer":            {true, false, 1, "+p"},
		"and says so, and the queue":     {false, true, 1, "p"},
		"and does not answer, and queue": {true, true, 1, "p"},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				var runs atomic.Int64
				var away atomic.Bool
				away.Store(c.lapses)
				q := &hookedQueue{Queue: f.queue, extend: func(context.Context, int64) error {
					if away.Load() {
						return errNet
					}
					return nil
				}, take: func(ctx context.Context, _ func(string) bool, n int64) (flow.Lease, error) {
					for n > 1 && away.Load() {
						time.Sleep(time.Second)
					}
					return nil, ctx.Err()
				}}
				store := newAwayStore(f.store, c.waits)
				e := f.engine(&flow.EngineOptions{Executor: countingRuns(&runs), Queue: q, Store: store})
				tape := f.record()
				f.run(e)
				s := f.submit(e, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})
				time.Sleep(time.Hour)
				types, _ := tape.of("p")
				require.Equal(t, []string{"start", "cached"}, types, "nobody is told an end without a record")
				require.Equal(t, []string{c.at}, queued(t, f.queue.List(f.ctx)))
				away.Store(false)
				time.Sleep(time.Minute)
				types, _ = tape.of("p")
				require.Equal(t, []string{"start", "cached"}, types)
				require.Equal(t, []string{"+p"}, queued(t, f.queue.List(f.ctx)))
				store.away.Store(false)
				o, err := s.Wait(f.ctx)
				require.NoError(t, err)
				require.Equal(t, nodebus.Succeeded, o.State)
				time.Sleep(longer)
				types, attempts := tape.of("p")
				require.Equal(t, toldOnce, types)
				require.Equal(t, []int{c.attempt, c.attempt, c.attempt, c.attempt}, attempts)
				rec, err := f.store.Get(f.ctx, "p")
				require.NoError(t, err)
				require.Equal(t, []int{c.attempt, c.attempt}, []int{rec.Attempt, rec.Start.Attempt})
				require.Empty(t, queued(t, f.queue.List(f.ctx)))
				require.EqualValues(t, 1, runs.Load())
			})
		})
	}
}

// TestStoreIsAwayHere has an engine that loses its store and its lease: another engine runs
// the prompt again, and the first says nothing.
func TestStoreIsAwayHere(t *testing.T) {
	inFleet(t, func(f *fleet) {
		var here, there atomic.Int64
		store := newAwayStore(f.store, false)
		lost := f.engine(&flow.EngineOptions{Executor: countingRuns(&here), Queue: cutOff(f.queue), Store: store})
		other := f.engine(&flow.EngineOptions{Executor: countingRuns(&there)})
		tape := f.record()
		f.run(lost)
		s := f.submit(lost, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})
		synctest.Wait()
		lost.Pause()
		f.run(other)
		o, err := s.Wait(f.ctx)
		require.NoError(t, err)
		require.Equal(t, 2, o.Attempt)
		store.away.Store(false)
		puts := store.puts.Load()
		time.Sleep(longer)
		types, attempts := tape.of("p")
		require.Equal(t, append([]string{"start", "cached"}, toldOnce...), types)
		require.Equal(t, []int{1, 1, 2, 2, 2, 2}, attempts)
		rec, err := f.store.Get(f.ctx, "p")
		require.NoError(t, err)
		require.Equal(t, 2, rec.Attempt)
		require.Equal(t, []int64{1, 1, puts}, []int64{here.Load(), there.Load(), store.puts.Load()})
	})
}

// TestRunEndsWhileTheStoreIsAway ends Run while a prompt has no record. Run does not wait for
// ever, and the prompt stays in the queue: for the same engine, which only stores the record,
// or for another process, which runs it again.
func TestRunEndsWhileTheStoreIsAway(t *testing.T) {
	for name, c := range map[string]struct {
		waits, other bool
		runs         int64
	}{
		"the same engine":                    {false, false, 1},
		"the same engine, without an answer": {true, false, 1},
		"another engine":                     {false, true, 2},
		"another engine, without an answer":  {true, true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			again(t, 10, func(f *fleet) { // the parts of the engine hear of the end of Run in any order
				var runs atomic.Int64
				store := newAwayStore(f.store, c.waits)
				e := f.engine(&flow.EngineOptions{Executor: countingRuns(&runs), Store: store})
				tape := f.record()
				stop := f.run(e)
				s := f.submit(e, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})
				time.Sleep(time.Minute)
				began := time.Now()
				stop()
				require.Equal(t, 30*time.Second, time.Since(began))
				require.Equal(t, []string{"p"}, queued(t, f.queue.List(f.ctx)), "it waits at once")
				store.away.Store(false)
				if c.other {
					e = f.engine(&flow.EngineOptions{Executor: countingRuns(&runs)})
				}
				f.run(e)
				require.Equal(t, nodebus.Succeeded, f.ended(s))
				types, _ := tape.of("p")
				require.Equal(t, toldOnce, types[len(types)-len(toldOnce):])
				require.Equal(t, c.runs, runs.Load())
				require.Empty(t, queued(t, f.queue.List(f.ctx)))
			})
		})
	}
}

// TestStoreIsAwayAfterRun has an executor that returns 20 s after the end of Run: from then
// on, the store has 30 s.
func TestStoreIsAwayAfterRun(t *testing.T) {
	inFleet(t, func(f *fleet) {
		exec := executorFunc(func(ctx context.Context, _ nodebus.Job, _ nodebus.Publisher) (nodebus.Report, error) {
			<-ctx.Done()
			time.Sleep(20 * time.Second)
			return nodebus.Report{}, nil
		})
		e := f.engine(&flow.EngineOptions{Executor: exec, Store: newAwayStore(f.store, false)})
		stop := f.run(e)
		f.submit(e, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
		time.Sleep(time.Second)
		began := time.Now()
		stop()
		require.Equal(t, 50*time.Second, time.Since(began))
		require.Equal(t, []string{"p"}, queued(t, f.queue.List(f.ctx)))
	})
}

// again runs a test with n fleets, one after the other.
func again(t *testing.T, n int, test func(f *fleet)) {
	t.Helper()
	for range n {
		inFleet(t, test)
	}
}

// TestInterruptWhileTheStoreIsAway interrupts a prompt that waits. Without a record nobody
// hears of it, and the caller gets the error; the prompt ends as interrupted when it is taken.
func TestInterruptWhileTheStoreIsAway(t *testing.T) {
	for name, waits := range map[string]bool{"it says so": false, "it does not answer": true} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				var runs atomic.Int64
				store := newAwayStore(f.store, waits)
				e := f.engine(&flow.EngineOptions{Executor: countingRuns(&runs), Store: store})
				tape := f.record()
				s := f.submit(e, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})
				began := time.Now()
				found, err := e.Interrupt(f.ctx, "p")
				require.True(t, found)
				require.ErrorContains(t, err, "storing the record of prompt p")
				require.LessOrEqual(t, time.Since(began), 30*time.Second)
				types, _ := tape.of("p")
				require.Empty(t, types)
				require.Equal(t, []string{"p"}, queued(t, f.queue.List(f.ctx)))
				store.away.Store(false)
				f.run(e)
				require.Equal(t, nodebus.Interrupted, f.ended(s))
				require.Zero(t, runs.Load())
				rec, err := f.store.Get(f.ctx, "p")
				require.NoError(t, err)
				require.Equal(t, nodebus.Interrupted, rec.State)
			})
		})
	}
}

// TestSubmitWhileTheStoreIsAway submits the id of a prompt whose end has no record.
func TestSubmitWhileTheStoreIsAway(t *testing.T) {
	inFleet(t, func(f *fleet) {
		var runs atomic.Int64
		store := newAwayStore(f.store, false)
		e := f.engine(&flow.EngineOptions{Executor: countingRuns(&runs), Store: store})
		stop := f.run(e)
		s := f.submit(e, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
		time.Sleep(time.Minute)
		again := make(chan error, 1)
		go func() {
			_, err := e.Submit(f.ctx, &nodebus.Prompt{ID: "p", Nodes: shown("x")}, nil)
			again <- err
		}()
		synctest.Wait()
		stop()
		require.ErrorIs(t, <-again, flow.ErrDuplicate, "the prompt waits again")
		store.away.Store(false)
		f.run(e)
		require.Equal(t, nodebus.Succeeded, f.ended(s))
	})
}

// TestStoreThatIsClosed closes the store while the engine runs: to try again would not help.
func TestStoreThatIsClosed(t *testing.T) {
	inFleet(t, func(f *fleet) {
		var runs atomic.Int64
		e := f.engine(&flow.EngineOptions{Executor: countingRuns(&runs), Store: closedStore{f.store}})
		tape := f.record()
		stop := f.run(e)
		f.submit(e, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
		time.Sleep(time.Second)
		began := time.Now()
		stop()
		require.Zero(t, time.Since(began), "Run does not wait for the store")
		types, _ := tape.of("p")
		require.Equal(t, []string{"start", "cached"}, types)
		time.Sleep(longer)
		require.Equal(t, []string{"p"}, queued(t, f.queue.List(f.ctx)))
	})
}

type closedStore struct{ flow.Store }

func (closedStore) Put(context.Context, flow.Record) error { return nodebus.ErrClosed }

// jsonStore keeps only records that have JSON, as stores on a disk do.
type jsonStore struct{ flow.Store }

func (s jsonStore) Put(ctx context.Context, r flow.Record) error {
	for i := range r.Outputs {
		for _, list := range r.Outputs[i].UI {
			for _, v := range list {
				if _, is := v.(chan int); is {
					return errors.New("no JSON")
				}
			}
		}
	}
	return s.Store.Put(ctx, r)
}

// TestRecordWithoutJSON has an output that no store on a disk can keep: the prompt fails,
// and its record says why.
func TestRecordWithoutJSON(t *testing.T) {
	inFleet(t, func(f *fleet) {
		exec := executorFunc(func(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
			return nodebus.Report{Outputs: []nodebus.NodeOutput{{UI: nodebus.UI{"x": []any{make(chan int)}}}}}, nil
		})
		e := f.engine(&flow.EngineOptions{Executor: exec, Store: jsonStore{f.store}})
		tape := f.record()
		f.run(e)
		s := f.submit(e, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
		require.Equal(t, nodebus.Failed, f.ended(s))
		rec, err := f.store.Get(f.ctx, "p")
		require.NoError(t, err)
		require.Contains(t, rec.Error.ExceptionMessage, "the record could not be stored: json: ")
		require.True(t, rec.Reduced)
		types, _ := tape.of("p")
		require.Equal(t, "executing ", types[len(types)-1])
		require.NotContains(t, types, "success")
	})
}
