package flow_test

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestLargestNumberOfAttempts: limits that have no sum are no limits.
func TestLargestNumberOfAttempts(t *testing.T) {
	for name, c := range map[string]struct{ attempts, retries int }{
		"retries":  {0, math.MaxInt},
		"attempts": {math.MaxInt, 2},
		"both":     {math.MaxInt, math.MaxInt},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				n := 0
				f.fn("Try", func(*nodebus.Context, any, any) (any, error) { n++; return n, failing(2)(n) })
				e := f.engine(&flow.EngineOptions{Attempts: c.attempts})
				f.run(e)
				ctx, cancel := context.WithTimeout(f.ctx, time.Hour)
				defer cancel()
				o, err := f.submit(e, &nodebus.Prompt{Nodes: two("Try"), Policy: nodebus.Policy{Retries: c.retries, RetryAfter: time.Second}}).Wait(ctx)
				require.NoError(t, err)
				require.Equal(t, nodebus.Succeeded, o.State)
				require.Equal(t, 3, o.Attempt)
			})
		})
	}
}

// TestLapsedLeasesAreNoRetries has a prompt whose first lease lapses, and that then fails.
func TestLapsedLeasesAreNoRetries(t *testing.T) {
	for name, c := range map[string]struct {
		failures, attempts int
		want               nodebus.State
	}{
		"as many failures as retries": {1, 3, nodebus.Succeeded},
		"one more":                    {2, 3, nodebus.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				n := 0
				f.fn("Try", func(ctx *nodebus.Context, _, _ any) (any, error) {
					if n++; n == 1 {
						return waitsForEnd(ctx, nil, nil)
					}
					return n, failing(c.failures + 1)(n)
				})
				q := &lapsing{Queue: f.queue}
				q.lapses.Store(1)
				e := f.engine(&flow.EngineOptions{Queue: q})
				f.run(e)
				o, err := f.submit(e, &nodebus.Prompt{Nodes: two("Try"), Policy: nodebus.Policy{Retries: 1}}).Wait(f.ctx)
				require.NoError(t, err)
				require.Equal(t, c.want, o.State)
				require.Equal(t, c.attempts, o.Attempt)
			})
		})
	}
}

// lapsing is a queue whose first leases cannot be extended.
type lapsing struct {
	flow.Queue
	lapses atomic.Int32 // the number of these leases
}

func (q *lapsing) Take(ctx context.Context, skip func(string) bool) (flow.Lease, error) {
	l, err := q.Queue.Take(ctx, skip)
	if err == nil && q.lapses.Add(-1) >= 0 {
		l = fixedLease{l}
	}
	return l, err
}

type fixedLease struct{ flow.Lease }

func (l fixedLease) Extend(ctx context.Context, d time.Duration) error {
	if d > 0 {
		return errors.New("the queue is not there")
	}
	return l.Lease.Extend(ctx, d)
}
