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

// cutLog is a log that others share. While it is cut, Flush waits, and what is appended is left out
// later, because another process takes the prompt meanwhile.
type cutLog struct {
	nodebus.Log
	cut  atomic.Bool
	back chan struct{} // closed when the log is not cut any more
}

func (l *cutLog) Append(ev nodebus.Event) error {
	if l.cut.Load() {
		return nil
	}
	return l.Log.Append(ev)
}

func (l *cutLog) Flush(ctx context.Context) error {
	if !l.cut.Load() {
		return nil
	}
	select {
	case <-l.back:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestEndThatIsLeftOut has an engine that is cut off when a prompt ends. Another process takes the
// prompt, so that the end is left out, and gives it back. The engine is back, and tells the end
// before it takes the prompt out of the queue.
func TestEndThatIsLeftOut(t *testing.T) {
	for name, parallel := range map[string]int{"it takes the prompt out": 1, "it takes the prompt again": 2} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				log := &cutLog{Log: nodebus.NewMemoryLog(nil), back: make(chan struct{})}
				f.hub = nodebus.NewHub(&nodebus.HubOptions{Log: log})
				tape := f.record()
				var runs atomic.Int64
				f.run(f.engine(&flow.EngineOptions{
					Parallel: parallel,
					Queue:    &hookedQueue{Queue: f.queue, extend: func(context.Context, int64) error { return errNet }},
					Executor: executorFunc(func(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
						runs.Add(1)
						time.Sleep(20 * time.Second)
						log.cut.Store(true)
						return nodebus.Report{}, nil
					}),
				}))
				require.NoError(t, f.queue.Push(f.ctx, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")}, nil))
				time.Sleep(29 * time.Second)
				other := func() (l flow.Lease) {
					for err := flow.ErrNotFound; err != nil; time.Sleep(time.Millisecond) {
						l, err = f.queue.TakeOne(f.ctx, "p")
					}
					return l
				}()
				log.cut.Store(false)
				require.NoError(t, other.Release(f.ctx))
				close(log.back)
				time.Sleep(longer)
				types, _ := tape.of("p")
				require.Equal(t, []string{"start", "success", "executing "}, types)
				require.EqualValues(t, 1, runs.Load())
				require.Empty(t, queued(t, f.queue.List(f.ctx)))
			})
		})
	}
}
