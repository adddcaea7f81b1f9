package flow_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestDrainOfDoBesideRun drains an engine whose Run runs a prompt of Do: the prompt ends by
// itself, and Drain waits for it.
func TestDrainOfDoBesideRun(t *testing.T) {
	inFleet(t, func(f *fleet) {
		g := &gateNode{make(chan struct{})}
		f.fn("Gate", g.run)
		e := f.engine(&flow.EngineOptions{Parallel: 1})
		f.run(e)
		synctest.Wait()
		begun, waits, drained := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		go func() {
			o, err := flow.Do(f.ctx, e, &nodebus.Prompt{ID: "begun", Nodes: two("Gate")})
			begun <- errors.Join(err, o.Err())
		}()
		synctest.Wait()
		go func() {
			_, err := flow.Do(f.ctx, e, &nodebus.Prompt{ID: "waits", Nodes: two("Gate")})
			waits <- err
		}()
		synctest.Wait()
		go func() { drained <- e.Drain(f.ctx) }()
		require.ErrorContains(t, <-waits, "drains")
		time.Sleep(time.Minute)
		require.Equal(t, []string{"+begun"}, queued(t, e.Queued(f.ctx)))
		require.Empty(t, drained)
		close(g.open)
		require.NoError(t, <-begun)
		require.NoError(t, <-drained)
	})
}

// TestDrainOfDoBetweenAttempts: the prompt has begun, so it ends by itself. Until its next
// attempt, the engine takes nothing.
func TestDrainOfDoBetweenAttempts(t *testing.T) {
	errNet := errors.New("the caller has gone")
	for name, c := range map[string]struct {
		run  bool // Run is active
		gone bool // the caller gives up
	}{
		"Do runs the engine":  {false, false},
		"Run runs the engine": {true, false},
		"the caller gives up": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				n := 0
				f.fn("Try", func(*nodebus.Context, any, any) (any, error) { n++; return n, failing(1)(n) })
				e := f.engine(nil)
				if c.run {
					f.run(e)
					synctest.Wait()
				}
				ctx, cancel := context.WithCancelCause(f.ctx)
				defer cancel(nil)
				ended := make(chan error, 1)
				var o nodebus.Outcome
				go func() {
					var err error
					o, err = flow.Do(ctx, e, &nodebus.Prompt{ID: "p", Nodes: two("Try"), Policy: nodebus.Policy{Retries: 1, RetryAfter: time.Hour}})
					ended <- err
				}()
				time.Sleep(time.Minute)
				require.NoError(t, e.Drain(f.ctx))
				f.submit(e, &nodebus.Prompt{ID: "later", Nodes: shown("x"), Priority: 1})
				time.Sleep(time.Minute)
				require.Equal(t, []string{"p", "later"}, queued(t, e.Queued(f.ctx)))
				if c.gone {
					cancel(errNet)
					require.ErrorIs(t, <-ended, errNet)
					require.Equal(t, []string{"later"}, queued(t, e.Queued(f.ctx)))
					return
				}
				require.NoError(t, <-ended)
				require.Equal(t, nodebus.Succeeded, o.State)
				require.Equal(t, 2, o.Attempt)
				require.Equal(t, time.Hour, time.Since(bubbleStart))
			})
		})
	}
}

// TestDoAfterDrain: Drain has returned, so Do runs the engine, although the Run that was
// drained is about to end.
func TestDoAfterDrain(t *testing.T) {
	for range 50 {
		inFleet(t, func(f *fleet) {
			g := &gateNode{make(chan struct{})}
			f.fn("Gate", g.run)
			e := f.engine(nil)
			first := make(chan error, 1)
			go func() {
				_, err := flow.Do(f.ctx, e, &nodebus.Prompt{ID: "first", Nodes: two("Gate")})
				first <- err
			}()
			synctest.Wait()
			drained := make(chan error, 1)
			go func() {
				if err := e.Drain(f.ctx); err != nil {
					drained <- err
				}
				_, err := flow.Do(f.ctx, e, &nodebus.Prompt{ID: "second", Nodes: shown("x")})
				drained <- err
			}()
			synctest.Wait()
			close(g.open)
			require.NoError(t, <-first)
			require.NoError(t, <-drained)
		})
	}
}
