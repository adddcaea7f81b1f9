package flow_test

import (
	"context"
	"encoding/json"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// exits is a value that ends the goroutine which makes JSON of it.
type exits struct{}

func (exits) MarshalJSON() ([]byte, error) { runtime.Goexit(); return nil, nil }

// exitingError is an error that ends the goroutine which reads it.
type exitingError struct{}

func (exitingError) Error() string { runtime.Goexit(); return "" }

// failsToExit has no JSON, and an error that ends the goroutine which reads it.
type failsToExit struct{}

func (failsToExit) MarshalJSON() ([]byte, error) { return nil, exitingError{} }

// marshals is a store that makes JSON of records, as stores on a disk do.
type marshals struct{ flow.Store }

func (s marshals) Put(ctx context.Context, r flow.Record) error {
	if _, err := json.Marshal(r); err != nil {
		return err
	}
	return s.Store.Put(ctx, r)
}

// TestRecordThatEndsItsGoroutine has an output whose JSON ends the goroutine that makes it:
// the prompt fails, and the engine goes on.
func TestRecordThatEndsItsGoroutine(t *testing.T) {
	for name, v := range map[string]any{"the value": exits{}, "its error": failsToExit{}} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				exec := executorFunc(func(_ context.Context, j nodebus.Job, _ nodebus.Publisher) (nodebus.Report, error) {
					if j.Prompt.ID == "next" {
						return nodebus.Report{}, nil
					}
					return nodebus.Report{Outputs: []nodebus.NodeOutput{{UI: nodebus.UI{"x": []any{v}}}}}, nil
				})
				e := f.engine(&flow.EngineOptions{Executor: exec, Parallel: 1, Store: marshals{f.store}})
				tape := f.record()
				f.run(e)
				s := f.submit(e, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})
				ctx, cancel := context.WithTimeout(f.ctx, time.Minute)
				defer cancel()
				o, err := s.Wait(ctx)
				require.NoError(t, err)
				require.Equal(t, nodebus.Failed, o.State)
				types, _ := tape.of("p")
				require.Equal(t, "executing ", types[len(types)-1])
				require.Equal(t, nodebus.Succeeded, f.ended(f.submit(e, &nodebus.Prompt{ID: "next", Nodes: shown("x")})))
			})
		})
	}
}

// TestInterruptKeepsItsLease interrupts a prompt while the store is away for longer than a
// lease lasts. Either the interrupt ends the prompt, or another engine that has received the
// interrupt, and never both.
func TestInterruptKeepsItsLease(t *testing.T) {
	for name, c := range map[string]struct {
		get    time.Duration // how long the store takes to say that it has no answer
		put    time.Duration // how long the store takes to store a record, whatever its context
		back   time.Duration // when the store is back
		extend error         // of the lease
		ends   bool          // the interrupt ends the prompt
	}{
		"the store is back in time":   {get: 5 * time.Second, back: 20 * time.Second, ends: true},
		"the store is back too late":  {get: 25 * time.Second, back: 40 * time.Second},
		"the store answers late":      {put: 40 * time.Second, ends: true},
		"the lease lapses, no answer": {get: 25 * time.Second, back: 40 * time.Second, extend: errNet},
		"the lease lapses meanwhile":  {put: 29*time.Second + 500*time.Millisecond, extend: errNet},
		"another engine begins":       {put: 31 * time.Second, extend: errNet},
		"the lease is lost":           {put: 15 * time.Second, extend: flow.ErrLapsed},
		"the lease is lost before":    {get: 25 * time.Second, back: 20 * time.Second, extend: flow.ErrLapsed},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				var runs atomic.Int64
				store := newAwayStore(f.store, false)
				store.away.Store(c.back > 0)
				q := &oneLease{f.queue, c.extend}
				e := f.engine(&flow.EngineOptions{Queue: q, Store: slowStore{store, c.get, c.put}})
				other := f.engine(&flow.EngineOptions{Executor: executorFunc(func(ctx context.Context, _ nodebus.Job, _ nodebus.Publisher) (nodebus.Report, error) {
					runs.Add(1)
					<-ctx.Done()
					return nodebus.Report{}, context.Cause(ctx)
				})})
				tape := f.record()
				f.waitsAgain("p")
				time.AfterFunc(c.back, func() { store.away.Store(false) })
				time.AfterFunc(time.Second, func() { f.run(other) })
				found, err := e.Interrupt(f.ctx, "p")
				require.True(t, found || err != nil)
				require.Equal(t, c.ends, err == nil, err)
				time.Sleep(longer)
				require.LessOrEqual(t, runs.Load(), int64(1))
				types, _ := tape.of("p")
				require.Equal(t, []string{"interrupted ", "executing "}, types[max(len(types)-2, 0):])
				require.Len(t, types, 2+int(2*runs.Load()))
				rec, err := f.store.Get(f.ctx, "p")
				require.NoError(t, err)
				require.Equal(t, nodebus.Interrupted, rec.State)
				require.Empty(t, queued(t, f.queue.List(f.ctx)))
			})
		})
	}
}

// waitsAgain submits prompts whose first attempt has begun, and has ended without a word.
func (f *fleet) waitsAgain(ids ...string) {
	f.t.Helper()
	e := f.engine(nil)
	for _, id := range ids {
		f.submit(e, &nodebus.Prompt{ID: id, ClientID: "me", Nodes: shown("x")})
		l, err := f.queue.TakeOne(f.ctx, id)
		require.NoError(f.t, err)
		require.NoError(f.t, l.Extend(f.ctx, 0))
	}
	time.Sleep(time.Millisecond)
}

// slowStore is a store that takes its time, whatever the context is.
type slowStore struct {
	*awayStore
	get, put time.Duration
}

func (s slowStore) Get(ctx context.Context, id string) (flow.Record, error) {
	if s.away.Load() {
		time.Sleep(s.get)
		return flow.Record{}, errDisk
	}
	return s.awayStore.Get(ctx, id)
}

func (s slowStore) Put(ctx context.Context, r flow.Record) error {
	time.Sleep(s.put)
	return s.awayStore.Put(ctx, r)
}

// oneLease is a queue whose leases of TakeOne may be impossible to extend.
type oneLease struct {
	flow.Queue
	extend error
}

func (q *oneLease) TakeOne(ctx context.Context, id string) (flow.Lease, error) {
	l, err := q.Queue.TakeOne(ctx, id)
	if err == nil && q.extend != nil {
		l = stuckLease{l, q.extend}
	}
	return l, err
}

type stuckLease struct {
	flow.Lease
	err error
}

func (l stuckLease) Extend(context.Context, time.Duration) error { return l.err }

// slowRecord is a store that takes 15 s to find a record.
type slowRecord struct{ flow.Store }

func (s slowRecord) Get(ctx context.Context, id string) (flow.Record, error) {
	time.Sleep(15 * time.Second)
	return s.Store.Get(ctx, id)
}

// TestInterruptOfAPromptThatHasEnded interrupts a prompt that has a record, and whose process
// has died before it told the end. The interrupt loses its lease while it reads the record:
// whoever takes the prompt next tells the end.
func TestInterruptOfAPromptThatHasEnded(t *testing.T) {
	inFleet(t, func(f *fleet) {
		tape := f.record()
		f.waitsAgain("p")
		for q, err := range f.queue.List(f.ctx) {
			require.NoError(t, err)
			rec := flow.Record{Prompt: q.Prompt, Attempt: 1, State: nodebus.Succeeded, Success: &nodebus.ExecutionSuccess{PromptID: "p"}}
			require.NoError(t, f.store.Put(f.ctx, rec))
		}
		e := f.engine(&flow.EngineOptions{Queue: &oneLease{f.queue, flow.ErrLapsed}, Store: slowRecord{f.store}})
		_, err := e.Interrupt(f.ctx, "p")
		require.ErrorIs(t, err, flow.ErrLapsed)
		types, _ := tape.of("p")
		require.Empty(t, types)
		f.run(f.engine(nil))
		time.Sleep(longer)
		types, _ = tape.of("p")
		require.Equal(t, []string{"success", "executing "}, types)
		require.Empty(t, queued(t, f.queue.List(f.ctx)))
	})
}

// TestErrorThatEndsItsGoroutine has an executor whose error ends the goroutine that reads it.
func TestErrorThatEndsItsGoroutine(t *testing.T) {
	inFleet(t, func(f *fleet) {
		e := f.engine(&flow.EngineOptions{Executor: executorFunc(func(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
			return nodebus.Report{}, exitingError{}
		})})
		f.run(e)
		s := f.submit(e, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
		ctx, cancel := context.WithTimeout(f.ctx, time.Minute)
		defer cancel()
		o, err := s.Wait(ctx)
		require.NoError(t, err)
		require.Equal(t, nodebus.Failed, o.State)
	})
}
