package flow_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// slowQueue lets a test run code while the engine takes a prompt.
type slowQueue struct {
	flow.Queue
	asked func(client string)     // called after skip, in the goroutine that takes
	taken func(p *nodebus.Prompt) // called when p has left the queue
}

func (q *slowQueue) Take(ctx context.Context, skip func(string) bool) (flow.Lease, error) {
	l, err := q.Queue.Take(ctx, func(client string) bool {
		skips := skip(client)
		if q.asked != nil {
			q.asked(client)
		}
		return skips
	})
	if err == nil && q.taken != nil {
		q.taken(l.Job().Prompt)
	}
	return l, err
}

// TestTakenPromptIsListed checks that Queued lists a prompt as running as soon as the prompt
// has left the queue.
func TestTakenPromptIsListed(t *testing.T) {
	q := &slowQueue{Queue: flow.NewQueue(nil)}
	inBubble(t, nil, &flow.EngineOptions{Queue: q}, func(r *rig) {
		var listed []string
		q.taken = func(*nodebus.Prompt) {
			listed = append(listed, r.running()...)
		}
		r.submit(&nodebus.Prompt{ID: "a", Nodes: showing("x")})
		require.Equal(t, []string{"a"}, listed)
		require.Empty(t, r.running())
	})
}

// TestPriorityWhileAnotherEnds checks that the prompt with the highest priority runs
// next, even if a running prompt of the same client ends while the queue calls skip.
func TestPriorityWhileAnotherEnds(t *testing.T) {
	q := &slowQueue{Queue: flow.NewQueue(nil)}
	inBubble(t, nil, &flow.EngineOptions{Queue: q, Parallel: 2}, func(r *rig) {
		gate := make(chan struct{})
		r.fn("Wait", func(*nodebus.Context, any, any) (any, error) { <-gate; return "waited", nil })
		var order []any
		r.fn("Note", func(_ *nodebus.Context, in, _ any) (any, error) { order = append(order, in); return in, nil })
		graph := func(class string, in any) nodebus.Nodes {
			g := nodebus.NewGraph()
			g.Add("Show", nodebus.Inputs{"in": g.Add(class, nodebus.Inputs{"in": in})})
			return g.Nodes()
		}
		first := r.start(&nodebus.Prompt{ID: "first", ClientID: "c", Nodes: graph("Wait", "first")})
		synctest.Wait()
		low := r.start(&nodebus.Prompt{ID: "low", ClientID: "c", Priority: 2, Nodes: graph("Note", "low")})
		high := r.start(&nodebus.Prompt{ID: "high", ClientID: "c", Priority: 1, Nodes: graph("Note", "high")})
		synctest.Wait()
		q.asked = func(client string) {
			if client != "c" {
				return
			}
			q.asked = nil
			close(gate)
			for len(r.running()) > 0 {
				runtime.Gosched()
			}
		}
		r.submit(&nodebus.Prompt{ClientID: "other", Nodes: showing("x")}) // when it ends, the queue calls skip again
		first()
		high()
		low()
		require.Equal(t, []any{"high", "low"}, order)
	})
}

// TestOrderWhileHoldsEnd checks that the first prompt of a client runs first if two
// prompts become ready while the queue calls skip.
func TestOrderWhileHoldsEnd(t *testing.T) {
	q := &slowQueue{Queue: flow.NewQueue(nil)}
	inBubble(t, nil, &flow.EngineOptions{Queue: q}, func(r *rig) {
		var order []string
		q.taken = func(p *nodebus.Prompt) { order = append(order, p.ID) }
		hold := make(chan struct{})
		first := r.startWith(&nodebus.Prompt{ID: "first", ClientID: "c", Nodes: showing("x")}, &flow.SubmitOptions{Ready: hold})
		synctest.Wait()
		second := r.startWith(&nodebus.Prompt{ID: "second", ClientID: "c", Nodes: showing("x")}, &flow.SubmitOptions{Ready: hold})
		synctest.Wait()
		q.asked = func(client string) {
			if client != "c" {
				return
			}
			q.asked = nil
			close(hold)
		}
		r.submit(&nodebus.Prompt{ID: "other", ClientID: "other", Nodes: showing("x")}) // when it ends, the queue calls skip again
		first()
		second()
		require.Equal(t, []string{"other", "first", "second"}, order)
	})
}

// showing returns a graph that shows a text.
func showing(text string) nodebus.Nodes {
	g := nodebus.NewGraph()
	g.Add("Show", nodebus.Inputs{"in": text})
	return g.Nodes()
}
