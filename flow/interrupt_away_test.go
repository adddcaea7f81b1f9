package flow_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestInterruptWhileTheStoreIsAwayHere interrupts a prompt at an engine whose store is away. The
// caller gets the error, and the interrupt reaches the engine that takes the prompt next, or that
// has taken it meanwhile: there the prompt ends as interrupted.
func TestInterruptWhileTheStoreIsAwayHere(t *testing.T) {
	for name, c := range map[string]struct {
		extend error         // of the lease of the interrupt
		put    time.Duration // how long the store takes to refuse
		later  bool          // the other engine begins to run later
		begun  bool          // an attempt has begun
		runs   int64         // of the other engine, at most
	}{
		"nobody runs":            {later: true},
		"somebody takes it next": {begun: true, runs: 1},
		"somebody runs it now":   {extend: errNet, put: 40 * time.Second, runs: 1},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				var runs atomic.Int64
				away := f.engine(&flow.EngineOptions{Queue: &oneLease{f.queue, c.extend}, Store: slowStore{newAwayStore(f.store, false), 0, c.put}})
				other := f.engine(&flow.EngineOptions{Executor: executorFunc(func(ctx context.Context, _ nodebus.Job, _ nodebus.Publisher) (nodebus.Report, error) {
					runs.Add(1)
					<-ctx.Done()
					return nodebus.Report{}, context.Cause(ctx)
				})})
				if c.begun {
					f.waitsAgain("p")
				} else {
					f.submit(f.engine(nil), &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})
				}
				if !c.later {
					time.AfterFunc(time.Second, func() { f.run(other) })
				}
				found, err := away.Interrupt(f.ctx, "p")
				require.True(t, found)
				require.ErrorContains(t, err, "storing the record of prompt p")
				synctest.Wait()
				if c.later {
					f.run(other)
				}
				time.Sleep(longer)
				require.LessOrEqual(t, runs.Load(), c.runs)
				rec, err := f.store.Get(f.ctx, "p")
				require.NoError(t, err)
				require.Equal(t, nodebus.Interrupted, rec.State)
				require.Empty(t, queued(t, f.queue.List(f.ctx)))
				require.Empty(t, f.sigs.kept["p"])
			})
		})
	}
}
