package flow_test

import (
	"context"
	"iter"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// badSignals has a function that is called when the receiving of signals stops.
type badSignals struct {
	flow.Signals
	stop func(n int64)
	n    atomic.Int64
}

func (s *badSignals) Receive(id string, f func(flow.Signal) error) (stop func(), err error) {
	n := s.n.Add(1)
	_, err = s.Signals.Receive(id, f)
	return func() { s.stop(n) }, err
}

// TestSignalsStopBadly has signals that are not stopped as they should be before the second attempt
// of a prompt: Run goes on, and the attempt begins.
func TestSignalsStopBadly(t *testing.T) {
	for name, stop := range map[string]func(n int64){
		"Goexit": func(int64) { runtime.Goexit() },
		"panic":  func(int64) { panic("boom") },
		"slow": func(n int64) {
			if n == 2 { // between the attempts
				time.Sleep(12 * time.Hour)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				e := flow.NewEngine(f.reg, f.hub, &flow.EngineOptions{Queue: f.queue, Store: f.store, Signals: &badSignals{Signals: f.sigs, stop: stop}})
				f.run(e)
				s := f.betweenAttempts(e, nodebus.Policy{})
				ctx, cancel := context.WithTimeout(f.ctx, 2*time.Hour)
				defer cancel()
				o, err := s.Wait(ctx)
				require.NoError(t, err)
				require.Equal(t, 2, o.Attempt)
				require.NoError(t, e.Drain(ctx))
				time.Sleep(24 * time.Hour) // the slow one has ended
			})
		})
	}
}

// badList is a queue whose List calls bad as often as times says.
type badList struct {
	flow.Queue
	bad   func() error
	times atomic.Int64
}

func (q *badList) List(ctx context.Context, ids ...string) iter.Seq2[flow.Queued, error] {
	if q.times.Add(-1) < 0 {
		return q.Queue.List(ctx, ids...)
	}
	return func(yield func(flow.Queued, error) bool) { yield(flow.Queued{}, q.bad()) }
}

var badLists = map[string]func() error{
	"Goexit": func() error { runtime.Goexit(); return nil },
	"error":  func() error { return errNet },
}

// TestListFailsAtTheDeadline: a prompt ends although the queue fails at its deadline, whoever has
// submitted it.
func TestListFailsAtTheDeadline(t *testing.T) {
	for name, bad := range badLists {
		for who, here := range map[string]bool{"submitted here": true, "submitted elsewhere": false} {
			t.Run(name+", "+who, func(t *testing.T) {
				inFleet(t, func(f *fleet) {
					q := &badList{Queue: f.queue, bad: bad}
					e := f.engine(&flow.EngineOptions{Queue: q})
					e.Pause()
					at := time.Now().Add(40 * time.Second)
					p := &nodebus.Prompt{ID: "p", Nodes: shown("x"), Created: time.Now(), Policy: nodebus.Policy{Deadline: at}}
					if here {
						f.submit(e, p)
					} else {
						require.NoError(t, f.queue.Push(f.ctx, p, nil))
						f.run(e)
					}
					q.times.Store(3)
					time.Sleep(longer)
					rec, err := f.store.Get(f.ctx, "p")
					require.NoError(t, err)
					require.Equal(t, nodebus.Failed, rec.State)
				})
			})
		}
	}
}

// emptyStore is a store whose records are deleted at once.
type emptyStore struct{ flow.Store }

func (emptyStore) Get(context.Context, string) (flow.Record, error) {
	return flow.Record{}, flow.ErrNotFound
}

// TestListFailsAfterTheEnd: a prompt ends elsewhere, its record is deleted, and the queue fails
// once. Wait hears of the end.
func TestListFailsAfterTheEnd(t *testing.T) {
	for name, bad := range badLists {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				q := &badList{Queue: f.queue, bad: bad}
				e := f.engine(&flow.EngineOptions{Queue: q, Store: emptyStore{f.store}})
				s := f.submit(e, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
				q.times.Store(1)
				f.run(f.engine(nil))
				ctx, cancel := context.WithTimeout(f.ctx, time.Hour)
				defer cancel()
				_, err := s.Wait(ctx)
				require.ErrorIs(t, err, flow.ErrNotFound)
			})
		})
	}
}

// exitingLen is a queue whose Len calls runtime.Goexit while on is set.
type exitingLen struct {
	flow.Queue
	on atomic.Bool
}

func (q *exitingLen) Len(ctx context.Context) (waiting, leased int, err error) {
	if q.on.Load() {
		runtime.Goexit()
	}
	return q.Queue.Len(ctx)
}

// TestLenExits: a prompt succeeds, and leaves nothing behind, although the queue does not tell how
// many prompts it has.
func TestLenExits(t *testing.T) {
	inFleet(t, func(f *fleet) {
		q := &exitingLen{Queue: f.queue}
		e := f.engine(&flow.EngineOptions{Queue: q})
		s := f.submit(e, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
		require.NoError(t, e.Refuse(f.ctx, "p", "x", "q", "no"))
		q.on.Store(true)
		f.run(e)
		require.Equal(t, nodebus.Succeeded, f.ended(s))
		require.Empty(t, f.sigs.kept)
		require.Empty(t, queued(t, f.queue.List(f.ctx)))
		f.submit(e, &nodebus.Prompt{Nodes: shown("x")})
	})
}
