package flow_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestNextAttemptHasTheAnswers: an attempt fails after its question was answered. The next
// attempt asks again, and nobody need answer again.
func TestNextAttemptHasTheAnswers(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Ask", func(ctx *nodebus.Context, _, _ any) (any, error) {
			a, err := nodebus.Await[string](ctx, "a", nil)
			if err != nil || ctx.Attempt() < 3 {
				return nil, errors.Join(errors.New("boom"), err)
			}
			b, err := nodebus.Await[string](ctx, "b", nil)
			return a + b, err
		})
		wait := r.start(&nodebus.Prompt{ID: "p", ClientID: "client", Nodes: two("Ask"), Policy: nodebus.Policy{Retries: 2}})
		synctest.Wait()
		require.NoError(t, r.engine.Answer(r.ctx, "p", "x", "b", "too"))
		require.NoError(t, r.engine.Answer(r.ctx, "p", "x", "a", "me "))
		o := wait()
		require.Equal(t, []any{"me too"}, o.text("out"))
		require.Equal(t, 3, count_(o.types(), "start"))
		require.Len(t, o.questions(), 8)
	})
}

// TestOtherEngineAnswers: two engines share a queue and signals. Each answers questions of
// prompts that the other runs, and learns that an answer does not fit.
func TestOtherEngineAnswers(t *testing.T) {
	opts := flow.EngineOptions{Queue: flow.NewQueue(nil), Store: flow.NewStore(nil), Signals: flow.NewSignals(nil)}
	inBubble(t, nil, &opts, func(r *rig) {
		asksFor[bool](r, "Ask", "q", nil)
		hub := nodebus.NewHub(nil)
		other := flow.NewEngine(r.reg, hub, &opts)
		wait := r.ask("Ask")
		require.ErrorIs(t, other.Answer(r.ctx, "p", "x", "q", "yes"), flow.ErrAnswer)
		require.NoError(t, other.Answer(r.ctx, "p", "x", "q", true))
		require.Equal(t, []any{"true"}, wait().text("out"))
		synctest.Wait()
		require.ErrorIs(t, other.Answer(r.ctx, "p", "x", "q", true), flow.ErrNotFound)

		// Submitted here, and ended there: the engine asks the queue, not its memory.
		s, err := other.Submit(r.ctx, &nodebus.Prompt{ID: "later", Nodes: changed(two("Ask"))}, nil)
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, other.Refuse(r.ctx, s.ID, "x", "q", "no"))
		synctest.Wait()
		require.ErrorIs(t, other.Answer(r.ctx, s.ID, "x", "q", true), flow.ErrNotFound)
		require.NoError(t, hub.Close())
	})
}

// faultySignals fail or panic.
type faultySignals struct {
	flow.Signals
	receive, send, drop func() error
}

func (f faultySignals) Receive(id string, to func(flow.Signal) error) (func(), error) {
	if f.receive != nil {
		return nil, f.receive()
	}
	return f.Signals.Receive(id, to)
}

func (f faultySignals) Send(ctx context.Context, s flow.Signal) error {
	if f.send != nil {
		return f.send()
	}
	return f.Signals.Send(ctx, s)
}

func (f faultySignals) Drop(ctx context.Context, id string) error {
	if f.drop != nil {
		return f.drop()
	}
	return f.Signals.Drop(ctx, id)
}

// TestFaultySignals: prompts run and end, whatever the signals do. A node that asks learns
// that nobody can answer.
func TestFaultySignals(t *testing.T) {
	boom := func() error { return errors.New("boom") }
	oh := func() error { panic("boom") }
	for name, s := range map[string]faultySignals{
		"Receive fails": {receive: boom}, "Receive panics": {receive: oh},
		"Send fails": {send: boom}, "Send panics": {send: oh},
		"Drop fails": {drop: boom}, "Drop panics": {drop: oh},
	} {
		t.Run(name, func(t *testing.T) {
			s.Signals = flow.NewSignals(nil)
			inBubble(t, nil, &flow.EngineOptions{Signals: s}, func(r *rig) {
				asksFor[bool](r, "Ask", "q", nil)
				require.Equal(t, []any{"x"}, r.run(shown("x")).text("o"))
				wait := r.ask("Ask")
				err := r.engine.Answer(r.ctx, "p", "x", "q", true)
				switch {
				case s.receive != nil:
					require.Contains(t, wait().failed(t).ExceptionMessage, "boom")
				case s.send != nil:
					require.ErrorContains(t, err, "boom")
					require.True(t, r.engineInterrupts("p"))
					require.Equal(t, nodebus.Interrupted, wait().record.State)
				default:
					require.NoError(t, err)
					require.Equal(t, []any{"true"}, wait().text("out"))
				}
			})
		})
	}
}

// engineInterrupts interrupts a prompt, whatever the signals say.
func (r *rig) engineInterrupts(id string) bool {
	found, _ := r.engine.Interrupt(r.ctx, id)
	return found
}

// changed returns the graph of two with another input, so that nothing is cached.
func changed(nodes nodebus.Nodes) nodebus.Nodes {
	for i := range nodes {
		if nodes[i].ID == "x" {
			nodes[i].Inputs = in{"in": "changed"}
		}
	}
	return nodes
}
