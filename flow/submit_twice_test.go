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

// cutPush is a queue whose Push waits for what comes first: its context ends, or open is
// closed. The first Push then fails, or not, as fails says.
type cutPush struct {
	flow.Queue
	open  chan struct{}
	fails error
	n     atomic.Int64
}

func (q *cutPush) Push(ctx context.Context, p *nodebus.Prompt, secrets map[string]string) error {
	if q.n.Add(1) == 1 {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-q.open:
		}
		if q.fails != nil {
			return q.fails
		}
	}
	return q.Queue.Push(ctx, p, secrets)
}

// TestSubmitAgainWhileThePushIsUnderWay: a client submits an id again before its first Push has
// returned. It hears that the id is in use only if the queue has the prompt.
func TestSubmitAgainWhileThePushIsUnderWay(t *testing.T) {
	for name, c := range map[string]struct {
		fails  error
		cancel bool // the first client gives up
		second error
	}{
		"the client gives up":     {nil, true, nil},
		"the first Push fails":    {errNet, false, nil},
		"the first Push succeeds": {nil, false, flow.ErrDuplicate},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				var runs atomic.Int64
				q := &cutPush{Queue: f.queue, open: make(chan struct{}), fails: c.fails}
				e := f.engine(&flow.EngineOptions{Queue: q, Executor: countingRuns(&runs)})
				ctx, giveUp := context.WithCancel(f.ctx)
				defer giveUp()
				first, second := make(chan error, 1), make(chan error, 1)
				try := func(ctx context.Context, told chan error) {
					_, err := submit(e, ctx, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
					told <- err
				}
				go try(ctx, first)
				synctest.Wait()
				go try(f.ctx, second)
				waited := make(chan error, 1)
				go func() {
					_, err := e.Wait(f.ctx, "p")
					waited <- err
				}()
				synctest.Wait()
				require.Empty(t, second, "nobody knows yet whether the id is in use")
				if c.cancel {
					giveUp()
				} else {
					close(q.open)
				}
				err := <-first
				require.Equal(t, c.second == nil, err != nil, err)
				require.ErrorIs(t, <-second, c.second)
				require.Equal(t, []string{"p"}, queued(t, f.queue.List(f.ctx)))
				synctest.Wait()
				f.run(e)
				time.Sleep(longer)
				require.EqualValues(t, 1, runs.Load())
				require.Len(t, waited, 1, "Wait has returned")
			})
		})
	}
}

// TestSubmitAgainEnds: a Submit that waits for the Push of another one ends with its context,
// and after 30 seconds: a queue may call Submit within Push.
func TestSubmitAgainEnds(t *testing.T) {
	inFleet(t, func(f *fleet) {
		q := &cutPush{Queue: f.queue, open: make(chan struct{})}
		e := f.engine(&flow.EngineOptions{Queue: q})
		first := make(chan error, 1)
		go func() {
			_, err := submit(e, f.ctx, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
			first <- err
		}()
		synctest.Wait()
		for limit, want := range map[time.Duration]error{time.Second: context.DeadlineExceeded, time.Hour: nil} {
			ctx, cancel := context.WithTimeout(f.ctx, limit)
			began := time.Now()
			_, err := submit(e, ctx, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
			cancel()
			require.Error(t, err)
			require.NotErrorIs(t, err, flow.ErrDuplicate)
			if want != nil {
				require.ErrorIs(t, err, want)
			}
			require.Equal(t, min(limit, 30*time.Second), time.Since(began))
		}
		close(q.open)
		require.NoError(t, <-first)
	})
}

// takenPush is a queue whose Push keeps the prompt, waits until an engine has taken it, and fails.
type takenPush struct{ flow.Queue }

func (q takenPush) Push(ctx context.Context, p *nodebus.Prompt, secrets map[string]string) error {
	if err := q.Queue.Push(ctx, p, secrets); err != nil {
		return err
	}
	time.Sleep(time.Second)
	return errNet
}

// TestPushThatFailsTooLate has a queue that gives a prompt out before it says that Push has
// failed. The engine knows better: it has the prompt. Otherwise it would drop the prompt, and the
// client, who submits it again, could be told meanwhile that the id is in use.
func TestPushThatFailsTooLate(t *testing.T) {
	inFleet(t, func(f *fleet) {
		e := f.engine(&flow.EngineOptions{Queue: takenPush{f.queue}})
		f.run(e)
		s := f.submit(e, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
		require.Equal(t, nodebus.Succeeded, f.ended(s))
		require.Empty(t, queued(t, f.queue.List(f.ctx)))
	})
}
