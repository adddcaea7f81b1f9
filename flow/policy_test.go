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

// TestRetries has a node that fails some times.
func TestRetries(t *testing.T) {
	for name, c := range map[string]struct {
		policy   nodebus.Policy
		err      func(n int) error // of the attempt n, from 1
		attempts int
		took     time.Duration
		want     nodebus.State
	}{
		"none":               {nodebus.Policy{}, failing(9), 1, 0, nodebus.Failed},
		"enough":             {nodebus.Policy{Retries: 2}, failing(2), 3, 0, nodebus.Succeeded},
		"with pauses":        {nodebus.Policy{Retries: 2, RetryAfter: 10 * time.Second}, failing(2), 3, 20 * time.Second, nodebus.Succeeded},
		"with long pauses":   {nodebus.Policy{Retries: 1, RetryAfter: time.Hour}, failing(2), 2, time.Hour, nodebus.Failed},
		"too few":            {nodebus.Policy{Retries: 2}, failing(9), 3, 0, nodebus.Failed},
		"more than Attempts": {nodebus.Policy{Retries: 20}, failing(20), 21, 0, nodebus.Succeeded},
		"the prompt interrupts itself": {
			nodebus.Policy{Retries: 2}, func(int) error { return nodebus.ErrInterrupted }, 1, 0, nodebus.Interrupted,
		},
		"a panic": {nodebus.Policy{Retries: 1}, func(n int) error {
			if n == 1 {
				panic("at first")
			}
			return nil
		}, 2, 0, nodebus.Succeeded},
		"the next attempt would be too late": {
			nodebus.Policy{Retries: 2, RetryAfter: time.Minute, Deadline: bubbleStart.Add(30 * time.Second)}, failing(9), 1, 0, nodebus.Failed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				n := 0
				f.fn("Try", func(*nodebus.Context, any, any) (any, error) {
					n++
					return n, c.err(n)
				})
				e := f.engine(nil)
				f.run(e)
				tape := f.record()
				began := time.Now()
				o, err := f.submit(e, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: two("Try"), Policy: c.policy}).Wait(f.ctx)
				require.NoError(t, err)
				require.Equal(t, c.want, o.State)
				require.Equal(t, c.took, time.Since(began))
				require.Equal(t, c.attempts, o.Attempt)
				require.Equal(t, c.attempts, n)
				types, attempts := tape.of("p")
				starts := 0
				for i, kind := range types {
					if kind == "start" {
						starts++
					}
					require.Equal(t, starts, attempts[i])
				}
				require.Equal(t, c.attempts, starts)
				require.Equal(t, 1, count_(types, "executing "), types)
				rec, err := f.store.Get(f.ctx, "p")
				require.NoError(t, err)
				require.Equal(t, c.attempts, rec.Attempt)
				require.Zero(t, e.Remaining())
			})
		})
	}
}

// bubbleStart is the time at which a bubble begins.
var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func failing(times int) func(n int) error {
	return func(n int) error {
		if n <= times {
			return fmt.Errorf("failure %d", n)
		}
		return nil
	}
}

// TestRefusedIsNotRetried has a node that refuses the prompt.
func TestRefusedIsNotRetried(t *testing.T) {
	inFleet(t, func(f *fleet) {
		n := 0
		f.fn("Refuse", func(*nodebus.Context, any, any) (any, error) {
			n++
			return nil, &nodebus.RefusedError{Reason: "no"}
		})
		e := f.engine(nil)
		f.run(e)
		s := f.submit(e, &nodebus.Prompt{Nodes: two("Refuse"), Policy: nodebus.Policy{Retries: 3}})
		require.Equal(t, nodebus.Refused, f.ended(s))
		require.Equal(t, 1, n)
	})
}

// TestEndBetweenAttempts ends a prompt in the pause before its next attempt.
func TestEndBetweenAttempts(t *testing.T) {
	for name, c := range map[string]struct {
		policy nodebus.Policy
		end    func(e *flow.Engine)
		after  time.Duration
		want   string
	}{
		"interrupt": {nodebus.Policy{}, func(e *flow.Engine) { interrupt(e, "p") }, time.Minute, "interrupted "},
		"deadline": {
			nodebus.Policy{Deadline: bubbleStart.Add(2 * time.Hour)}, func(*flow.Engine) {}, time.Minute, "error x",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				n := 0
				f.fn("Fail", func(*nodebus.Context, any, any) (any, error) { n++; return nil, errors.New("boom") })
				e := f.engine(nil)
				f.run(e)
				tape := f.record()
				c.policy.Retries, c.policy.RetryAfter = 9, time.Hour
				s := f.submit(e, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: two("Fail"), Policy: c.policy})
				synctest.Wait()
				require.Equal(t, 1, n)
				require.Equal(t, 1, e.Remaining())
				time.Sleep(c.after)
				c.end(e)
				f.ended(s)
				types, _ := tape.of("p")
				require.Equal(t, []string{c.want, "executing "}, types[len(types)-2:])
			})
		})
	}
}

// TestDeadline has prompts whose deadline passes.
func TestDeadline(t *testing.T) {
	minute := nodebus.Policy{Deadline: bubbleStart.Add(time.Minute)}
	for name, c := range map[string]struct {
		policy nodebus.Policy
		holds  bool // the prompt is never ready
		busy   bool // another prompt of the client runs
		typ    string
		node   string
		starts int
	}{
		"it runs":             {minute, false, false, "deadline", "x", 1},
		"it waits":            {minute, false, true, "deadline", "", 0},
		"it is not ready":     {minute, true, false, "deadline", "", 0},
		"it is late":          {nodebus.Policy{Deadline: bubbleStart.Add(-time.Minute)}, false, false, "deadline", "", 0},
		"it takes too long":   {nodebus.Policy{Timeout: time.Minute}, false, false, "timeout", "x", 1},
		"each attempt counts": {nodebus.Policy{Timeout: 20 * time.Second, Retries: 2}, false, false, "timeout", "x", 3},
		"no retry after it":   {nodebus.Policy{Deadline: minute.Deadline, Retries: 2}, false, false, "deadline", "x", 1},
		"deadline before timeout": {
			nodebus.Policy{Deadline: minute.Deadline, Timeout: time.Hour}, false, false, "deadline", "x", 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				g := &gateNode{make(chan struct{})}
				f.fn("Gate", g.run)
				e := f.engine(nil)
				f.run(e)
				tape := f.record()
				if c.busy {
					f.submit(e, &nodebus.Prompt{ID: "busy", ClientID: "me", Nodes: two("Gate")})
					synctest.Wait()
				}
				opts := &flow.SubmitOptions{}
				if c.holds {
					opts.Ready = make(chan struct{})
				}
				s, err := e.Submit(f.ctx, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: two("Gate"), Policy: c.policy}, opts)
				require.NoError(t, err)
				o, err := s.Wait(f.ctx)
				require.NoError(t, err)
				require.LessOrEqual(t, time.Since(bubbleStart), time.Minute)
				require.Equal(t, nodebus.Failed, o.State)
				require.Equal(t, c.typ, o.Error.ExceptionType)
				require.Equal(t, c.node, o.Error.NodeID)
				types, _ := tape.of("p")
				require.Equal(t, c.starts, count_(types, "start"), types)
				require.Equal(t, 1, count_(types, "executing "), types)
				close(g.open)
				synctest.Wait()
				require.Zero(t, e.Remaining())
			})
		})
	}
}

// TestDeadlineOfAForeignPrompt has a prompt of another process whose deadline passes before
// it is taken.
func TestDeadlineOfAForeignPrompt(t *testing.T) {
	inFleet(t, func(f *fleet) {
		p := &nodebus.Prompt{ID: "p", Nodes: shown("x"), Created: time.Now(), Policy: nodebus.Policy{Deadline: time.Now().Add(time.Second)}}
		require.NoError(t, f.queue.Push(f.ctx, p, nil))
		time.Sleep(time.Minute)
		e := f.engine(nil)
		f.run(e)
		o, err := e.Wait(f.ctx, "p")
		require.NoError(t, err)
		require.Equal(t, nodebus.Failed, o.State)
		require.Equal(t, "deadline", o.Error.ExceptionType)
	})
}

// TestSuccessInSpiteOfATimeout has an executor that succeeds although its time is over, and
// one that fails for another reason.
func TestSuccessInSpiteOfATimeout(t *testing.T) {
	for want, err := range map[nodebus.State]error{nodebus.Succeeded: nil, nodebus.Failed: errors.New("disk full")} {
		inFleet(t, func(f *fleet) {
			exec := executorFunc(func(ctx context.Context, _ nodebus.Job, _ nodebus.Publisher) (nodebus.Report, error) {
				<-ctx.Done()
				return nodebus.Report{}, err
			})
			e := f.engine(&flow.EngineOptions{Executor: exec})
			f.run(e)
			o, waitErr := f.submit(e, &nodebus.Prompt{Nodes: shown("x"), Policy: nodebus.Policy{Timeout: time.Second}}).Wait(f.ctx)
			require.NoError(t, waitErr)
			require.Equal(t, want, o.State)
			if err != nil {
				require.Contains(t, o.Error.ExceptionMessage, "disk full")
			}
		})
	}
}

// TestListOfAPromptBetweenAttempts: it waits, in front of the prompts that wait for a
// place, and other prompts run meanwhile.
func TestListOfAPromptBetweenAttempts(t *testing.T) {
	inFleet(t, func(f *fleet) {
		hold := make(chan struct{})
		f.fn("Fails", func(*nodebus.Context, any, any) (any, error) { return nil, errors.New("not yet") })
		f.fn("Holds", func(*nodebus.Context, any, any) (any, error) { <-hold; return 1, nil })
		e := f.engine(&flow.EngineOptions{Parallel: 1})
		f.run(e)
		again := f.submit(e, &nodebus.Prompt{ID: "again", ClientID: "me", Nodes: two("Fails"), Policy: nodebus.Policy{Retries: 1, RetryAfter: time.Hour}})
		runs := f.submit(e, &nodebus.Prompt{ID: "runs", ClientID: "me", Nodes: two("Holds")})
		waits := f.submit(e, &nodebus.Prompt{ID: "waits", ClientID: "me", Nodes: two("Fails")})
		synctest.Wait()
		var list []string
		for q, err := range e.Queued(f.ctx) {
			require.NoError(t, err)
			list = append(list, fmt.Sprint(q.Prompt.ID, " ", q.Leased))
		}
		require.Equal(t, []string{"runs true", "again false", "waits false"}, list)
		at, err := e.Position(f.ctx, "again")
		require.NoError(t, err)
		require.False(t, at.Running)
		one := 0
		for q, err := range e.Queued(f.ctx) {
			require.NoError(t, err)
			require.Equal(t, "runs", q.Prompt.ID)
			one++
			break
		}
		require.Equal(t, 1, one, "the reader may stop early")
		close(hold)
		for _, s := range []*flow.Submission{runs, waits, again} {
			f.ended(s)
		}
	})
}
