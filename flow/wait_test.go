package flow_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWait checks that Wait returns the same outcome from the submission, from the
// engine while the prompt runs, and from the record.
func TestWait(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		boom := errors.New("boom")
		gate := make(chan struct{})
		r.fn("Gate", func(*nodebus.Context, any, any) (any, error) { <-gate; return "x", nil })
		r.fn("Fail", func(*nodebus.Context, any, any) (any, error) { return nil, boom })
		r.fn("Stop", func(*nodebus.Context, any, any) (any, error) { return nil, nodebus.ErrInterrupted })
		for _, c := range []struct {
			class string
			state nodebus.State
			err   string
		}{
			{"Gate", nodebus.Succeeded, ""},
			{"Fail", nodebus.Failed, "nodebus: node x (Fail): boom"},
			{"Stop", nodebus.Interrupted, "nodebus: interrupted"},
		} {
			s, err := r.engine.Submit(r.ctx, &nodebus.Prompt{ID: c.class, Nodes: two(c.class)}, nil)
			require.NoError(t, err)
			require.Equal(t, c.class, s.ID)
			synctest.Wait()
			if c.class == "Gate" {
				short, cancel := context.WithCancelCause(r.ctx)
				cancel(boom)
				_, err = s.Wait(short)
				require.ErrorIs(t, err, boom, "only the wait ends, not the prompt")
				running := make(chan nodebus.Outcome, 1)
				go func() {
					o, err := r.engine.Wait(r.ctx, c.class)
					assert.NoError(t, err)
					running <- o
				}()
				synctest.Wait()
				close(gate)
				require.Equal(t, nodebus.Succeeded, (<-running).State)
			}
			o, err := s.Wait(r.ctx)
			require.NoError(t, err)
			require.Equal(t, c.state, o.State)
			later, err := r.engine.Wait(r.ctx, c.class)
			require.NoError(t, err)
			require.Equal(t, o, later)
			if c.err == "" {
				require.NoError(t, o.Err())
				require.Equal(t, nodebus.Text("x"), o.Output("out"))
				require.Nil(t, o.Output("x"))
			} else {
				require.EqualError(t, o.Err(), c.err)
			}
		}
		_, err := r.engine.Wait(r.ctx, "nobody")
		require.ErrorIs(t, err, flow.ErrNotFound)
	})
}

// TestDo checks that Do runs the engine itself, or uses an active Run.
func TestDo(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
		flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
		began := make(chan struct{}, 1)
		flow.Register(reg, fn{f: func(ctx *nodebus.Context, _, _ any) (any, error) {
			began <- struct{}{}
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}}, nodebus.Info{Name: "Wait"})
		e := flow.NewEngine(reg, hub, nil)
		o, err := flow.Do(t.Context(), e, &nodebus.Prompt{Nodes: shown("x")})
		require.NoError(t, err)
		require.Equal(t, nodebus.Text("x"), o.Output("o"))

		// When the context of Do ends, the prompt ends too.
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-began; cancel() }()
		_, err = flow.Do(ctx, e, &nodebus.Prompt{ID: "stopped", Nodes: two("Wait")})
		require.ErrorIs(t, err, context.Canceled)
		rec, err := e.Store().Get(t.Context(), "stopped")
		require.NoError(t, err)
		require.Equal(t, nodebus.Interrupted, rec.State)

		// Do uses an active Run.
		run, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- e.Run(run) }()
		synctest.Wait()
		o, err = flow.Do(t.Context(), e, &nodebus.Prompt{Nodes: shown("y")})
		require.NoError(t, err)
		require.Equal(t, nodebus.Text("y"), o.Output("o"))
		require.ErrorContains(t, e.Run(run), "call it once at a time")

		// The active Run ends before the prompt of Do has run.
		done := make(chan error, 1)
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)
		run, stop = context.WithCancel(t.Context())
		go func() { ended <- e.Run(run) }()
		_, err = e.Submit(run, &nodebus.Prompt{ID: "first", Nodes: two("Wait")}, nil)
		require.NoError(t, err)
		<-began
		go func() {
			_, err := flow.Do(t.Context(), e, &nodebus.Prompt{Nodes: shown("z")})
			done <- err
		}()
		synctest.Wait()
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, <-done)

		var invalid *nodebus.ValidationError
		_, err = flow.Do(t.Context(), e, &nodebus.Prompt{})
		require.ErrorAs(t, err, &invalid)
		require.NoError(t, hub.Close())
	})
}

// TestDoOverAQueueThatFails checks that Do returns the error of the queue and does
// not wait forever.
func TestDoOverAQueueThatFails(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
		flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
		e := flow.NewEngine(reg, hub, &flow.EngineOptions{Queue: deadQueue{flow.NewQueue(nil)}})
		_, err := flow.Do(t.Context(), e, &nodebus.Prompt{Nodes: shown("x")})
		require.ErrorIs(t, err, errQueue)
		require.NoError(t, hub.Close())
	})
}

// deadQueue accepts prompts, but its Take always fails.
type deadQueue struct{ flow.Queue }

func (deadQueue) Take(context.Context, func(string) bool) (flow.Lease, error) { return nil, errQueue }

// TestRejectedOutputs checks that the submission lists the outputs that will not
// run.
func TestRejectedOutputs(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		g := nodebus.NewGraph()
		g.AddAs("good", "Show", in{"in": "x"})
		g.AddAs("bad", "Show", in{"in": nodebus.Link{Node: "nobody"}})
		s, err := r.engine.Submit(r.ctx, &nodebus.Prompt{Nodes: g.Nodes()}, nil)
		require.NoError(t, err)
		require.Equal(t, []string{"good"}, s.Prompt.Outputs)
		require.Contains(t, s.Rejected.Nodes, "bad")
		o, err := s.Wait(r.ctx)
		require.NoError(t, err)
		require.Equal(t, nodebus.Text("x"), o.Output("good"))
	})
}

// TestPreparedOnce checks that the engine prepares a submitted prompt only once, and
// prepares a prompt of another process when it takes the prompt.
func TestPreparedOnce(t *testing.T) {
	q := flow.NewQueue(nil)
	x := &preparing{}
	inBubble(t, nil, &flow.EngineOptions{Executor: x, Queue: q}, func(r *rig) {
		x.Local = r.local
		require.Equal(t, nodebus.Succeeded, r.run(shown("x")).record.State)
		require.Equal(t, 1, x.asked)
		events := r.hub.Subscribe(r.ctx)
		require.NoError(t, q.Push(r.ctx, &nodebus.Prompt{ID: "older", Nodes: shown("y")}, nil))
		for ev, err := range events {
			require.NoError(t, err)
			if p, ok := ev.Payload.(nodebus.Executing); ok && p.UniqueID == "" {
				break
			}
		}
		require.Equal(t, 2, x.asked)
		require.Equal(t, 2, x.given)
	})
}

type preparing struct {
	*flow.Local
	asked, given int
}

func (x *preparing) Prepare(ctx context.Context, p *nodebus.Prompt) (any, error) {
	x.asked++
	return x.Local.Prepare(ctx, p)
}

func (x *preparing) Execute(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
	if job.Prepared != nil {
		x.given++
	}
	return x.Local.Execute(ctx, job, pub)
}

// TestWaitForADeletedPrompt waits for a prompt that another engine has submitted, and that
// this engine deletes.
func TestWaitForADeletedPrompt(t *testing.T) {
	inFleet(t, func(f *fleet) {
		a, b := f.engine(nil), f.engine(nil)
		for range 2 { // the id can be used again
			f.submit(a, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
			const waiters = 3
			ctx, cancel := context.WithTimeout(f.ctx, time.Hour)
			ended := make(chan error, waiters)
			for range waiters {
				go func() {
					_, err := b.Wait(ctx, "p")
					ended <- err
				}()
			}
			synctest.Wait()
			gone, err := b.Delete(f.ctx, "p")
			require.NoError(t, err)
			require.Equal(t, []string{"p"}, gone)
			for range waiters {
				require.ErrorIs(t, <-ended, flow.ErrNotFound)
			}
			cancel()
		}
	})
}
