package flow_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// lapsingQueue gives away the leases, so that a test can let them lapse.
type lapsingQueue struct {
	flow.Queue
	leases chan flow.Lease
}

func (q lapsingQueue) Take(ctx context.Context, skip func(string) bool) (flow.Lease, error) {
	l, err := q.Queue.Take(ctx, skip)
	if err == nil {
		q.leases <- l
	}
	return l, err
}

// TestLapsedLeaseRunsNothingTwice lets the lease of a running prompt lapse, as happens
// when a process stands still for a while. The queue then has the prompt again.
func TestLapsedLeaseRunsNothingTwice(t *testing.T) {
	for name, then := range map[string]func(e *flow.Engine) error{
		"nothing else":       func(*flow.Engine) error { return nil },
		"and is deleted":     func(e *flow.Engine) error { _, err := e.Delete(context.Background(), "p"); return err },
		"and is interrupted": func(e *flow.Engine) error { _, err := e.Interrupt(context.Background(), "p"); return err },
	} {
		for _, perClient := range []int{1, 2} {
			t.Run(name, func(t *testing.T) {
				q := lapsingQueue{flow.NewQueue(nil), make(chan flow.Lease, 8)}
				inBubble(t, nil, &flow.EngineOptions{Queue: q, Parallel: 4, PerClient: perClient}, func(r *rig) {
					runs := 0
					gate := make(chan struct{})
					r.fn("Gate", func(ctx *nodebus.Context, _, _ any) (any, error) {
						runs++
						select {
						case <-gate:
							return "x", nil
						case <-ctx.Done():
							return nil, context.Cause(ctx)
						}
					})
					wait := r.start(&nodebus.Prompt{ID: "p", ClientID: "c", Nodes: two("Gate")})
					synctest.Wait()
					require.NoError(t, (<-q.leases).Extend(r.ctx, 0))
					synctest.Wait()
					require.NoError(t, then(r.engine))
					synctest.Wait()
					close(gate)
					o := wait()
					ends := 0
					for _, kind := range o.types() {
						if kind == "success" || strings.HasPrefix(kind, "interrupted") {
							ends++
						}
					}
					require.Equal(t, 1, ends, o.types())
					time.Sleep(time.Minute) // longer than any lease
					require.Equal(t, 1, runs)
					require.Zero(t, r.engine.Remaining())
					for p, err := range q.List(r.ctx) {
						require.NoError(t, err)
						require.Fail(t, "the queue still has a prompt", p.Prompt.ID)
					}
				})
			})
		}
	}
}

// TestInterruptedPromptKeepsItsLease has an executor that takes longer to stop than a
// lease lasts, and a queue that respects contexts, as one over a network does.
func TestInterruptedPromptKeepsItsLease(t *testing.T) {
	q := strictQueue{flow.NewQueue(nil), &atomic.Int64{}}
	runs := 0
	slow := executorFunc(func(ctx context.Context, _ nodebus.Job, _ nodebus.Publisher) (nodebus.Report, error) {
		runs++
		<-ctx.Done()
		time.Sleep(45 * time.Second)
		return nodebus.Report{}, context.Cause(ctx)
	})
	inBubble(t, nil, &flow.EngineOptions{Executor: slow, Queue: q, Parallel: 2}, func(r *rig) {
		s, err := r.engine.Submit(r.ctx, &nodebus.Prompt{Nodes: shown("x")}, nil)
		require.NoError(t, err)
		synctest.Wait()
		require.True(t, interrupt(r.engine, s.ID))
		o, err := s.Wait(r.ctx)
		require.NoError(t, err)
		require.Equal(t, nodebus.Interrupted, o.State)
		time.Sleep(time.Minute)
		require.Equal(t, 1, runs)
		require.Zero(t, q.refused.Load(), "Extend was called with a context that had ended")
	})
}

type strictQueue struct {
	flow.Queue
	refused *atomic.Int64
}

func (q strictQueue) Take(ctx context.Context, skip func(string) bool) (flow.Lease, error) {
	l, err := q.Queue.Take(ctx, skip)
	return strictLease{l, q.refused}, err
}

type strictLease struct {
	flow.Lease
	refused *atomic.Int64
}

func (l strictLease) Extend(ctx context.Context, d time.Duration) error {
	if err := context.Cause(ctx); err != nil {
		l.refused.Add(1)
		return err
	}
	return l.Lease.Extend(ctx, d)
}
