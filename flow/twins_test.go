package flow_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Execution semantics, section 10: equal nodes that are ready at the same time,
// while some of them wait for other nodes.

// follow makes a node that returns the result of another node of the prompt, and
// waits for it. If gate is not nil, follow first waits until gate is closed.
type follow struct {
	To   string
	gate chan struct{}
}

func (n follow) Run(ctx *nodebus.Context) (any, error) {
	if n.gate != nil {
		<-n.gate
	}
	g := ctx.NewGraph()
	return nodebus.Eval[any](ctx, g, g.Add("Id", in{"in": nodebus.Link{Node: n.To}}))
}

// TestSection10TwinsInARing checks that a cycle is found if two equal nodes both
// depend on the second.
func TestSection10TwinsInARing(t *testing.T) {
	for _, workers := range []int{1, 4} {
		inBubble(t, &flow.LocalOptions{Workers: workers}, nil, func(r *rig) {
			r.counted("Id")
			flow.Register(r.reg, follow{}, nodebus.Info{Name: "Follow"})
			g := nodebus.NewGraph()
			g.AddAs("o1", "Show", in{"in": g.AddAs("a", "Follow", in{"to": "b"})})
			g.AddAs("o2", "Show", in{"in": g.AddAs("b", "Follow", in{"to": "b"})})
			require.Equal(t, "graph.DependencyCycleError", r.run(g.Nodes()).failed(t).ExceptionType)
			r.nextRuns()
		})
	}
}

// TestSection10TwinsOfTwoPromptsThatWaitForEachOther checks that there is no
// deadlock if each prompt waits for a node that is equal to a waiting node of the
// other prompt. Neither prompt has a cycle.
func TestSection10TwinsOfTwoPromptsThatWaitForEachOther(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 8}, &flow.EngineOptions{Parallel: 4}, func(r *rig) {
		gate := make(chan struct{})
		r.counted("Id")
		r.counted("Const")
		flow.Register(r.reg, follow{gate: gate}, nodebus.Info{Name: "Follow"})
		a, b := nodebus.NewGraph(), nodebus.NewGraph()
		a.AddAs("o", "Show", in{"in": a.AddAs("1", "Follow", in{"to": "2"})})
		a.AddAs("2", "Follow", in{"to": "3"})
		a.AddAs("3", "Const", in{"in": 7})
		b.AddAs("o", "Show", in{"in": b.AddAs("1", "Follow", in{"to": "3"})})
		b.AddAs("2", "Const", in{"in": 7})
		b.AddAs("3", "Follow", in{"to": "2"})
		first := r.start(&nodebus.Prompt{ID: "a", ClientID: "a", Nodes: a.Nodes()})
		second := r.start(&nodebus.Prompt{ID: "b", ClientID: "b", Nodes: b.Nodes()})
		synctest.Wait()
		close(gate)
		require.Equal(t, []any{"7"}, first().text("o"))
		require.Equal(t, []any{"7"}, second().text("o"))
	})
}

// TestSection10TwinOfOneThatWaits checks that a node that waits for a lazy input, or
// for nodes that it made, does not block an equal node, and that the awaited node is
// computed once.
func TestSection10TwinOfOneThatWaits(t *testing.T) {
	for _, class := range []string{"Ask", "NowMade", "ThenMade"} {
		inBubble(t, &flow.LocalOptions{Workers: 8}, &flow.EngineOptions{Parallel: 4}, func(r *rig) {
			n := r.slow()
			r.lazy("Ask", func(ctx *nodebus.Context, a, _ nodebus.Lazy[int]) (any, error) { return a.Get(ctx) })
			r.makers("Made", func(_ *nodebus.Context, g *nodebus.Graph, _, _ any) (nodebus.Link, error) {
				return g.Add("Slow", in{"in": 1}), nil
			})
			began := time.Now()
			var waits []func() outcome
			for p := range 3 {
				g := nodebus.NewGraph()
				for i := range 4 {
					inputs := in{}
					if class == "Ask" {
						inputs["a"] = g.Add("Slow", in{"in": 1})
					}
					g.AddAs(fmt.Sprint("o", i), "Show", in{"in": g.Add(class, inputs), "in2": i})
				}
				waits = append(waits, r.start(&nodebus.Prompt{ClientID: fmt.Sprint(p), Nodes: g.Nodes()}))
			}
			for _, wait := range waits {
				o := wait()
				for i := range 4 {
					require.Equal(t, []any{"1"}, o.text(fmt.Sprint("o", i)), class)
				}
			}
			require.Equal(t, time.Second, time.Since(began), class)
			require.Equal(t, int64(1), n.Load(), class)
		})
	}
}

// slow registers a class that takes a second. It returns the counter of its calls.
func (r *rig) slow() *atomic.Int64 {
	n := new(atomic.Int64)
	r.fn("Slow", func(ctx *nodebus.Context, v, _ any) (any, error) {
		n.Add(1)
		select {
		case <-time.After(time.Second):
			return v, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	})
	return n
}

// TestSection10TwinsMadeAtRunTime checks that equal nodes made by one node are
// computed once, even if they are ready at the same time.
func TestSection10TwinsMadeAtRunTime(t *testing.T) {
	for _, kind := range []string{"Then", "Now"} {
		inBubble(t, &flow.LocalOptions{Workers: 4}, nil, func(r *rig) {
			n := r.slow()
			r.counted("Pair")
			r.makers("Two", func(_ *nodebus.Context, g *nodebus.Graph, _, _ any) (nodebus.Link, error) {
				return g.Add("Pair", in{"in": g.Add("Slow", in{"in": "v"}), "in2": g.Add("Slow", in{"in": "v"})}), nil
			})
			began := time.Now()
			require.Equal(t, []any{"v"}, r.run(two(kind+"Two")).text("out"))
			require.Equal(t, int64(1), n.Load())
			require.Equal(t, time.Second, time.Since(began))
		})
	}
}

// TestSection10TwinOfOneThatIsInterrupted checks that a node computes the result
// itself if the prompt with the equal node is interrupted.
func TestSection10TwinOfOneThatIsInterrupted(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 4}, &flow.EngineOptions{Parallel: 4}, func(r *rig) {
		n := r.slow()
		first := r.start(&nodebus.Prompt{ID: "first", ClientID: "a", Nodes: pipe("a", "Slow", 1)})
		synctest.Wait()
		second := r.start(&nodebus.Prompt{ClientID: "b", Nodes: pipe("b", "Slow", 1)})
		synctest.Wait()
		require.Equal(t, int64(1), n.Load(), "the second node waits for the first")
		require.True(t, interrupt(r.engine, "first"))
		require.Equal(t, nodebus.Interrupted, first().record.State)
		require.Equal(t, []any{"1"}, second().text("bo"))
		require.Equal(t, int64(2), n.Load(), "the second node has computed the result itself")
	})
}

// TestSection10TwinOfOneThatFails checks that a node computes the result itself if
// the equal node fails.
func TestSection10TwinOfOneThatFails(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 4}, &flow.EngineOptions{Parallel: 4}, func(r *rig) {
		n := new(atomic.Int64)
		r.fn("Flaky", func(_ *nodebus.Context, v, _ any) (any, error) {
			time.Sleep(time.Second)
			if n.Add(1) == 1 {
				return nil, errors.New("the first time")
			}
			return v, nil
		})
		first := r.start(&nodebus.Prompt{ClientID: "a", Nodes: pipe("a", "Flaky", 1)})
		synctest.Wait()
		second := r.start(&nodebus.Prompt{ClientID: "b", Nodes: pipe("b", "Flaky", 1)})
		first().failed(t)
		require.Equal(t, []any{"1"}, second().text("bo"))
	})
}
