package flow_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// These tests check how the engine handles faults of the parts that are plugged into
// it.

// nilError is an error whose method panics on a nil pointer.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// wildError is an error whose methods panic.
type wildError struct{}

func (wildError) Error() string   { panic("no words") }
func (wildError) Is(error) bool   { panic("none") }
func (wildError) Unwrap() []error { panic("none") }

func TestErrorsWithoutAnythingToSay(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		text string
	}{
		"a nil pointer":          {(*nilError)(nil), "*flow_test.nilError\n"},
		"a wrapped nil pointer":  {fmt.Errorf("it said: %w", (*nilError)(nil)), "it said: <nil>\n"},
		"one that panics":        {wildError{}, "panic: none\n"},
		"one that panics inside": {fmt.Errorf("it said: %w", wildError{}), "panic: none\n"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, nil, func(r *rig) {
				r.fn("Fail", func(*nodebus.Context, any, any) (any, error) { return nil, c.err })
				e := r.run(two("Fail")).failed(t)
				require.Equal(t, "x", e.NodeID)
				require.Equal(t, "Fail", e.Class)
				require.Equal(t, c.text, e.ExceptionMessage)
				r.nextRuns()
			})
		})
	}
}

// executorFunc is a function that implements Executor.
type executorFunc func(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error)

func (f executorFunc) Execute(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
	return f(ctx, job, pub)
}

func TestExecutorThatSaysLittle(t *testing.T) {
	said := &nodebus.NodeError{Place: nodebus.Place{UniqueID: "out"}, Class: "Show"}
	exec := executorFunc(func(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
		return nodebus.Report{}, said
	})
	inBubble(t, nil, &flow.EngineOptions{Executor: exec}, func(r *rig) {
		e := r.run(shown("x")).failed(t)
		require.Equal(t, "out", e.NodeID, "without a RealID, the error names the node itself")
		require.Equal(t, "Show", e.Class)
		require.Equal(t, "the executor does not say what went wrong\n", e.ExceptionMessage)
		require.NoError(t, said.Err, "the engine does not modify the executor's error")
	})
}

// TestSection6OnlyTheEngineTellsOfTheEnd checks that a node or an executor gets an
// error if it publishes a start or end event, and that the prompt continues.
func TestSection6OnlyTheEngineTellsOfTheEnd(t *testing.T) {
	reserved := []nodebus.Payload{
		nodebus.Executing{},
		nodebus.Executing{PromptID: "p"},
		&nodebus.Executing{PromptID: "p"},
		nodebus.ExecutionStart{PromptID: "p"},
		nodebus.ExecutionSuccess{PromptID: "p"},
		nodebus.ExecutionInterrupted{PromptID: "p"},
		nodebus.ExecutionError{PromptID: "p", ExceptionType: "mine"},
		nodebus.Custom{Type: "execution_success", Data: 1},
		nodebus.Custom{Type: "executing"},
		&nodebus.ExecutionError{PromptID: "p", ExceptionType: "ExecutionBlocked"},
	}
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Say", func(ctx *nodebus.Context, _, _ any) (any, error) {
			for _, p := range reserved {
				for _, send := range []func(nodebus.Payload) error{ctx.SendSync, ctx.Broadcast} {
					if err := send(p); err == nil || !strings.Contains(err.Error(), "only the engine may publish") {
						return nil, fmt.Errorf("%#v was sent: %w", p, err)
					}
				}
			}
			return "said", ctx.SendSync(nodebus.ExecutionError{ExceptionType: "ExecutionBlocked", PromptID: ctx.PromptID()})
		})
		o := r.run(two("Say"))
		require.Equal(t, nodebus.Succeeded, o.record.State, "%+v", o.record.Error)
		require.Equal(t, []string{
			"start", "cached", "executing x", "ExecutionBlocked ", "executing out", "executed out", "success", "executing ",
		}, o.types())
	})
}

// TestBroadcastOfAStandardPayload checks that a broadcast of a node stays a
// broadcast: the engine does not address it to the client.
func TestBroadcastOfAStandardPayload(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Say", func(ctx *nodebus.Context, _, _ any) (any, error) {
			return 1, ctx.Broadcast(nodebus.ProgressText{UniqueID: ctx.UniqueID(), Text: "hello"})
		})
		events := r.hub.Subscribe(r.ctx)
		r.run(two("Say"))
		for ev, err := range events {
			require.NoError(t, err)
			if _, ok := ev.Payload.(nodebus.ProgressText); ok {
				require.Empty(t, ev.PromptID)
				require.Empty(t, ev.To)
				break
			}
		}
	})
}

// moody panics in the call that panics names.
type moody struct{ panics string }

func (m *moody) moan(call string) {
	if m.panics == call {
		panic("not today")
	}
}

type moodyQueue struct {
	flow.Queue
	*moody
}

func (q moodyQueue) Push(ctx context.Context, p *nodebus.Prompt, secrets map[string]string) error {
	q.moan("push")
	return q.Queue.Push(ctx, p, secrets)
}

func (q moodyQueue) Take(ctx context.Context, skip func(string) bool) (flow.Lease, error) {
	q.moan("take")
	return q.Queue.Take(ctx, skip)
}

func (q moodyQueue) Delete(ctx context.Context, ids ...string) ([]*nodebus.Prompt, error) {
	q.moan("delete")
	return q.Queue.Delete(ctx, ids...)
}

func (q moodyQueue) TakeOne(ctx context.Context, id string) (flow.Lease, error) {
	q.moan("delete")
	return q.Queue.TakeOne(ctx, id)
}

func TestQueueThatPanics(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		q := moodyQueue{flow.NewQueue(nil), &moody{}}
		reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
		flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
		e := flow.NewEngine(reg, hub, &flow.EngineOptions{Queue: q})
		var pe *nodebus.PanicError

		q.panics = "push"
		_, err := submit(e, t.Context(), &nodebus.Prompt{ID: "p", Nodes: shown("x")})
		require.ErrorAs(t, err, &pe)
		require.Zero(t, e.Remaining())
		q.panics = "take"
		_, err = submit(e, t.Context(), &nodebus.Prompt{ID: "p", Nodes: shown("x")})
		require.NoError(t, err, "the id is free again")
		require.ErrorAs(t, e.Run(t.Context()), &pe)
		q.panics = "delete"
		_, err = e.Delete(t.Context(), "p")
		require.ErrorAs(t, err, &pe)
		found, err := e.Interrupt(t.Context(), "p")
		require.True(t, found)
		require.ErrorAs(t, err, &pe)
		require.NoError(t, hub.Close())
	})
}

// panickingStore panics in Put or Get.
type panickingStore struct {
	flow.Store
	put, get atomic.Bool
}

func (s *panickingStore) Put(ctx context.Context, r flow.Record) error {
	if s.put.Load() {
		panic("not today")
	}
	return s.Store.Put(ctx, r)
}

func (s *panickingStore) Get(ctx context.Context, id string) (flow.Record, error) {
	if s.get.Load() {
		panic("not today")
	}
	return s.Store.Get(ctx, id)
}

// TestStoreThatPanics checks that a panic of the store ends nothing: the prompt ends when
// the store takes its record, and a Submit that asks the store fails meanwhile.
func TestStoreThatPanics(t *testing.T) {
	s := &panickingStore{Store: flow.NewStore(nil)}
	s.put.Store(true)
	inBubble(t, nil, &flow.EngineOptions{Store: s}, func(r *rig) {
		wait := r.start(&nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})
		time.Sleep(time.Hour)
		s.get.Store(true)
		_, err := submit(r.engine, r.ctx, &nodebus.Prompt{ID: "q", Nodes: shown("x")})
		var pe *nodebus.PanicError
		require.ErrorAs(t, err, &pe)
		s.put.Store(false)
		s.get.Store(false)
		require.Equal(t, nodebus.Succeeded, wait().record.State)
		r.nextRuns()
	})
}

// publisherFunc is a function that implements Publisher.
type publisherFunc func(nodebus.Event) error

func (f publisherFunc) Publish(ev nodebus.Event) error { return f(ev) }

// wrapped returns options of an engine that publishes only to f.
func wrapped(f publisherFunc) *flow.EngineOptions {
	return &flow.EngineOptions{Wrap: func(nodebus.Publisher) nodebus.Publisher { return f }}
}

// TestEnginesPublisher checks that the publisher from Wrap receives all events, and
// that a panic of the publisher loses only the event.
func TestEnginesPublisher(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
		flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
		var seen []string
		closed := make(chan struct{})
		e := flow.NewEngine(reg, hub, wrapped(func(ev nodebus.Event) error {
			seen = append(seen, ev.Payload.EventType())
			if p, ok := ev.Payload.(nodebus.Executing); ok && p.UniqueID == "" {
				defer close(closed)
			}
			panic("no")
		}))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		_, err := submit(e, ctx, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
		require.NoError(t, err)
		<-closed
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.Equal(t, []string{
			"status", "status", "execution_start", "execution_cached", "progress_state", "executing", "executed", "progress_state",
			"execution_success", "status", "executing",
		}, seen)
		rec, err := e.Store().Get(t.Context(), "p")
		require.NoError(t, err)
		require.Equal(t, nodebus.Succeeded, rec.State)
		require.NoError(t, hub.Close())
	})
}

// TestSection13NextPromptOfAClientBeginsAfterTheLastWord checks that the next prompt
// of a client starts after the last event of the prompt before it, even if
// publishing the last event takes long.
func TestSection13NextPromptOfAClientBeginsAfterTheLastWord(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
		flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
		slow := publisherFunc(func(ev nodebus.Event) error {
			switch p := ev.Payload.(type) {
			case nodebus.ExecutionSuccess:
				time.Sleep(time.Second)
			case nodebus.Executing:
				if p.UniqueID == "" {
					time.Sleep(time.Second)
				}
			}
			return hub.Publish(ev)
		})
		e := flow.NewEngine(reg, hub, &flow.EngineOptions{Parallel: 4, Wrap: func(nodebus.Publisher) nodebus.Publisher { return slow }})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		events := hub.Subscribe(ctx)
		for i := range 3 {
			_, err := submit(e, ctx, &nodebus.Prompt{ID: fmt.Sprint(i), ClientID: "me", Nodes: shown("x")})
			require.NoError(t, err)
		}
		var order []string
		for ev, err := range events {
			require.NoError(t, err)
			switch p := ev.Payload.(type) {
			case nodebus.ExecutionStart:
				order = append(order, "start "+p.PromptID)
			case nodebus.Executing:
				if p.UniqueID == "" {
					order = append(order, "closed "+p.PromptID)
				}
			}
			if len(order) == 6 {
				break
			}
		}
		require.Equal(t, []string{"start 0", "closed 0", "start 1", "closed 1", "start 2", "closed 2"}, order)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, hub.Close())
	})
}

// lookingStore calls look when the store finds no record.
type lookingStore struct {
	flow.Store
	look func()
}

func (s lookingStore) Get(ctx context.Context, id string) (flow.Record, error) {
	r, err := s.Store.Get(ctx, id)
	if errors.Is(err, flow.ErrNotFound) {
		s.look()
	}
	return r, err
}

// TestSection13DuplicateOfAPromptThatEndsMeanwhile checks that Submit finds a
// duplicate even if the first prompt ends while Submit looks for its record.
func TestSection13DuplicateOfAPromptThatEndsMeanwhile(t *testing.T) {
	store := &lookingStore{Store: flow.NewStore(nil), look: func() {}}
	inBubble(t, nil, &flow.EngineOptions{Store: store}, func(r *rig) {
		hold := make(chan struct{})
		r.fn("Hold", func(*nodebus.Context, any, any) (any, error) { <-hold; return 1, nil })
		wait := r.start(&nodebus.Prompt{ID: "p", ClientID: "client", Nodes: two("Hold")})
		synctest.Wait()
		end := sync.OnceFunc(func() { close(hold) })
		store.look = func() {
			end()
			synctest.Wait()
		}
		_, err := submit(r.engine, r.ctx, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
		require.ErrorIs(t, err, flow.ErrDuplicate)
		end()
		require.Equal(t, nodebus.Succeeded, wait().record.State)
	})
}
