package flow_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These tests check that a prompt begins and ends exactly once, whatever the parts that
// are plugged into the engine do.

// TestDoSharesRun checks that one Do does not end the prompt of another.
func TestDoSharesRun(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
		flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
		gates := map[any]chan struct{}{"a": make(chan struct{}), "b": make(chan struct{})}
		flow.Register(reg, fn{f: func(ctx *nodebus.Context, name, _ any) (any, error) {
			select {
			case <-gates[name]:
				return name, nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}}, nodebus.Info{Name: "Gate"})
		e := flow.NewEngine(reg, hub, &flow.EngineOptions{Parallel: 2})
		ended := map[string]chan nodebus.Outcome{"a": make(chan nodebus.Outcome, 1), "b": make(chan nodebus.Outcome, 1)}
		for name, out := range ended {
			go func() {
				g := nodebus.NewGraph()
				g.Add("Show", in{"in": g.Add("Gate", in{"in": name})})
				o, err := flow.Do(t.Context(), e, &nodebus.Prompt{ClientID: name, Nodes: g.Nodes()})
				assert.NoError(t, err)
				out <- o
			}()
		}
		synctest.Wait()
		for _, name := range []string{"a", "b"} { // whichever has begun first
			close(gates[name])
			require.Equal(t, nodebus.Succeeded, (<-ended[name]).State, name)
		}
		require.NoError(t, hub.Close())
	})
}

// TestUnreadyWhileRunEnds submits prompts that are not ready while Run ends and begins.
func TestUnreadyWhileRunEnds(t *testing.T) {
	hub := nodebus.NewHub(nil)
	reg := flow.NewRegistry()
	flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
	e := flow.NewEngine(reg, hub, nil)
	for i := range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { assert.ErrorIs(t, e.Run(ctx), context.Canceled) })
		for range 2 {
			all.Go(func() {
				for range 4 {
					s, err := e.Submit(t.Context(), &nodebus.Prompt{Nodes: showing("x")}, &flow.SubmitOptions{Ready: make(chan struct{})})
					if assert.NoError(t, err) {
						_, err = e.Delete(t.Context(), s.ID)
						assert.NoError(t, err)
					}
				}
			})
		}
		for range i {
			runtime.Gosched()
		}
		cancel()
		all.Wait()
	}
	require.Zero(t, e.Remaining())
	require.NoError(t, hub.Close())
}

// TestInterruptOfAnUnreadyPrompt checks that the prompt ends although the queue cannot
// delete it: the engine takes it and ends it.
func TestInterruptOfAnUnreadyPrompt(t *testing.T) {
	inBubble(t, nil, &flow.EngineOptions{Queue: keepingQueue{flow.NewQueue(nil)}}, func(r *rig) {
		s, err := r.engine.Submit(r.ctx, &nodebus.Prompt{Nodes: shown("x")}, &flow.SubmitOptions{Ready: make(chan struct{})})
		require.NoError(t, err)
		synctest.Wait()
		found, err := r.engine.Interrupt(r.ctx, s.ID)
		require.True(t, found)
		require.ErrorIs(t, err, errQueue)
		o, err := s.Wait(r.ctx)
		require.NoError(t, err)
		require.Equal(t, nodebus.Interrupted, o.State)
	})
}

type keepingQueue struct{ flow.Queue }

func (keepingQueue) TakeOne(context.Context, string) (flow.Lease, error) { return nil, errQueue }

func (keepingQueue) Delete(context.Context, ...string) ([]*nodebus.Prompt, error) {
	return nil, errQueue
}

// TestPromptOfTheQueueIsNotChanged checks that Prepare gets a copy of a prompt that an
// earlier process has queued: Running and the queue hand out the original.
func TestPromptOfTheQueueIsNotChanged(t *testing.T) {
	q := flow.NewQueue(nil)
	inBubble(t, nil, &flow.EngineOptions{Queue: q}, func(r *rig) {
		older := &nodebus.Prompt{ID: "older", Nodes: shown("x")}
		require.NoError(t, q.Push(r.ctx, older, nil))
		synctest.Wait()
		rec, err := r.engine.Store().Get(r.ctx, "older")
		require.NoError(t, err)
		require.Equal(t, []string{"o"}, rec.Prompt.Outputs)
		require.Empty(t, older.Outputs)
	})
}

// TestLeaseOfARunThatEnds checks that a prompt stays in the queue if Run ends in the
// moment in which the queue hands it out.
func TestLeaseOfARunThatEnds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		q := &slowQueue{Queue: flow.NewQueue(nil), taken: func(*nodebus.Prompt) { cancel() }}
		reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
		flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
		e := flow.NewEngine(reg, hub, &flow.EngineOptions{Queue: q})
		s, err := e.Submit(t.Context(), &nodebus.Prompt{Nodes: shown("x")}, nil)
		require.NoError(t, err)
		require.ErrorIs(t, e.Run(ctx), context.Canceled)
		require.Equal(t, 1, e.Remaining())
		run, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- e.Run(run) }()
		o, err := s.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, nodebus.Succeeded, o.State)
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, hub.Close())
	})
}

// TestForeignCodeThatEndsItsGoroutine checks that a prompt ends, and the next one runs,
// although an executor, a store or a lease calls runtime.Goexit.
func TestForeignCodeThatEndsItsGoroutine(t *testing.T) {
	for name, opts := range map[string]*flow.EngineOptions{
		"executor": {Executor: executorFunc(func(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
			runtime.Goexit()
			return nodebus.Report{}, nil
		})},
		"store": {Store: &exitingStore{Store: flow.NewStore(nil)}},
		"lease": {Queue: exitingQueue{flow.NewQueue(nil)}},
	} {
		t.Run(name, func(t *testing.T) {
			opts.Parallel = 1
			inBubble(t, nil, opts, func(r *rig) {
				for range 2 {
					s, err := r.engine.Submit(r.ctx, &nodebus.Prompt{Nodes: shown("x")}, nil)
					require.NoError(t, err)
					o, err := s.Wait(r.ctx)
					require.NoError(t, err)
					if name == "executor" {
						require.Equal(t, nodebus.Failed, o.State)
						require.ErrorContains(t, o.Err(), "runtime.Goexit")
					} else {
						require.Equal(t, nodebus.Succeeded, o.State)
					}
				}
			})
		})
	}
}

// exitingStore ends the goroutine of every second Put, beginning with the first.
type exitingStore struct {
	flow.Store
	puts int
}

func (s *exitingStore) Put(ctx context.Context, r flow.Record) error {
	if s.puts++; s.puts%2 == 1 {
		runtime.Goexit()
	}
	return s.Store.Put(ctx, r)
}

type exitingQueue struct{ flow.Queue }

func (q exitingQueue) Take(ctx context.Context, skip func(string) bool) (flow.Lease, error) {
	l, err := q.Queue.Take(ctx, skip)
	return exitingLease{l}, err
}

type exitingLease struct{ flow.Lease }

func (exitingLease) Done(context.Context) error { runtime.Goexit(); return nil }

// TestStatusGoesOnAfterGoexit checks that a publisher which ends the goroutine of Submit
// does not stop the status events of later calls.
func TestStatusGoesOnAfterGoexit(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
		flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
		exits, statuses := true, 0
		e := flow.NewEngine(reg, hub, &flow.EngineOptions{Wrap: func(nodebus.Publisher) nodebus.Publisher {
			return publisherFunc(func(nodebus.Event) error {
				if exits {
					exits = false
					runtime.Goexit()
				}
				statuses++
				return nil
			})
		}})
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = e.Submit(t.Context(), &nodebus.Prompt{Nodes: shown("x")}, nil)
		}()
		<-gone
		_, err := e.Submit(t.Context(), &nodebus.Prompt{Nodes: shown("x")}, nil)
		require.NoError(t, err)
		require.Equal(t, 2, statuses, "the prompt that was not accepted has gone, and there is a new prompt")
		require.NoError(t, hub.Close())
	})
}

// TestPublisherThatEndsItsGoroutine checks that a prompt ends, whichever event of the
// engine the publisher does not survive. Only that event is lost.
func TestPublisherThatEndsItsGoroutine(t *testing.T) {
	for n := range 7 { // status, status, start, cached, success, status, executing
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			var sent atomic.Int64
			exits := func(next nodebus.Publisher) nodebus.Publisher {
				return publisherFunc(func(ev nodebus.Event) error {
					if int(sent.Add(1)) == n+1 {
						runtime.Goexit()
					}
					return next.Publish(ev)
				})
			}
			idle := executorFunc(func(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
				return nodebus.Report{}, nil
			})
			inBubble(t, nil, &flow.EngineOptions{Executor: idle, Wrap: exits, Parallel: 1}, func(r *rig) {
				for i := range 2 {
					ended := make(chan error, 1)
					go func() {
						err := errors.New("the goroutine of Submit has ended")
						defer func() { ended <- err }()
						var s *flow.Submission
						if s, err = r.engine.Submit(r.ctx, &nodebus.Prompt{ID: "p" + fmt.Sprint(i), Nodes: shown("x")}, nil); err == nil {
							_, err = s.Wait(r.ctx)
						}
					}()
					if err := <-ended; n > 0 || i > 0 {
						require.NoError(t, err)
					}
				}
				require.Zero(t, r.engine.Remaining())
				require.Empty(t, r.running())
			})
		})
	}
}

// TestWrapThatReturnsNil checks that the engine then publishes to the hub.
func TestWrapThatReturnsNil(t *testing.T) {
	inBubble(t, nil, &flow.EngineOptions{Wrap: func(nodebus.Publisher) nodebus.Publisher { return nil }}, func(r *rig) {
		require.Equal(t, nodebus.Succeeded, r.run(shown("x")).record.State)
	})
}

// TestLoggerThatPanics checks that the engine goes on.
func TestLoggerThatPanics(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
		flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
		require.NoError(t, hub.Close()) // the engine logs that nobody gets the status
		logger := slog.New(panicHandler{slog.DiscardHandler}).With("app", "test").WithGroup("engine")
		e := flow.NewEngine(reg, hub, &flow.EngineOptions{Logger: logger})
		o, err := flow.Do(t.Context(), e, &nodebus.Prompt{Nodes: shown("x")})
		require.NoError(t, err)
		require.Equal(t, nodebus.Text("x"), o.Output("o"))
	})
}

type panicHandler struct{ slog.Handler }

func (panicHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (panicHandler) Handle(context.Context, slog.Record) error { panic("the disk is full") }
func (h panicHandler) WithAttrs([]slog.Attr) slog.Handler      { return h }
func (h panicHandler) WithGroup(string) slog.Handler           { return h }

// TestErrorInputsWithoutAForm checks that a client receives the end of a prompt although
// the inputs in the executor's error have no form on the wire.
func TestErrorInputsWithoutAForm(t *testing.T) {
	exec := executorFunc(func(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
		return nodebus.Report{}, &nodebus.NodeError{
			Place: nodebus.Place{UniqueID: "o"}, Class: "Show", Err: errors.New("boom"),
			Inputs: map[string][]any{"x": {math.NaN()}, "y": {make(chan int)}},
		}
	})
	inBubble(t, nil, &flow.EngineOptions{Executor: exec}, func(r *rig) {
		o := r.run(shown("x"))
		e := o.failed(t)
		require.Equal(t, "o", e.NodeID)
		require.Empty(t, e.CurrentInputs)
		require.Contains(t, strings.Join(e.Traceback, ""), "the inputs are left out")
		require.Contains(t, o.types(), e.ExceptionType+" o")
	})
}

// TestCachedIsSentFirst has an executor whose two first nodes begin at the same time.
func TestCachedIsSentFirst(t *testing.T) {
	exec := executorFunc(func(_ context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
		var both sync.WaitGroup
		for _, id := range []string{"a", "b"} {
			both.Go(func() {
				assert.NoError(t, pub.Publish(nodebus.Event{Payload: nodebus.Executing{UniqueID: id, PromptID: job.Prompt.ID}}))
			})
		}
		both.Wait()
		return nodebus.Report{}, nil
	})
	slow := func(next nodebus.Publisher) nodebus.Publisher {
		return publisherFunc(func(ev nodebus.Event) error {
			if _, ok := ev.Payload.(nodebus.ExecutionCached); ok {
				time.Sleep(time.Second)
			}
			return next.Publish(ev)
		})
	}
	inBubble(t, nil, &flow.EngineOptions{Executor: exec, Wrap: slow}, func(r *rig) {
		require.Equal(t, []string{"start", "cached"}, r.run(shown("x")).types()[:2])
	})
}

// TestEngineWaitsForTheLastEvent checks that Engine.Wait returns after the last event was
// sent, also if it is called between the record and that event.
func TestEngineWaitsForTheLastEvent(t *testing.T) {
	var e *flow.Engine
	waited := make(chan error, 1)
	sent := false
	watch := func(next nodebus.Publisher) nodebus.Publisher {
		return publisherFunc(func(ev nodebus.Event) error {
			switch p := ev.Payload.(type) {
			case nodebus.ExecutionSuccess:
				go func() {
					_, err := e.Wait(context.Background(), p.PromptID)
					assert.True(t, sent)
					waited <- err
				}()
				synctest.Wait()
			case nodebus.Executing:
				sent = p.UniqueID == ""
			}
			return next.Publish(ev)
		})
	}
	inBubble(t, nil, &flow.EngineOptions{Wrap: watch}, func(r *rig) {
		e = r.engine
		r.run(shown("x"))
		require.NoError(t, <-waited)
	})
}

// TestSubmitNothing checks that a nil prompt is a validation error.
func TestSubmitNothing(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		_, err := r.engine.Submit(r.ctx, nil, nil)
		var invalid *nodebus.ValidationError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, "no_prompt", invalid.Type)
	})
}
