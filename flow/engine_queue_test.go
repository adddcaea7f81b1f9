package flow_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// hookedQueue lets a test replace single calls of a queue and its leases. A nil function
// leaves the call as it is.
type hookedQueue struct {
	flow.Queue
	take    func(ctx context.Context, skip func(string) bool, n int64) (flow.Lease, error)
	extend  func(ctx context.Context, n int64) error
	deletes func(n int64)
	done    func(ctx context.Context) error
	attempt int        // replaces the number of the attempt, unless 0
	last    flow.Lease // the newest lease of Queue

	takes, extends, deleted atomic.Int64
}

func (q *hookedQueue) Take(ctx context.Context, skip func(string) bool) (flow.Lease, error) {
	if n := q.takes.Add(1); q.take != nil {
		if l, err := q.take(ctx, skip, n); l != nil || err != nil {
			return l, err
		}
	}
	l, err := q.Queue.Take(ctx, skip)
	q.last = l
	return hookedLease{l, q}, err
}

func (q *hookedQueue) Delete(ctx context.Context, ids ...string) ([]*nodebus.Prompt, error) {
	if n := q.deleted.Add(1); q.deletes != nil {
		q.deletes(n)
	}
	return q.Queue.Delete(ctx, ids...)
}

func (q *hookedQueue) TakeOne(ctx context.Context, id string) (flow.Lease, error) {
	if n := q.deleted.Add(1); q.deletes != nil {
		q.deletes(n)
	}
	return q.Queue.TakeOne(ctx, id)
}

type hookedLease struct {
	flow.Lease
	q *hookedQueue
}

func (l hookedLease) Extend(ctx context.Context, d time.Duration) error {
	if n := l.q.extends.Add(1); l.q.extend != nil {
		if err := l.q.extend(ctx, n); err != nil {
			return err
		}
	}
	return l.Lease.Extend(ctx, d)
}

func (l hookedLease) Job() nodebus.Job {
	job := l.Lease.Job()
	if l.q.attempt > 0 {
		job.Attempt = l.q.attempt
	}
	return job
}

// Done respects its context, as the lease of a queue over a network does.
func (l hookedLease) Done(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if l.q.done != nil {
		return l.q.done(ctx)
	}
	return l.Lease.Done(ctx)
}

// TestExtendThatHangsOnce checks that the engine extends the lease again before it lapses.
func TestExtendThatHangsOnce(t *testing.T) {
	q := &hookedQueue{Queue: flow.NewQueue(nil), extend: func(ctx context.Context, n int64) error {
		if n > 1 {
			return nil
		}
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	inBubble(t, nil, &flow.EngineOptions{Queue: q}, func(r *rig) {
		r.fn("Slow", func(*nodebus.Context, any, any) (any, error) { time.Sleep(45 * time.Second); return 1, nil })
		wait := r.start(&nodebus.Prompt{Nodes: two("Slow")})
		time.Sleep(40 * time.Second)
		for p, err := range q.List(r.ctx) {
			require.NoError(t, err)
			require.True(t, p.Leased, "the prompt waits again although it runs")
		}
		wait()
	})
}

// TestInterruptOfANewerPrompt checks that a prompt ends which takes the id of an
// interrupted prompt while the queue deletes that id.
func TestInterruptOfANewerPrompt(t *testing.T) {
	q := &hookedQueue{Queue: flow.NewQueue(nil)}
	inBubble(t, nil, &flow.EngineOptions{Queue: q}, func(r *rig) {
		r.engine.Pause() // otherwise the engine could take the first prompt before it is deleted
		synctest.Wait()
		unready := &flow.SubmitOptions{Ready: make(chan struct{})}
		_, err := r.engine.Submit(r.ctx, &nodebus.Prompt{ID: "a", Nodes: shown("x")}, unready)
		require.NoError(t, err)
		var newer *flow.Submission
		q.deletes = func(n int64) {
			if n > 1 {
				return
			}
			_, err := r.engine.Delete(r.ctx, "a")
			require.NoError(t, err)
			newer, err = r.engine.Submit(r.ctx, &nodebus.Prompt{ID: "a", Nodes: shown("y")}, unready)
			require.NoError(t, err)
		}
		require.True(t, interrupt(r.engine, "a"))
		o, err := newer.Wait(r.ctx)
		require.NoError(t, err)
		require.Equal(t, nodebus.Interrupted, o.State)
		require.Zero(t, r.engine.Remaining())
	})
}

// TestDoOverAQueueThatFailsLater checks that Do returns the error of the queue although
// its own prompt has begun.
func TestDoOverAQueueThatFailsLater(t *testing.T) {
	for name, c := range map[string]struct {
		take func() (flow.Lease, error)
		want string
	}{
		"an error": {func() (flow.Lease, error) { return nil, errQueue }, errQueue.Error()},
		"Goexit":   {func() (flow.Lease, error) { runtime.Goexit(); return nil, nil }, "runtime.Goexit"},
		"a lease of nothing": {
			func() (flow.Lease, error) { return emptyLease{}, nil },
			"the queue gave a lease whose Job has no prompt",
		},
	} {
		t.Run(name, func(t *testing.T) {
			q := &hookedQueue{Queue: flow.NewQueue(nil), take: func(_ context.Context, _ func(string) bool, n int64) (flow.Lease, error) {
				if n == 1 {
					return nil, nil
				}
				return c.take()
			}}
			doInBubble(t, &flow.EngineOptions{Queue: q, Parallel: 2}, func(e *flow.Engine, reg *flow.Registry) {
				flow.Register(reg, fn{f: func(ctx *nodebus.Context, _, _ any) (any, error) {
					<-ctx.Done()
					return nil, context.Cause(ctx)
				}}, nodebus.Info{Name: "Wait"})
				_, err := flow.Do(context.Background(), e, &nodebus.Prompt{Nodes: two("Wait")})
				require.ErrorContains(t, err, c.want)
			})
		})
	}
}

type emptyLease struct{ flow.Lease }

func (emptyLease) Job() nodebus.Job { return nodebus.Job{} }

// TestDoInsideANode calls Do in a node of a prompt that the Run of another Do has begun,
// after that Do has its outcome.
func TestDoInsideANode(t *testing.T) {
	doInBubble(t, &flow.EngineOptions{Parallel: 4}, func(e *flow.Engine, reg *flow.Registry) {
		goOn := make(chan struct{})
		flow.Register(reg, fn{f: func(ctx *nodebus.Context, _, _ any) (any, error) {
			<-goOn
			o, err := flow.Do(ctx, e, &nodebus.Prompt{ClientID: "inner", Nodes: shown("inner")})
			return o.Output("o")["text"], err
		}}, nodebus.Info{Name: "Inner"})
		long, err := e.Submit(context.Background(), &nodebus.Prompt{ClientID: "long", Nodes: two("Inner")}, nil)
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() {
			_, err := flow.Do(context.Background(), e, &nodebus.Prompt{ClientID: "outer", Nodes: shown("outer")})
			ended <- err
		}()
		synctest.Wait()
		close(goOn)
		require.NoError(t, <-ended)
		o, err := long.Wait(context.Background())
		require.NoError(t, err)
		require.Equal(t, nodebus.Succeeded, o.State)
	})
}
