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

var errNet = errors.New("the network is gone")

// cutOff is a queue whose leases cannot be extended.
func cutOff(q flow.Queue) *hookedQueue {
	return &hookedQueue{Queue: q, extend: func(context.Context, int64) error { return errNet }}
}

// TestLapseAcrossEngines cuts one engine off from the queue while it runs a prompt: another
// engine attempts the prompt again, and the first says nothing more.
func TestLapseAcrossEngines(t *testing.T) {
	inFleet(t, func(f *fleet) {
		late := make(chan error, 1)
		f.fn("Slow", func(ctx *nodebus.Context, in, _ any) (any, error) {
			if ctx.Attempt() > 1 {
				time.Sleep(time.Minute)
				return in, nil
			}
			<-ctx.Done()
			time.Sleep(time.Second)
			late <- ctx.SendSync(nodebus.Custom{Type: "late"})
			return nil, context.Cause(ctx)
		})
		lost, other := f.engine(&flow.EngineOptions{Queue: cutOff(f.queue)}), f.engine(nil)
		tape := f.record()
		f.run(lost)
		s := f.submit(lost, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: two("Slow")})
		synctest.Wait()
		lost.Pause() // otherwise it may also take the next attempt
		f.run(other)
		o, err := s.Wait(f.ctx)
		require.NoError(t, err)
		require.Equal(t, nodebus.Succeeded, o.State, "Wait waits for the prompt, not for the attempt")
		require.ErrorIs(t, <-late, nodebus.ErrClosed)
		time.Sleep(longer)
		types, attempts := tape.of("p")
		require.Equal(t, []string{
			"start", "cached", "executing x",
			"start", "cached", "executing x", "executing out", "executed out", "success", "executing ",
		}, types)
		require.Equal(t, []int{1, 1, 1, 2, 2, 2, 2, 2, 2, 2}, attempts)
		rec, err := f.store.Get(f.ctx, "p")
		require.NoError(t, err)
		require.Equal(t, 2, rec.Attempt)
		require.Equal(t, 2, rec.Start.Attempt)
		require.Zero(t, lost.Remaining())
	})
}

// TestAttemptsFollowEachOther has an executor that does not stop at once when a lease
// lapses. The next attempt, in the same engine, waits for the earlier one, but not for
// ever.
func TestAttemptsFollowEachOther(t *testing.T) {
	for name, c := range map[string]struct {
		perClient  int
		stops, gap time.Duration
	}{
		"it stops soon":            {2, 10 * time.Second, 10 * time.Second},
		"it stops never":           {2, time.Hour, 30 * time.Second},
		"it stops at the end":      {2, 29 * time.Second, 29 * time.Second},
		"it keeps its place":       {1, 10 * time.Second, 10 * time.Second},
		"it keeps no place always": {1, time.Hour, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				var again time.Time
				lapsed, cause, late := make(chan time.Time, 1), make(chan error, 1), make(chan error, 1)
				exec := executorFunc(func(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
					if job.Attempt > 1 {
						again = time.Now()
						return nodebus.Report{}, nil
					}
					<-ctx.Done()
					lapsed <- time.Now()
					cause <- context.Cause(ctx)
					time.Sleep(c.stops)
					late <- pub.Publish(nodebus.Event{Payload: nodebus.Custom{Type: "late"}})
					return nodebus.Report{}, nil
				})
				q := &hookedQueue{Queue: f.queue}
				e := f.engine(&flow.EngineOptions{Executor: exec, Queue: q, Parallel: c.perClient, PerClient: c.perClient})
				tape := f.record()
				f.run(e)
				s := f.submit(e, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
				synctest.Wait()
				require.NoError(t, q.last.Extend(f.ctx, 0)) // the queue gives the prompt out again, and the engine learns it by that
				require.Equal(t, nodebus.Succeeded, f.ended(s))
				require.InDelta(t, float64(c.gap), float64(again.Sub(<-lapsed)), float64(time.Second))
				types, _ := tape.of("p")
				require.Equal(t, []string{"start", "start", "cached", "success", "executing "}, types)
				time.Sleep(2 * time.Hour)
				require.ErrorIs(t, <-cause, flow.ErrLapsed)
				require.ErrorIs(t, <-late, nodebus.ErrClosed)
				require.Zero(t, e.Remaining())
			})
		})
	}
}

// TestPromptWithARecordIsNotRunAgain lets the lease of a prompt lapse after its record was
// stored. The next engine does not run it, and tells its end only if nobody was told.
func TestPromptWithARecordIsNotRunAgain(t *testing.T) {
	for name, c := range map[string]struct {
		shared bool // the engines share a log
		told   []string
	}{
		"the log has the last word":     {true, []string{"start", "cached", "executing o", "executed o", "success", "executing "}},
		"the log has not the last word": {false, []string{"success", "executing "}},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				q := &hookedQueue{Queue: f.queue, done: func(context.Context) error { return errNet }}
				first := f.engine(&flow.EngineOptions{Queue: q})
				stop := f.run(first)
				tape := f.record()
				s := f.submit(first, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})
				require.Equal(t, nodebus.Succeeded, f.ended(s))
				stop()
				if !c.shared {
					synctest.Wait()
					require.NoError(t, f.hub.Close())
					f.hub = nodebus.NewHub(nil)
					tape = f.record()
				}
				q.done = nil
				second := f.engine(&flow.EngineOptions{Queue: q, Executor: executorFunc(func(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
					t.Error("the prompt runs again")
					return nodebus.Report{}, nil
				})})
				f.run(second)
				time.Sleep(longer)
				types, _ := tape.of("p")
				require.Equal(t, c.told, types)
				require.Zero(t, second.Remaining())
				require.Empty(t, queued(t, f.queue.List(f.ctx)))
			})
		})
	}
}

// TestLastWordThatIsHalfTold has a log with the outcome of a prompt, but without its
// closing event.
func TestLastWordThatIsHalfTold(t *testing.T) {
	inFleet(t, func(f *fleet) {
		p := &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x"), Created: time.Now()}
		success := nodebus.ExecutionSuccess{PromptID: "p"}
		require.NoError(t, f.store.Put(f.ctx, flow.Record{Prompt: p, Attempt: 1, State: nodebus.Succeeded, Success: &success}))
		require.NoError(t, f.queue.Push(f.ctx, p, nil))
		tape := f.record()
		require.NoError(t, f.hub.Publish(nodebus.Event{PromptID: "p", To: "me", Attempt: 1, Payload: nodebus.ExecutionStart{PromptID: "p"}}))
		require.NoError(t, f.hub.Publish(nodebus.Event{PromptID: "p", To: "me", Attempt: 1, Payload: success}))
		e := f.engine(nil)
		f.run(e)
		synctest.Wait()
		types, _ := tape.of("p")
		require.Equal(t, []string{"start", "success", "executing "}, types)
		require.Zero(t, e.Remaining())
	})
}

// TestPromptThatBeginsTooOften has a prompt that ended its process each time it began.
func TestPromptThatBeginsTooOften(t *testing.T) {
	for name, c := range map[string]struct {
		attempt, attempts, retries int
		runs                       bool
	}{
		"the last attempt":           {5, 0, 0, true},
		"too often":                  {6, 0, 0, false},
		"fewer attempts are allowed": {3, 2, 0, false},
		"the retries come on top":    {6, 0, 1, true},
		"too often with retries too": {7, 0, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				q := &hookedQueue{Queue: f.queue, attempt: c.attempt}
				e := f.engine(&flow.EngineOptions{Queue: q, Attempts: c.attempts})
				f.run(e)
				tape := f.record()
				s := f.submit(e, &nodebus.Prompt{ID: "p", Nodes: shown("x"), Policy: nodebus.Policy{Retries: c.retries}})
				o, err := s.Wait(f.ctx)
				require.NoError(t, err)
				synctest.Wait()
				types, _ := tape.of("p")
				if c.runs {
					require.Equal(t, nodebus.Succeeded, o.State)
					return
				}
				require.Equal(t, nodebus.Failed, o.State)
				require.Equal(t, "too_many_attempts", o.Error.ExceptionType)
				require.Equal(t, []string{"too_many_attempts ", "executing "}, types)
				require.Zero(t, e.Remaining())
			})
		})
	}
}

// TestInterruptBetweenTwoAttempts interrupts a prompt whose lease nobody extends.
func TestInterruptBetweenTwoAttempts(t *testing.T) {
	inFleet(t, func(f *fleet) {
		dead := f.engine(nil)
		f.submit(dead, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})
		_, err := f.queue.Take(f.ctx, func(string) bool { return false }) // a process that dies
		require.NoError(t, err)
		tape := f.record()
		e := f.engine(nil)
		f.run(e)
		require.True(t, interrupt(e, "p"))
		o, err := e.Wait(f.ctx, "p")
		require.NoError(t, err)
		require.Equal(t, nodebus.Interrupted, o.State)
		types, _ := tape.of("p")
		require.Equal(t, []string{"interrupted ", "executing "}, types)
	})
}

// TestLateEngineLeavesANewPromptAlone has an engine that stands still after the end of a prompt,
// before it takes it out of the queue. Meanwhile its lease lapses, another engine takes the
// prompt out of the queue, and the id is used again. The late engine does not touch the new
// prompt, nor its signals.
func TestLateEngineLeavesANewPromptAlone(t *testing.T) {
	for name, signals := range map[string]bool{"the prompt": false, "its interrupt": true} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				goOn := make(chan struct{})
				var lease flow.Lease
				q := &hookedQueue{Queue: f.queue, done: func(ctx context.Context) error {
					<-goOn
					return lease.Done(ctx)
				}}
				late, other := f.engine(&flow.EngineOptions{Queue: q}), f.engine(nil)
				stopLate := f.run(late)
				f.submit(late, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})
				synctest.Wait()
				lease = q.last
				late.Pause()
				require.NoError(t, lease.Extend(f.ctx, 0))
				stop := f.run(other)
				synctest.Wait()
				require.Empty(t, queued(t, f.queue.List(f.ctx)), "the other engine has found the record")
				stop()
				require.NoError(t, f.store.Delete(f.ctx, "p"))
				time.Sleep(time.Second) // prompts with the same id differ in Created
				s := f.submit(other, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("y")})
				want := nodebus.Succeeded
				if signals {
					require.NoError(t, f.sigs.Send(f.ctx, flow.Signal{PromptID: "p", Interrupt: true}))
					want = nodebus.Interrupted
				}
				close(goOn)
				synctest.Wait()
				stopLate()
				require.Equal(t, []string{"p"}, queued(t, f.queue.List(f.ctx)))
				f.run(other)
				require.Equal(t, want, f.ended(s))
				rec, err := f.store.Get(f.ctx, "p")
				require.NoError(t, err)
				require.Equal(t, 1, rec.Attempt, "the late engine has given the new prompt back")
			})
		})
	}
}

// TestLateEngineTakesItsPromptOut has an engine whose lease lapses before it is done, so that the
// prompt waits again. The engine takes it out of the queue.
func TestLateEngineTakesItsPromptOut(t *testing.T) {
	inFleet(t, func(f *fleet) {
		q := &hookedQueue{Queue: f.queue}
		q.done = func(ctx context.Context) error {
			if err := q.last.Extend(ctx, 0); err != nil {
				return err
			}
			return q.last.Done(ctx)
		}
		e := f.engine(&flow.EngineOptions{Queue: q, Parallel: 1})
		f.run(e)
		require.Equal(t, nodebus.Succeeded, f.ended(f.submit(e, &nodebus.Prompt{ID: "p", Nodes: shown("x")})))
		require.Empty(t, queued(t, f.queue.List(f.ctx)))
	})
}
