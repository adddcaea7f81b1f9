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

// slowQueue lets a test do something while a prompt is taken.
type slowQueue struct {
	flow.Queue
	asked func(client string)     // skip was asked about a client, by the goroutine that takes
	taken func(p *nodebus.Prompt) // p is not in the queue any more
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

// TestTakenPromptIsListed: a prompt that has left the queue is among those that
// run, from that moment on.
func TestTakenPromptIsListed(t *testing.T) {
	q := &slowQueue{Queue: flow.NewQueue(nil)}
	inBubble(t, nil, &flow.EngineOptions{Queue: q}, func(r *rig) {
		var listed []string
		q.taken = func(*nodebus.Prompt) {
			for _, p := range r.engine.Running() {
				listed = append(listed, p.ID)
			}
		}
		r.submit(&nodebus.Prompt{ID: "a", Nodes: showing("x")})
		require.Equal(t, []string{"a"}, listed)
		require.Empty(t, r.engine.Running())
	})
}

// TestPriorityWhileAnotherEnds: which prompt is next is decided at one moment,
// although the client's running one may end while the queue is asked.
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
			for len(r.engine.Running()) > 0 {
				runtime.Gosched()
			}
		}
		r.submit(&nodebus.Prompt{ClientID: "other", Nodes: showing("x")}) // after it, the queue is asked anew
		first()
		high()
		low()
		require.Equal(t, []any{"high", "low"}, order)
	})
}

// TestOrderWhileHoldsEnd: of one client's prompts that may both begin now, the
// first does, although both were held when the queue was asked about it.
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
		r.submit(&nodebus.Prompt{ID: "other", ClientID: "other", Nodes: showing("x")}) // after it, the queue is asked anew
		first()
		second()
		require.Equal(t, []string{"other", "first", "second"}, order)
	})
}

// showing is a graph that shows a text.
func showing(text string) nodebus.Nodes {
	g := nodebus.NewGraph()
	g.Add("Show", nodebus.Inputs{"in": text})
	return g.Nodes()
}
