package flow_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestPause checks that a paused engine begins nothing, and that clients learn of it.
func TestPause(t *testing.T) {
	inFleet(t, func(f *fleet) {
		g := &gateNode{make(chan struct{})}
		f.fn("Gate", g.run)
		e := f.engine(nil)
		f.run(e)
		running := f.submit(e, &nodebus.Prompt{ID: "running", ClientID: "a", Nodes: two("Gate")})
		synctest.Wait()
		events := f.record()
		e.Pause()
		e.Pause() // has no further effect
		require.True(t, e.Paused())
		s := f.submit(e, &nodebus.Prompt{ID: "p", ClientID: "b", Nodes: shown("x")})
		close(g.open)
		require.Equal(t, nodebus.Succeeded, f.ended(running), "what runs goes on")
		time.Sleep(time.Hour)
		require.Equal(t, []string{"p"}, queued(t, e.Queued(f.ctx)))
		e.Resume()
		require.False(t, e.Paused())
		require.Equal(t, nodebus.Succeeded, f.ended(s))
		synctest.Wait()
		var told []string
		for _, ev := range events.events {
			if st, ok := ev.Payload.(nodebus.Status); ok {
				enc, err := nodebus.JSON.Encode(nodebus.Event{Payload: st})
				require.NoError(t, err)
				told = append(told, string(enc.Data))
				require.Equal(t, st.Paused, len(told) <= 3, "until Resume")
			}
		}
		require.Contains(t, told[0], `"exec_info":{"queue_remaining":1,"paused":true}`)
		require.NotContains(t, told[len(told)-1], "paused")
	})
}

// TestPauseWhileTheQueueGivesAPromptOut pauses between the call of skip and the lease.
func TestPauseWhileTheQueueGivesAPromptOut(t *testing.T) {
	q := &slowQueue{Queue: flow.NewQueue(nil)}
	inBubble(t, nil, &flow.EngineOptions{Queue: q}, func(r *rig) {
		q.taken = func(*nodebus.Prompt) { q.taken = nil; r.engine.Pause() }
		wait := r.start(&nodebus.Prompt{ID: "p", Nodes: showing("x")})
		time.Sleep(longer)
		require.Equal(t, []string{"p"}, queued(t, r.engine.Queued(r.ctx)), "the engine gives it back")
		r.engine.Resume()
		require.Equal(t, 1, wait().record.Attempt)
	})
}

// TestDrain checks that Run ends when what runs has ended, and that the rest stays.
func TestDrain(t *testing.T) {
	inFleet(t, func(f *fleet) {
		g := &gateNode{make(chan struct{})}
		f.fn("Gate", g.run)
		e := f.engine(&flow.EngineOptions{Parallel: 1})
		ran := make(chan error, 1)
		go func() { ran <- e.Run(f.ctx) }()
		running := f.submit(e, &nodebus.Prompt{ID: "running", Nodes: two("Gate")})
		synctest.Wait()
		unready, err := e.Submit(f.ctx, &nodebus.Prompt{ID: "unready", Nodes: shown("x")}, &flow.SubmitOptions{Ready: make(chan struct{})})
		require.NoError(t, err)
		short, cancel := context.WithTimeoutCause(f.ctx, time.Second, errNet)
		defer cancel()
		require.ErrorIs(t, e.Drain(short), errNet)
		require.Equal(t, []string{"+running", "unready"}, queued(t, e.Queued(f.ctx)), "it goes on")
		drained := make(chan error, 1)
		go func() { drained <- e.Drain(f.ctx) }()
		synctest.Wait()
		waiting := f.submit(e, &nodebus.Prompt{ID: "waiting", ClientID: "other", Nodes: shown("x")})
		close(g.open)
		require.Equal(t, nodebus.Succeeded, f.ended(running))
		require.NoError(t, <-drained)
		require.NoError(t, <-ran, "Run has nothing more to do")
		time.Sleep(time.Hour)
		require.Equal(t, []string{"unready", "waiting"}, queued(t, e.Queued(f.ctx)))
		require.NoError(t, e.Drain(f.ctx), "nothing runs")
		f.run(e)
		require.Equal(t, nodebus.Succeeded, f.ended(waiting), "Run may be called again")
		require.True(t, interrupt(e, "unready"))
		require.Equal(t, nodebus.Interrupted, f.ended(unready))
	})
}

// TestRunThatDrains: with EngineOptions.Drain, a Run whose context ends lets the running
// prompt end, for a while, and begins no other.
func TestRunThatDrains(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration
		state nodebus.State
		ends  time.Duration
	}{
		"ends in time":    {50 * time.Second, nodebus.Succeeded, 50 * time.Second},
		"is interrupted":  {time.Hour, nodebus.Interrupted, time.Minute},
		"nothing to wait": {0, nodebus.Succeeded, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				f.fn("Slow", func(ctx *nodebus.Context, in, _ any) (any, error) {
					select {
					case <-time.After(c.takes):
						return in, nil
					case <-ctx.Done():
						return nil, context.Cause(ctx)
					}
				})
				e := f.engine(&flow.EngineOptions{Drain: time.Minute, Parallel: 1})
				ctx, cancel := context.WithCancel(f.ctx)
				first := f.submit(e, &nodebus.Prompt{ID: "first", Nodes: two("Slow")})
				second := f.submit(e, &nodebus.Prompt{ID: "second", Nodes: two("Slow")})
				ended := make(chan error, 1)
				go func() { ended <- e.Run(ctx) }()
				if c.takes > 0 {
					synctest.Wait()
				} else {
					_ = f.ended(second)
				}
				began := time.Now()
				cancel()
				require.ErrorIs(t, <-ended, context.Canceled)
				require.Equal(t, c.ends, time.Since(began))
				require.Equal(t, c.state, f.ended(first))
				if c.takes > 0 {
					require.Equal(t, []string{"second"}, queued(t, e.Queued(f.ctx)))
				}
			})
		})
	}
}

// TestDrainOfDo drains an engine that Do runs: the prompt that runs ends, and Do does not
// wait for the prompt that has not begun.
func TestDrainOfDo(t *testing.T) {
	inFleet(t, func(f *fleet) {
		g := &gateNode{make(chan struct{})}
		f.fn("Gate", g.run)
		e := f.engine(&flow.EngineOptions{Parallel: 1})
		results := map[string]chan error{"first": make(chan error, 1), "second": make(chan error, 1)}
		do := func(id string, nodes nodebus.Nodes) {
			_, err := flow.Do(f.ctx, e, &nodebus.Prompt{ID: id, Nodes: nodes})
			results[id] <- err
		}
		go do("first", two("Gate"))
		synctest.Wait()
		go do("second", shown("x"))
		synctest.Wait()
		drained := make(chan error, 1)
		go func() { drained <- e.Drain(f.ctx) }()
		synctest.Wait()
		require.NoError(t, e.Run(f.ctx), "Run begins nothing while Drain waits")
		close(g.open)
		require.NoError(t, <-results["first"])
		require.NoError(t, <-drained)
		require.ErrorContains(t, <-results["second"], "drains")
		require.Zero(t, e.Remaining())
		_, err := flow.Do(f.ctx, e, &nodebus.Prompt{ID: "third", Nodes: shown("x")})
		require.NoError(t, err)
	})
}

// TestReorder changes the order of what waits.
func TestReorder(t *testing.T) {
	for _, first := range []float64{0, 3, -1e300, 1e17} {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				e := f.engine(nil)
				for i, id := range []string{"a", "b", "c", "d"} {
					f.submit(e, &nodebus.Prompt{ID: id, ClientID: "me", Priority: first + float64(i), Nodes: shown(id)})
				}
				require.NoError(t, e.Reorder(f.ctx, "d", "b"))
				require.Equal(t, []string{"d", "b", "a", "c"}, queued(t, e.Queued(f.ctx)))
				require.ErrorIs(t, e.Reorder(f.ctx, "c", "nobody", "d"), flow.ErrNotFound)
				require.Equal(t, []string{"c", "d", "b", "a"}, queued(t, e.Queued(f.ctx)))
				require.NoError(t, e.Prioritize(f.ctx, "c", first+100))
				require.ErrorIs(t, e.Prioritize(f.ctx, "nobody", 1), flow.ErrNotFound)
				nan := 0.0
				require.ErrorContains(t, e.Prioritize(f.ctx, "c", nan/nan), "finite")
			})
		})
	}
}

// TestReorderOfUnreadyPrompts moves a prompt before one that is not ready: it runs.
func TestReorderOfUnreadyPrompts(t *testing.T) {
	inFleet(t, func(f *fleet) {
		e := f.engine(nil)
		f.run(e)
		ready := make(chan struct{})
		held, err := e.Submit(f.ctx, &nodebus.Prompt{ID: "held", ClientID: "me", Nodes: shown("x")}, &flow.SubmitOptions{Ready: ready})
		require.NoError(t, err)
		s := f.submit(e, &nodebus.Prompt{ID: "behind", ClientID: "me", Nodes: shown("x")})
		time.Sleep(time.Minute)
		require.Equal(t, []string{"held", "behind"}, queued(t, e.Queued(f.ctx)))
		require.NoError(t, e.Reorder(f.ctx, "behind"))
		require.Equal(t, nodebus.Succeeded, f.ended(s))
		rec, err := f.store.Get(f.ctx, "behind")
		require.NoError(t, err)
		require.Negative(t, rec.Prompt.Priority, "the record has the priority with which it ran")
		close(ready)
		require.Equal(t, nodebus.Succeeded, f.ended(held))
	})
}

// TestPosition looks at the places of prompts in the queue.
func TestPosition(t *testing.T) {
	inFleet(t, func(f *fleet) {
		f.fn("Work", func(ctx *nodebus.Context, _, _ any) (any, error) {
			select {
			case <-time.After(time.Minute):
				return 1, nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		})
		e := f.engine(&flow.EngineOptions{Parallel: 2, Executor: flow.NewLocal(f.reg, &flow.LocalOptions{Cache: flow.NoCache()})})
		f.run(e)
		f.ended(f.submit(e, &nodebus.Prompt{Nodes: pipe("x", "Work", 1)})) // the engine learns how long a prompt takes
		for i, client := range []string{"a", "a", "b", "b", "c", "a"} {
			f.submit(e, &nodebus.Prompt{ID: fmt.Sprint(i), ClientID: client, Nodes: pipe("x", "Work", 1)})
			synctest.Wait()
		}
		var got []flow.Position
		for i := range 6 {
			p, err := e.Position(f.ctx, fmt.Sprint(i))
			require.NoError(t, err)
			got = append(got, p)
		}
		require.Equal(t, []flow.Position{
			{Running: true},
			{Ahead: 0, Estimate: time.Minute}, // one place of client a
			{Running: true},
			{Ahead: 1, Estimate: time.Minute},
			{Ahead: 2, Estimate: 90 * time.Second},
			{Ahead: 3, Estimate: 2 * time.Minute},
		}, got)
		_, err := e.Position(f.ctx, "nobody")
		require.ErrorIs(t, err, flow.ErrNotFound)
	})
}

// TestTakeThatFails has a queue that fails for a while.
func TestTakeThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		for_ time.Duration
		want error // of Run; nil: it goes on
		took time.Duration
	}{
		"a while":              {errQueue, 55 * time.Second, nil, 0},
		"for ever":             {errQueue, longer, errQueue, time.Minute},
		"the queue is closed":  {fmt.Errorf("queue: %w", nodebus.ErrClosed), longer, nodebus.ErrClosed, 0},
		"panics for a moment":  {nil, time.Second, nil, 0},
		"longer, with a break": {errQueue, 90 * time.Second, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				g := &gateNode{make(chan struct{})}
				f.fn("Gate", g.run)
				q := &hookedQueue{Queue: f.queue}
				e := f.engine(&flow.EngineOptions{Queue: q})
				began, calls := time.Now(), 0
				ran := make(chan error, 1)
				ctx, cancel := context.WithCancel(f.ctx)
				go func() { ran <- e.Run(ctx) }()
				running := f.submit(e, &nodebus.Prompt{ID: "running", ClientID: "a", Nodes: two("Gate")})
				synctest.Wait()
				e.Pause() // ends the call of Take that is not hooked
				synctest.Wait()
				q.take = func(ctx context.Context, _ func(string) bool, _ int64) (flow.Lease, error) {
					since := time.Since(began)
					if since >= c.for_ {
						return nil, nil
					}
					if calls++; c.err == nil {
						panic("no")
					}
					if name == "longer, with a break" && since > 30*time.Second && since < 50*time.Second {
						<-ctx.Done()
						return nil, context.Cause(ctx)
					}
					return nil, c.err
				}
				s := f.submit(e, &nodebus.Prompt{ID: "p", ClientID: "b", Nodes: shown("x")})
				e.Resume()
				if name == "longer, with a break" {
					time.Sleep(50 * time.Second)
					e.Pause()
					e.Resume()
				}
				if c.want != nil {
					err := <-ran
					require.ErrorIs(t, err, c.want)
					require.InDelta(t, float64(c.took), float64(time.Since(began)), float64(5*time.Second))
					require.Equal(t, nodebus.Interrupted, f.ended(running))
					require.Equal(t, []string{"p"}, queued(t, e.Queued(f.ctx)))
					require.Less(t, calls, 30, "the pauses grow")
					cancel()
					return
				}
				time.Sleep(c.for_ + 10*time.Second)
				close(g.open)
				require.Equal(t, nodebus.Succeeded, f.ended(running), "what runs goes on meanwhile")
				require.Equal(t, nodebus.Succeeded, f.ended(s))
				cancel()
				require.ErrorIs(t, <-ran, context.Canceled)
			})
		})
	}
}

// TestParallelOverADrainingRun has a Do whose Run still has a prompt of Submit when another
// Do begins: the engine still runs one prompt at a time.
func TestParallelOverADrainingRun(t *testing.T) {
	for _, perClient := range []int{1, 2} {
		inFleet(t, func(f *fleet) {
			g := &gateNode{make(chan struct{})}
			f.fn("Gate", g.run)
			e := f.engine(&flow.EngineOptions{Parallel: 3 - perClient, PerClient: perClient}) // one of the two limits is 1
			ended := make(chan error, 2)
			ctx, cancel := context.WithCancelCause(f.ctx)
			s := f.submit(e, &nodebus.Prompt{ID: "long", ClientID: "me", Nodes: two("Gate")})
			go func() {
				_, err := flow.Do(ctx, e, &nodebus.Prompt{ID: "first", ClientID: "me", Nodes: shown("x")})
				ended <- err
			}()
			synctest.Wait()
			_, err := e.Delete(f.ctx, "first") // the Run of this Do now only waits for long
			require.NoError(t, err)
			synctest.Wait()
			go func() {
				_, err := flow.Do(f.ctx, e, &nodebus.Prompt{ID: "second", ClientID: "me", Nodes: shown("x")})
				ended <- err
			}()
			time.Sleep(time.Minute)
			require.Equal(t, []string{"+long", "second"}, queued(t, e.Queued(f.ctx)))
			close(g.open)
			require.Equal(t, nodebus.Succeeded, f.ended(s))
			errs := errors.Join(<-ended, <-ended)
			require.ErrorIs(t, errs, flow.ErrNotFound, "the first Do")
			cancel(nil)
		})
	}
}
