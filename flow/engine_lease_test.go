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

// TestLapsedLease lets the lease of a running prompt lapse, as happens when a process
// stands still for a while. The queue then gives the prompt out again.
func TestLapsedLease(t *testing.T) {
	for name, c := range map[string]struct {
		then     func(e *flow.Engine) error
		attempts int
		ends     string
	}{
		"nothing else": {func(*flow.Engine) error { return nil }, 2, "success"},
		"and is deleted": {func(e *flow.Engine) error {
			_, err := e.Delete(context.Background(), "p")
			return err
		}, 1, "interrupted "},
		"and is interrupted": {func(e *flow.Engine) error {
			_, err := e.Interrupt(context.Background(), "p")
			return err
		}, 1, "interrupted "},
	} {
		t.Run(name, func(t *testing.T) {
			q := lapsingQueue{flow.NewQueue(nil), make(chan flow.Lease, 8)}
			inBubble(t, nil, &flow.EngineOptions{Queue: q, Parallel: 4}, func(r *rig) {
				var causes []error
				gate := make(chan struct{})
				r.fn("Gate", func(ctx *nodebus.Context, _, _ any) (any, error) {
					select {
					case <-gate:
						causes = append(causes, nil)
						return "x", nil
					case <-ctx.Done():
						causes = append(causes, context.Cause(ctx))
						return nil, context.Cause(ctx)
					}
				})
				wait := r.start(&nodebus.Prompt{ID: "p", ClientID: "c", Nodes: two("Gate")})
				synctest.Wait()
				require.NoError(t, (<-q.leases).Extend(r.ctx, 0))
				synctest.Wait()
				require.NoError(t, c.then(r.engine))
				time.Sleep(20 * time.Second) // the engine notices the lapse when it extends the lease
				close(gate)
				o := wait()
				require.Len(t, causes, c.attempts)
				if c.attempts > 1 {
					require.ErrorIs(t, causes[0], flow.ErrLapsed)
				}
				starts, ends := 0, 0
				for _, kind := range o.types() {
					switch {
					case kind == "start":
						starts++
					case kind == "success" || strings.HasPrefix(kind, "interrupted"):
						ends++
						require.True(t, strings.HasPrefix(kind, c.ends), kind)
					}
				}
				require.Equal(t, []int{c.attempts, 1}, []int{starts, ends}, o.types())
				for _, ev := range o.events[len(o.events)-2:] {
					require.Equal(t, c.attempts, ev.Attempt)
				}
				time.Sleep(time.Minute) // longer than any lease
				require.Len(t, causes, c.attempts)
				require.Zero(t, r.engine.Remaining())
				for p, err := range q.List(r.ctx) {
					require.NoError(t, err)
					require.Fail(t, "the queue still has a prompt", p.Prompt.ID)
				}
			})
		})
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
