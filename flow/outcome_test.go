package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// outcome runs a prompt and returns its outcome, as each of the ways to wait tells it.
func (r *rig) outcome(p *nodebus.Prompt) nodebus.Outcome {
	r.t.Helper()
	s, err := r.engine.Submit(r.ctx, p, nil)
	require.NoError(r.t, err)
	o, err := s.Wait(r.ctx)
	require.NoError(r.t, err)
	later, err := r.engine.Wait(r.ctx, s.ID)
	require.NoError(r.t, err)
	require.Equal(r.t, o, later, "the record tells the same")
	rec, err := r.engine.Store().Get(r.ctx, s.ID)
	require.NoError(r.t, err)
	data, err := json.Marshal(rec)
	require.NoError(r.t, err)
	var read flow.Record
	require.NoError(r.t, json.Unmarshal(data, &read))
	again, err := json.Marshal(read)
	require.NoError(r.t, err)
	require.JSONEq(r.t, string(data), string(again), "a store may keep JSON")
	fromJSON := read.Outcome()
	require.Equal(r.t, fmt.Sprint(o.Err()), fmt.Sprint(fromJSON.Err()))
	require.Len(r.t, fromJSON.Nodes, len(o.Nodes))
	return o
}

// ends returns "result reason by" of each node.
func ends(o nodebus.Outcome) map[string]string {
	m := map[string]string{}
	for _, n := range o.Nodes {
		m[n.UniqueID] = fmt.Sprintf("%s|%s|%s", n.Result, n.Reason, n.By)
		if n.Cached {
			m[n.UniqueID] += "|cached"
		}
	}
	return m
}

func TestOutcomeOfAPartlyInvalidPrompt(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.value()
		g := nodebus.NewGraph()
		g.AddAs("good", "Show", in{"in": g.AddAs("c", "Const", in{"value": 1})})
		g.AddAs("bad", "Show", in{"in": g.AddAs("d", "Const", in{"value": "no number"})})
		o := r.outcome(&nodebus.Prompt{Nodes: g.Nodes()})
		require.Equal(t, nodebus.Succeeded, o.State)
		require.Equal(t, 1, o.Attempt)
		require.Contains(t, o.Rejected.Nodes, "d")
		partial := (*nodebus.PartialError)(nil)
		require.ErrorAs(t, o.Err(), &partial)
		require.Equal(t, o.Rejected, partial.Rejected)
		require.Contains(t, o.Err().Error(), "a part of the prompt did not run: Prompt outputs failed validation; node d (Const)")
		require.Equal(t, map[string]string{"c": "done||", "good": "done||"}, ends(o))

		o = r.outcome(&nodebus.Prompt{Nodes: g.Nodes()[:2], Rejected: o.Rejected})
		require.Nil(t, o.Rejected, "Submit sets it")
		require.NoError(t, o.Err())
	})
}

func TestOutcomeOfABlockedPrompt(t *testing.T) {
	for _, c := range []struct {
		name        string
		how, reason string
		first       map[string]string
		again       map[string]string // the same with a cache
		err         string
	}{
		{
			"open", "open", "",
			map[string]string{"x": "done||", "p": "done||", "o": "done||"},
			map[string]string{"o": "done|||cached"},
			"",
		},
		{
			"without a reason", "whole", "",
			map[string]string{"x": "done||", "p": "blocked||x", "o": "blocked||x"},
			map[string]string{"o": "blocked||x|cached"},
			"",
		},
		{
			"with a reason", "whole", "no",
			map[string]string{"x": "blocked|no|x", "p": "blocked|no|x", "o": "blocked||x"},
			map[string]string{"o": "blocked|no|x|cached"},
			"nodebus: a part of the prompt did not run: node x (Gate) was blocked: no; node p (Pair) was blocked: no",
		},
		{
			"one output, with a reason", "one", "no",
			map[string]string{"x": "done||", "p": "blocked|no|x", "o": "blocked||x"},
			map[string]string{"o": "blocked|no|x|cached"},
			"nodebus: a part of the prompt did not run: node p (Pair) was blocked: no",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, nil, func(r *rig) {
				blockers(r)
				g := nodebus.NewGraph()
				x := g.AddAs("x", "Gate", in{"in": "v", "how": c.how, "reason": c.reason})
				g.AddAs("o", "Show", in{"in": g.AddAs("p", "Pair", in{"in": x})})
				o := r.outcome(&nodebus.Prompt{Nodes: g.Nodes()})
				require.Equal(t, c.first, ends(o))
				cached := r.outcome(&nodebus.Prompt{Nodes: g.Nodes()})
				require.Equal(t, c.again, ends(cached))
				if c.err == "" {
					require.NoError(t, o.Err())
					require.NoError(t, cached.Err())
					return
				}
				require.EqualError(t, o.Err(), c.err)
				require.EqualError(t, cached.Err(), "nodebus: a part of the prompt did not run: node o (Show) was blocked: no")
			})
		})
	}
}

// TestOutcomeOfARefusedPrompt: a refusal ends the prompt, also if it continues after errors.
func TestOutcomeOfARefusedPrompt(t *testing.T) {
	for _, c := range []struct {
		err    error
		reason string
	}{
		{&nodebus.RefusedError{Reason: "not today"}, "not today"},
		{&nodebus.RefusedError{}, ""},
		{fmt.Errorf("asked twice: %w", nodebus.ErrRefused), "asked twice: nodebus: refused"},
		{fmt.Errorf("review: %w", &nodebus.RefusedError{Reason: "too dark"}), "too dark"},
	} {
		for _, on := range []bool{false, true} {
			inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
				r.fn("Ask", func(*nodebus.Context, any, any) (any, error) { return nil, c.err })
				g := nodebus.NewGraph()
				g.AddAs("o", "Show", in{"in": g.AddAs("ask", "Ask", nil)})
				o := r.outcome(&nodebus.Prompt{Nodes: g.Nodes(), Policy: nodebus.Policy{Continue: on}})
				require.Equal(t, nodebus.Refused, o.State)
				require.Equal(t, "refused", o.Error.ExceptionType)
				require.Equal(t, "ask", o.Error.NodeID)
				require.Equal(t, &nodebus.RefusedError{Reason: c.reason}, o.Err())
				require.ErrorIs(t, o.Err(), nodebus.ErrRefused)
				require.Empty(t, o.Errors)
				require.Equal(t, "error", o.Nodes[0].Result)
			})
		}
	}
}

// TestOutcomeOfAPromptThatPrepareRefuses: the prompt was in the queue before this process
// began, and this process does not know its classes.
func TestOutcomeOfAPromptThatPrepareRefuses(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		q, reg, hub := flow.NewQueue(nil), flow.NewRegistry(), nodebus.NewHub(nil)
		g := nodebus.NewGraph()
		g.Add("Unknown", nil)
		require.NoError(t, q.Push(t.Context(), &nodebus.Prompt{ID: "old", Nodes: g.Nodes()}, nil))
		engine := flow.NewEngine(reg, hub, &flow.EngineOptions{Queue: q})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- engine.Run(ctx) }()
		synctest.Wait()
		o, err := engine.Wait(ctx, "old")
		require.NoError(t, err)
		require.Equal(t, nodebus.Refused, o.State)
		require.Equal(t, "refused", o.Error.ExceptionType)
		require.ErrorIs(t, o.Err(), nodebus.ErrRefused)
		require.Contains(t, o.Err().Error(), "Unknown")
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		require.NoError(t, hub.Close())
	})
}

func TestOutcomeTellsWhenNodesRan(t *testing.T) {
	inBubble(t, &flow.LocalOptions{NodeDone: true}, nil, func(r *rig) {
		r.fn("Wait", func(_ *nodebus.Context, in, _ any) (any, error) {
			time.Sleep(time.Second)
			return in, nil
		})
		began := time.Now()
		g := nodebus.NewGraph()
		a := g.AddAs("a", "Wait", in{"in": 1})
		b := g.AddAs("b", "Wait", in{"in": a})
		g.AddAs("o", "Show", in{"in": b})
		o := r.run(g.Nodes())
		nodes := o.record.Nodes
		require.Len(t, nodes, 3)
		for i, n := range nodes {
			require.Equal(t, []string{"a", "b", "o"}[i], n.UniqueID)
			require.WithinDuration(t, began.Add(time.Duration(i)*time.Second), n.Started, time.Microsecond)
			require.WithinDuration(t, began.Add(time.Duration(min(i+1, 2))*time.Second), n.Ended, time.Microsecond)
		}
		var took []time.Duration
		for _, ev := range o.events {
			if d, ok := ev.Payload.(nodebus.NodeDone); ok {
				took = append(took, d.Duration.Round(time.Millisecond))
				require.Equal(t, o.record.Prompt.ID, d.PromptID)
				require.Equal(t, nodes[len(took)-1].Place, d.Place)
			}
		}
		require.Equal(t, []time.Duration{time.Second, time.Second, 0}, took)

		g = nodebus.NewGraph() // b is cached, and a is not needed
		g.AddAs("a", "Wait", in{"in": 1})
		g.AddAs("b", "Wait", in{"in": a})
		g.AddAs("new", "Show", in{"in": b, "in2": 2})
		out := r.outcome(&nodebus.Prompt{Nodes: g.Nodes()})
		require.Equal(t, map[string]string{"b": "done|||cached", "new": "done||"}, ends(out))
		require.Zero(t, out.Nodes[0].Started)
	})
}

// TestOutcomeIsBounded: a record has at most 10 000 nodes, and those that did not end well
// come before the others.
func TestOutcomeIsBounded(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.value()
		r.fn("Fail", func(*nodebus.Context, any, any) (any, error) { return nil, errors.New("boom") })
		g := nodebus.NewGraph()
		for i := range 9000 {
			g.Add("Show", in{"in": g.Add("Const", in{"value": i})})
		}
		for range 1500 {
			g.Add("Show", in{"in": g.Add("Fail", nil)})
		}
		p := &nodebus.Prompt{Nodes: g.Nodes(), Policy: nodebus.Policy{Continue: true}}
		s, err := r.engine.Submit(r.ctx, p, nil)
		require.NoError(t, err)
		o, err := s.Wait(r.ctx)
		require.NoError(t, err)
		require.Len(t, o.Nodes, 10_000)
		require.Equal(t, 11_000, o.NodesLeftOut)
		results := map[string]int{}
		for _, n := range o.Nodes {
			results[n.Result]++
		}
		require.Equal(t, map[string]int{"done": 7000, "error": 1500, "skipped": 1500}, results)
		require.Len(t, o.Errors, 1000)
		require.NotEmpty(t, o.Errors[99].Traceback)
		require.Empty(t, o.Errors[100].Traceback)
	})
}
