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

// TestRecordOfAnOlderAttempt: the store has taken the record of an attempt whose lease has lapsed, but
// only after the next attempt had begun. That one never ends. The prompt ends with the record, or as
// interrupted, and the log does not refuse its end.
func TestRecordOfAnOlderAttempt(t *testing.T) {
	for name, interrupts := range map[string]bool{"it is taken again": false, "it is interrupted": true} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				tape := f.record()
				var runs atomic.Int64
				rec := flow.Record{Attempt: 1, State: nodebus.Succeeded, Success: &nodebus.ExecutionSuccess{PromptID: "p"}}
				e := f.engine(&flow.EngineOptions{
					Parallel: 1,
					Queue:    &hookedQueue{Queue: f.queue, extend: func(context.Context, int64) error { return errNet }},
					Executor: executorFunc(func(ctx context.Context, job nodebus.Job, _ nodebus.Publisher) (nodebus.Report, error) {
						if rec.Prompt = job.Prompt; runs.Add(1) == 2 {
							require.NoError(t, f.store.Put(f.ctx, rec))
						}
						<-ctx.Done() // the lease lapses
						return nodebus.Report{}, ctx.Err()
					}),
				})
				stop := f.run(e)
				f.submit(e, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})
				time.Sleep(45 * time.Second)
				if interrupts {
					e.Pause()
					time.Sleep(30 * time.Second)
					found, err := f.engine(nil).Interrupt(f.ctx, "p")
					require.NoError(t, err)
					require.True(t, found)
				}
				time.Sleep(longer)
				stop()
				types, attempts := tape.of("p")
				require.Equal(t, []string{"start", "start", "success", "executing "}, types)
				require.Equal(t, []int{1, 2}, attempts[:2])
				require.GreaterOrEqual(t, attempts[2], 2)
				require.EqualValues(t, 2, runs.Load())
				require.Empty(t, queued(t, f.queue.List(f.ctx)))
			})
		})
	}
}
