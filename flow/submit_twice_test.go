package flow_test

import (
	"context"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// heldPush is a queue that is slow for one process: Push waits until open is closed.
type heldPush struct {
	flow.Queue
	open chan struct{}
}

func (q *heldPush) Push(ctx context.Context, p *nodebus.Prompt, secrets map[string]string) error {
	<-q.open
	return q.Queue.Push(ctx, p, secrets)
}

// TestSubmitTwiceRunsOnce: a client submits again elsewhere, because the first answer was
// lost. The prompt ends between the question whether there is a record and the Push.
func TestSubmitTwiceRunsOnce(t *testing.T) {
	for name, runsHere := range map[string]bool{"the second engine runs": true, "the first engine runs": false} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				runs := 0
				f.fn("Count", func(*nodebus.Context, any, any) (any, error) { runs++; return runs, nil })
				slow := &heldPush{f.queue, make(chan struct{})}
				a, b := f.engine(nil), f.engine(&flow.EngineOptions{Parallel: 1, Queue: slow})
				stop := f.run(a)
				tape := f.record()
				second := make(chan *flow.Submission, 1)
				go func() {
					s, err := b.Submit(f.ctx, &nodebus.Prompt{ID: "p", Nodes: two("Count")}, nil)
					if err != nil {
						t.Error(err)
					}
					second <- s
				}()
				time.Sleep(time.Second) // the second has asked for the record
				require.Equal(t, nodebus.Succeeded, f.ended(f.submit(a, &nodebus.Prompt{ID: "p", Nodes: two("Count")})))
				if runsHere {
					stop()
					f.run(b)
				}
				ended, _ := tape.of("p")
				close(slow.open)
				<-second
				time.Sleep(time.Minute)
				require.Equal(t, 1, runs, "runs")
				all, _ := tape.of("p")
				require.Equal(t, ended, all)
				require.Empty(t, queued(t, b.Queued(f.ctx)))
			})
		})
	}
}
