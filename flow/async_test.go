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

// Execution semantics, section 9: asynchronous nodes, and nodes side by side.

// pause waits, as an asynchronous node.
type pause struct {
	In  any `in:"in,optional"`
	For int // milliseconds
	end func(error)
}

func (n pause) Run(ctx *nodebus.Context) (any, error) {
	timer := time.NewTimer(time.Duration(n.For) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if n.end != nil {
		n.end(context.Cause(ctx))
	}
	return n.In, ctx.Err()
}

func (r *rig) pause(end func(error)) {
	flow.Register(r.reg, pause{end: end}, nodebus.Info{Name: "Pause", Async: true})
}

func TestSection9ManyWaitAtOnceWithoutWorkers(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		r.pause(nil)
		g := nodebus.NewGraph()
		for i := range 1000 {
			g.AddAs(fmt.Sprint("o", i), "Show", in{"in": g.Add("Pause", in{"in": i, "for": 1000})})
		}
		began := time.Now()
		o := r.run(g.Nodes())
		require.Equal(t, []any{"999"}, o.text("o999"))
		require.Equal(t, time.Second, time.Since(began))
	})
}

func TestSection9CompletionOrder(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		r.pause(nil)
		g := nodebus.NewGraph()
		g.AddAs("oa", "Show", in{"in": g.AddAs("a", "Pause", in{"for": 300})})
		g.AddAs("ob", "Show", in{"in": g.AddAs("b", "Pause", in{"for": 200})})
		g.AddAs("oc", "Show", in{"in": g.AddAs("c", "Pause", in{"for": 100})})
		require.Equal(t, []string{
			"start", "cached", "executing a", "executing b", "executing c",
			"executing oc", "executed oc", "executing ob", "executed ob", "executing oa", "executed oa", "success", "executing ",
		}, r.run(g.Nodes()).types(), "none is executing a second time")
	})
}

func TestSection9CancelledWithThePrompt(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		told := make(chan error, 10)
		r.pause(func(cause error) { told <- cause })
		boom := errors.New("boom")
		r.fn("Fail", func(*nodebus.Context, any, any) (any, error) { return nil, boom })
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.Add("Pause", in{"for": 1_000_000}), "in2": g.AddAs("f", "Fail", in{"in": g.Add("Pause", in{"for": 5})})})
		began := time.Now()
		require.Equal(t, "f", r.run(g.Nodes()).failed(t).NodeID)
		require.Equal(t, 5*time.Millisecond, time.Since(began))
		require.NoError(t, <-told)
		require.ErrorIs(t, <-told, boom, "it is told why")
	})
}

func TestSection14InterruptReachesAsyncNodesAtOnce(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		told := make(chan error, 10)
		r.pause(func(cause error) { told <- cause })
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("p", "Pause", in{"for": 1_000_000})})
		wait := r.start(&nodebus.Prompt{ID: "id", Nodes: g.Nodes()})
		synctest.Wait()
		began := time.Now()
		require.True(t, interrupt(r.engine, "id"))
		o := wait()
		require.Zero(t, time.Since(began))
		require.Equal(t, "p", o.record.Interrupted.NodeID)
		require.Equal(t, "Pause", o.record.Interrupted.Class)
		require.ErrorIs(t, <-told, nodebus.ErrInterrupted)
	})
}

func TestSection6IndependentNodesRunSideBySide(t *testing.T) {
	for _, workers := range []int{1, 3} {
		inBubble(t, &flow.LocalOptions{Workers: workers}, nil, func(r *rig) {
			r.fn("Work", func(*nodebus.Context, any, any) (any, error) {
				time.Sleep(time.Second)
				return 1, nil
			})
			g := nodebus.NewGraph()
			for i := range 6 {
				g.AddAs(fmt.Sprint("o", i), "Show", in{"in": g.AddAs(fmt.Sprint("w", i), "Work", in{"in": i})})
			}
			began := time.Now()
			r.run(g.Nodes())
			require.Equal(t, time.Duration(6/workers)*time.Second, time.Since(began))
		})
	}
}

// TestSection6WorkersAreSharedByPrompts: the bound is over all prompts, and none
// is starved by another that has more to do.
func TestSection6WorkersAreSharedByPrompts(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 2}, &flow.EngineOptions{Parallel: 3}, func(r *rig) {
		at, most := 0, 0
		work := make(chan int, 100)
		r.fn("Work", func(*nodebus.Context, any, any) (any, error) {
			work <- +1
			time.Sleep(time.Second)
			work <- -1
			return 1, nil
		})
		var waits []func() outcome
		began := time.Now()
		for p, n := range []int{20, 2, 2} {
			g := nodebus.NewGraph()
			for i := range n {
				g.AddAs(fmt.Sprint("o", i), "Show", in{"in": g.Add("Work", in{"in": i, "in2": p})})
			}
			waits = append(waits, r.start(&nodebus.Prompt{ClientID: fmt.Sprint(p), Nodes: g.Nodes()}))
		}
		waits[1]()
		waits[2]()
		require.LessOrEqual(t, time.Since(began), 7*time.Second, "the small ones do not wait for the large one")
		waits[0]()
		require.Equal(t, 12*time.Second, time.Since(began))
		close(work)
		for d := range work {
			at += d
			most = max(most, at)
		}
		require.Equal(t, 2, most)
	})
}

// TestSection6NoPromptStarves: a prompt that comes while a large one has all workers
// gets one after the node that runs, and not when the large one is done.
func TestSection6NoPromptStarves(t *testing.T) {
	for _, workers := range []int{1, 2} {
		inBubble(t, &flow.LocalOptions{Workers: workers}, &flow.EngineOptions{Parallel: 3}, func(r *rig) {
			r.fn("Work", func(*nodebus.Context, any, any) (any, error) {
				time.Sleep(time.Second)
				return 1, nil
			})
			prompt := func(client string, n int) *nodebus.Prompt {
				g := nodebus.NewGraph()
				for i := range n {
					g.AddAs(fmt.Sprint("o", i), "Show", in{"in": g.Add("Work", in{"in": i, "in2": client})})
				}
				return &nodebus.Prompt{ClientID: client, Nodes: g.Nodes()}
			}
			began := time.Now()
			large := r.start(prompt("large", 100))
			synctest.Wait()
			var small []func() outcome
			for _, client := range []string{"b", "c"} {
				small = append(small, r.start(prompt(client, 2)))
			}
			for _, wait := range small {
				wait()
			}
			require.LessOrEqual(t, time.Since(began), 9*time.Second, "%d workers: a small prompt starves", workers)
			large()
			require.Equal(t, time.Duration(104/workers)*time.Second, time.Since(began), "no worker was idle")
		})
	}
}
