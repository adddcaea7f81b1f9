package flow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// fetch is an asynchronous node that is called for each element of a list.
type fetch struct {
	In  int
	run func(ctx *nodebus.Context, in int) (int, error)
}

type fetched struct {
	Value int `out:"value"`
	UI    nodebus.UI
}

func (n fetch) Run(ctx *nodebus.Context) (fetched, error) {
	v, err := n.run(ctx, n.In)
	return fetched{v, nodebus.Text(fmt.Sprint(v))}, err
}

// fetch registers an asynchronous node, and returns a graph that calls it for n elements.
func (r *rig) fetch(n int, run func(ctx *nodebus.Context, in int) (int, error)) nodebus.Nodes {
	flow.Register(r.reg, fetch{run: run}, nodebus.Info{Name: "Fetch", Async: true, Output: true})
	flow.Register(r.reg, mRange{}, nodebus.Info{Name: "Range"})
	flow.Register(r.reg, mConst{}, nodebus.Info{Name: "Const"})
	g := nodebus.NewGraph()
	g.AddAs("o", "Show", in{"in": g.AddAs("f", "Fetch", in{"in": g.AddAs("r", "Range", in{"n": n})})})
	return g.Nodes()
}

func pauseFor(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// TestListsOfAsyncCallsRunSideBySide: bounded, in order, with progress. 100 calls of 20 ms
// take 2 seconds one after another.
func TestListsOfAsyncCallsRunSideBySide(t *testing.T) {
	for _, c := range []struct {
		calls int // AsyncCalls
		most  int // calls at once
		took  time.Duration
	}{{0, 16, 140 * time.Millisecond}, {1, 1, 2 * time.Second}, {50, 50, 40 * time.Millisecond}, {1000, 100, 20 * time.Millisecond}} {
		inBubble(t, &flow.LocalOptions{Workers: 1, AsyncCalls: c.calls}, nil, func(r *rig) {
			var mu sync.Mutex
			at, most, indexes := 0, 0, map[int]int{}
			nodes := r.fetch(100, func(ctx *nodebus.Context, in int) (int, error) {
				mu.Lock()
				at++
				most = max(most, at)
				indexes[in] = ctx.Index()
				mu.Unlock()
				err := pauseFor(ctx, 20*time.Millisecond)
				mu.Lock()
				at--
				mu.Unlock()
				return in * in, err
			})
			began := time.Now()
			o := r.run(nodes)
			require.Equal(t, c.took, time.Since(began))
			require.Equal(t, c.most, most)
			var want []any
			for i := range 100 {
				want = append(want, fmt.Sprint(i*i))
				require.Equal(t, i, indexes[i])
			}
			require.Equal(t, want, o.text("f"))
			require.Equal(t, want, o.text("o"))
			last := nodebus.Progress{}
			for _, ev := range o.events {
				if p, ok := ev.Payload.(nodebus.Progress); ok {
					require.Greater(t, p.Value, last.Value)
					last = p
				}
			}
			if c.most > 1 {
				require.Equal(t, nodebus.Progress{Value: 100, Max: 100, PromptID: o.events[0].PromptID, UniqueID: "f"}, last)
			}
		})
	}
}

// TestListProgress: the progress of the calls adds up.
func TestListProgress(t *testing.T) {
	inBubble(t, &flow.LocalOptions{AsyncCalls: 3}, nil, func(r *rig) {
		nodes := r.fetch(3, func(ctx *nodebus.Context, in int) (int, error) {
			for step := range 4 {
				if err := pauseFor(ctx, time.Duration(1+in)*time.Second); err != nil {
					return 0, err
				}
				ctx.Progress(float64(step), 4)
				ctx.Progress(-1, 4)
				ctx.Progress(1, 0)
			}
			return in, nil
		})
		o := r.run(nodes)
		var got []float64
		for _, ev := range o.events {
			if p, ok := ev.Payload.(nodebus.Progress); ok {
				require.Equal(t, 3.0, p.Max)
				got = append(got, p.Value)
			}
		}
		require.NotEmpty(t, got)
		require.IsIncreasing(t, got)
		require.Equal(t, 0.25, got[0])
		require.Equal(t, 3.0, got[len(got)-1])
	})
}

// TestListFirstErrorEndsTheOtherCalls: the others learn why, and no further call begins.
func TestListFirstErrorEndsTheOtherCalls(t *testing.T) {
	boom := errors.New("boom")
	inBubble(t, &flow.LocalOptions{AsyncCalls: 4}, nil, func(r *rig) {
		causes, began := make(chan error, 100), time.Now()
		nodes := r.fetch(100, func(ctx *nodebus.Context, in int) (int, error) {
			if in == 2 {
				return 0, errors.Join(pauseFor(ctx, time.Second), boom)
			}
			err := pauseFor(ctx, time.Hour)
			causes <- err
			return 0, err
		})
		failed := r.run(nodes).failed(t)
		require.Equal(t, "f", failed.NodeID)
		require.Contains(t, failed.ExceptionMessage, "boom")
		require.Equal(t, time.Second, time.Since(began))
		require.Len(t, causes, 3)
		for range 3 {
			require.ErrorIs(t, <-causes, boom)
		}
	})
}

// TestListLeavesACallBehind: a call that does not end with its context delays the failure by
// Grace, and can send nothing afterwards.
func TestListLeavesACallBehind(t *testing.T) {
	var log bytes.Buffer
	opts := &flow.LocalOptions{Grace: time.Minute, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	stuck, late := make(chan struct{}), make(chan error, 1)
	inBubble(t, opts, nil, func(r *rig) {
		stuck, late = make(chan struct{}), make(chan error, 1)
		nodes := r.fetch(2, func(ctx *nodebus.Context, in int) (int, error) {
			if in == 0 {
				return 0, errModel
			}
			<-stuck
			ctx.Progress(1, 2)
			late <- ctx.SendSync(nodebus.Executing{UniqueID: "late"})
			return 0, nil
		})
		began := time.Now()
		o := r.run(nodes)
		require.Equal(t, "f", o.failed(t).NodeID)
		require.Equal(t, time.Minute, time.Since(began))
		close(stuck)
		require.ErrorIs(t, <-late, nodebus.ErrClosed)
		synctest.Wait()
		require.Contains(t, log.String(), "calls of a node abandoned")
		require.Contains(t, log.String(), "calls=1")
	})
}

// TestListInterrupted: an interrupt ends all calls at once.
func TestListInterrupted(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		causes := make(chan error, 100)
		nodes := r.fetch(100, func(ctx *nodebus.Context, _ int) (int, error) {
			err := pauseFor(ctx, time.Hour)
			causes <- err
			return 0, err
		})
		wait := r.start(&nodebus.Prompt{ID: "id", Nodes: nodes})
		synctest.Wait()
		began := time.Now()
		require.True(t, interrupt(r.engine, "id"))
		require.Equal(t, nodebus.Interrupted, wait().record.State)
		require.Zero(t, time.Since(began))
		require.Len(t, causes, 16)
		require.ErrorIs(t, <-causes, nodebus.ErrInterrupted)
	})
}

// TestListOfCallsThatMakeGraphs: the graphs of the calls run side by side, too, and a blocked
// element stays in its place.
func TestListOfCallsThatMakeGraphs(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		r.pause(nil)
		nodes := r.fetch(5, func(ctx *nodebus.Context, in int) (int, error) {
			if in == 3 {
				return 0, nodebus.Block("three")
			}
			g := ctx.NewGraph()
			return nodebus.Eval[int](ctx, g, g.Add("Pause", nodebus.Inputs{"in": in, "for": 1000 * (6 - in)}))
		})
		began := time.Now()
		o := r.run(nodes)
		require.Equal(t, nodebus.Succeeded, o.record.State)
		require.Equal(t, 6*time.Second, time.Since(began))
		require.Equal(t, []any{"0", "1", "2", "4"}, o.text("f"))
		require.Contains(t, o.types(), "executing f.4.0.1")
		require.Contains(t, o.types(), "ExecutionBlocked o")
	})
}

// TestListWorksWhileACallWaits: a list works as long as one of its calls works. A call that
// waits for a lazy input does not keep the node's other calls, or the input, from running.
func TestListWorksWhileACallWaits(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1, AsyncCalls: 2}, nil, func(r *rig) {
		r.pause(nil)
		flow.Register(r.reg, mRange{}, nodebus.Info{Name: "Range"})
		flow.Register(r.reg, waitsFor{}, nodebus.Info{Name: "WaitsFor", Async: true})
		g := nodebus.NewGraph()
		slow := g.AddAs("s", "Pause", in{"in": 7, "for": 3000})
		g.AddAs("o", "Show", in{"in": g.AddAs("w", "WaitsFor", in{"in": g.AddAs("r", "Range", in{"n": 4}), "lazy": slow})})
		began := time.Now()
		o := r.run(g.Nodes())
		require.Equal(t, []any{"7", "1", "2", "3"}, o.text("o"))
		require.Equal(t, 3*time.Second, time.Since(began), "three calls of a second run beside the one that waits")
	})
}

// waitsFor asks for its lazy input in its first call, and takes a second in the others.
type waitsFor struct {
	In   int
	Lazy nodebus.Lazy[int]
}

func (n waitsFor) Run(ctx *nodebus.Context) (int, error) {
	if ctx.Index() == 0 {
		return n.Lazy.Get(ctx)
	}
	return n.In, pauseFor(ctx, time.Second)
}
