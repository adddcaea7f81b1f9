package flow_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// These tests have a prompt whose first attempt has failed, and that waits for its next.

// betweenAttempts submits a prompt that fails, and waits for a minute of its pause, which
// takes an hour.
func (f *fleet) betweenAttempts(e *flow.Engine, policy nodebus.Policy) *flow.Submission {
	f.t.Helper()
	f.fn("Fail", func(*nodebus.Context, any, any) (any, error) { return nil, errors.New("the real reason") })
	policy.Retries, policy.RetryAfter = 1, time.Hour
	s := f.submit(e, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: two("Fail"), Policy: policy})
	time.Sleep(time.Minute)
	return s
}

// TestRecordOfAPromptThatEndsBetweenAttempts: the record and the events tell of the last
// attempt.
func TestRecordOfAPromptThatEndsBetweenAttempts(t *testing.T) {
	for name, c := range map[string]struct {
		deadline time.Duration
		paused   bool
		end      func(f *fleet, self, other *flow.Engine) error
		after    time.Duration
		want     nodebus.State
	}{
		"interrupt": {0, false, func(f *fleet, e, _ *flow.Engine) error { _, err := e.Interrupt(f.ctx, "p"); return err }, time.Minute, nodebus.Interrupted},
		"interrupt while the engine is paused": {
			0, true, func(f *fleet, e, _ *flow.Engine) error { _, err := e.Interrupt(f.ctx, "p"); return err }, time.Minute, nodebus.Interrupted,
		},
		"interrupt of another engine": {
			0, false, func(f *fleet, _, e *flow.Engine) error { _, err := e.Interrupt(f.ctx, "p"); return err }, time.Minute, nodebus.Interrupted,
		},
		"interrupt of another engine while this is paused": {
			0, true, func(f *fleet, _, e *flow.Engine) error { _, err := e.Interrupt(f.ctx, "p"); return err }, time.Minute, nodebus.Interrupted,
		},
		"delete": {0, true, func(f *fleet, e, _ *flow.Engine) error {
			gone, err := e.Delete(f.ctx, "p", "nobody", "p")
			require.Equal(f.t, []string{"p"}, gone)
			return err
		}, time.Minute, nodebus.Interrupted},
		"deadline": {90 * time.Minute, true, func(*fleet, *flow.Engine, *flow.Engine) error { return nil }, 90 * time.Minute, nodebus.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				a, b := f.engine(nil), f.engine(nil)
				f.run(a)
				tape := f.record()
				var policy nodebus.Policy
				if c.deadline > 0 {
					policy.Deadline = time.Now().Add(c.deadline)
				}
				s := f.betweenAttempts(a, policy)
				if c.paused {
					a.Pause()
				}
				require.NoError(t, c.end(f, a, b))
				o, err := s.Wait(f.ctx)
				require.NoError(t, err)
				require.Equal(t, c.after, time.Since(bubbleStart))
				require.Equal(t, c.want, o.State)
				require.Equal(t, 1, o.Attempt)
				require.Len(t, o.Errors, 1)
				require.Contains(t, o.Errors[0].ExceptionMessage, "the real reason")
				rec, err := f.store.Get(f.ctx, "p")
				require.NoError(t, err)
				require.Equal(t, bubbleStart, rec.Started.UTC())
				require.NotNil(t, rec.Start)
				types, attempts := tape.of("p")
				require.Equal(t, 1, count_(types, "executing "), types)
				require.Equal(t, 1, attempts[len(attempts)-1])
				synctest.Wait()
				require.Zero(t, a.Remaining())
			})
		})
	}
}

// TestRecordOfAForeignPromptThatHasBegun: an engine ends a prompt whose leases have lapsed
// in another. It knows the number of the last attempt from the queue.
func TestRecordOfAForeignPromptThatHasBegun(t *testing.T) {
	inFleet(t, func(f *fleet) {
		f.fn("Slow", waitsForEnd)
		q := &lapsing{Queue: f.queue}
		q.lapses.Store(4)
		a, b := f.engine(&flow.EngineOptions{Queue: q, Parallel: 1}), f.engine(nil)
		stop := f.run(a)
		tape := f.record()
		s := f.submit(a, &nodebus.Prompt{ID: "p", Nodes: two("Slow")})
		time.Sleep(3*30*time.Second + 10*time.Second)
		a.Pause() // before the end of the fourth lease
		time.Sleep(longer)
		require.True(t, interrupt(b, "p"))
		types, attempts := tape.of("p")
		require.Equal(t, 4, count_(types, "start"))
		require.Equal(t, 4, attempts[len(attempts)-1])
		o, err := s.Wait(f.ctx)
		require.NoError(t, err)
		require.Equal(t, nodebus.Interrupted, o.State)
		require.Equal(t, 4, o.Attempt)
		stop()
	})
}

// TestPrioritizeBetweenAttempts: the prompt begins as soon as it is the first.
func TestPrioritizeBetweenAttempts(t *testing.T) {
	for name, busy := range map[string]bool{"idle": false, "busy": true} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				g := &gateNode{make(chan struct{})}
				f.fn("Gate", g.run)
				e := f.engine(&flow.EngineOptions{Parallel: 1})
				f.run(e)
				s := f.betweenAttempts(e, nodebus.Policy{})
				if busy {
					f.submit(e, &nodebus.Prompt{ID: "runs", ClientID: "other", Nodes: two("Gate")})
					f.submit(e, &nodebus.Prompt{ID: "waits", ClientID: "other", Nodes: shown("x")})
					synctest.Wait()
				}
				require.NoError(t, e.Prioritize(f.ctx, "p", -1))
				if busy {
					require.Equal(t, []string{"+runs", "p", "waits"}, queued(t, e.Queued(f.ctx)))
				}
				close(g.open)
				o, err := s.Wait(f.ctx)
				require.NoError(t, err)
				require.Equal(t, 2, o.Attempt)
				require.Equal(t, time.Minute, time.Since(bubbleStart))
				require.ErrorIs(t, e.Prioritize(f.ctx, "p", -1), flow.ErrNotFound)
			})
		})
	}
}

// TestPauseThatAnotherEngineEnds: another engine makes the next attempt. The first engine
// lists the prompt as one that runs, and does not take it for a waiting prompt.
func TestPauseThatAnotherEngineEnds(t *testing.T) {
	inFleet(t, func(f *fleet) {
		g := &gateNode{make(chan struct{})}
		n := 0
		f.fn("Try", func(ctx *nodebus.Context, _, _ any) (any, error) {
			if n++; n == 1 {
				return nil, errors.New("not yet")
			}
			return g.run(ctx, 1, nil)
		})
		a, b := f.engine(nil), f.engine(nil)
		stop := f.run(a)
		s := f.submit(a, &nodebus.Prompt{ID: "p", Nodes: two("Try"), Policy: nodebus.Policy{Retries: 1, RetryAfter: time.Minute}})
		synctest.Wait()
		stop()
		require.Equal(t, []string{"p"}, queued(t, a.Queued(f.ctx)))
		f.run(b)
		time.Sleep(2 * time.Minute)
		require.Equal(t, []string{"+p"}, queued(t, a.Queued(f.ctx)))
		require.ErrorIs(t, a.Prioritize(f.ctx, "p", 1), flow.ErrNotFound)
		gone, err := a.Delete(f.ctx, "p")
		require.NoError(t, err)
		require.Empty(t, gone)
		close(g.open)
		require.Equal(t, nodebus.Succeeded, f.ended(s))
	})
}

// TestEndOfAPromptThatHasEnded: a prompt has ended, but its process has died before it could
// take the prompt out of the queue. Its outcome does not change.
func TestEndOfAPromptThatHasEnded(t *testing.T) {
	for name, end := range map[string]func(f *fleet, e *flow.Engine) error{
		"interrupt": func(f *fleet, e *flow.Engine) error { _, err := e.Interrupt(f.ctx, "p"); return err },
		"delete":    func(f *fleet, e *flow.Engine) error { _, err := e.Delete(f.ctx, "p"); return err },
		"deadline":  func(*fleet, *flow.Engine) error { time.Sleep(longer); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				e := f.engine(nil)
				tape := f.record()
				p := &nodebus.Prompt{ID: "p", Nodes: shown("x"), Policy: nodebus.Policy{Deadline: time.Now().Add(time.Minute)}}
				s := f.submit(e, p)
				_, err := f.queue.Take(f.ctx, func(string) bool { return false }) // the other process
				require.NoError(t, err)
				require.NoError(t, f.store.Put(f.ctx, flow.Record{
					Prompt: p, Attempt: 1, State: nodebus.Succeeded, Ended: time.Now(), Success: &nodebus.ExecutionSuccess{PromptID: "p"},
				}))
				time.Sleep(40 * time.Second)
				require.Equal(t, []string{"p"}, queued(t, e.Queued(f.ctx)))
				require.NoError(t, end(f, e))
				require.Equal(t, nodebus.Succeeded, f.ended(s))
				types, _ := tape.of("p")
				require.Equal(t, []string{"success", "executing "}, types)
				require.Zero(t, e.Remaining())
			})
		})
	}
}
