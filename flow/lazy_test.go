package flow_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Execution semantics, section 7: lazy inputs.

// fork asks for one of its two lazy inputs.
type fork struct {
	Cond            bool
	OnTrue, OnFalse nodebus.Lazy[any]
}

func (n fork) Run(ctx *nodebus.Context) (any, error) {
	if n.Cond {
		return n.OnTrue.Get(ctx)
	}
	return n.OnFalse.Get(ctx)
}

// lazyFn is a node with two lazy inputs.
type lazyFn struct {
	A nodebus.Lazy[int] `in:"a,optional"`
	B nodebus.Lazy[int] `in:"b,optional"`
	f func(ctx *nodebus.Context, a, b nodebus.Lazy[int]) (any, error)
}

func (n lazyFn) Run(ctx *nodebus.Context) (any, error) { return n.f(ctx, n.A, n.B) }

func (r *rig) lazy(name string, f func(ctx *nodebus.Context, a, b nodebus.Lazy[int]) (any, error)) {
	flow.Register(r.reg, lazyFn{f: f}, nodebus.Info{Name: name})
}

// value registers a class that returns its literal and counts its calls.
func (r *rig) value() *tripwire {
	wire := &tripwire{}
	flow.Register(r.reg, mConst{wire: wire}, nodebus.Info{Name: "Const"})
	return wire
}

func TestSection7OnlyWhatIsAskedForRuns(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		flow.Register(r.reg, fork{}, nodebus.Info{Name: "Fork"})
		r.value()
		g := nodebus.NewGraph()
		a, b := g.AddAs("a", "Const", in{"value": 1}), g.AddAs("b", "Const", in{"value": 2})
		g.AddAs("o", "Show", in{"in": g.AddAs("x", "Fork", in{"cond": true, "on_true": a, "on_false": b})})
		o := r.run(g.Nodes())
		require.Equal(t, []any{"1"}, o.text("o"))
		require.Equal(t, []string{
			"start", "cached", "executing x", "executing a", "executing x", "executing o", "executed o", "success", "executing ",
		}, o.types(), "it is executing again when it goes on")
	})
}

func TestSection7WhatIsThereAlreadyIsNotWaitedFor(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		flow.Register(r.reg, fork{}, nodebus.Info{Name: "Fork"})
		r.value()
		g := nodebus.NewGraph()
		a := g.AddAs("a", "Const", in{"value": 1})
		g.AddAs("first", "Show", in{"in": a})
		g.AddAs("o", "Show", in{"in": g.AddAs("x", "Fork", in{"cond": true, "on_true": a, "on_false": 3})})
		o := r.run(g.Nodes())
		require.NotContains(t, o.types()[4:len(o.types())-1], "executing a")
		n := 0
		for _, typ := range o.types() {
			if typ == "executing x" {
				n++
			}
		}
		require.LessOrEqual(t, n, 2)
		require.Equal(t, []any{"1"}, o.text("o"))

		g = nodebus.NewGraph() // a literal needs no wait either
		g.AddAs("o", "Show", in{"in": g.AddAs("x", "Fork", in{"cond": false, "on_true": g.Add("Const", in{"value": 9}), "on_false": 3})})
		o = r.run(g.Nodes())
		require.Equal(t, []any{"3"}, o.text("o"))
		require.Equal(t, []string{"start", "cached", "executing x", "executing o", "executed o", "success", "executing "}, o.types())
	})
}

func TestSection7AskedTwiceByManyAndNested(t *testing.T) {
	for _, workers := range []int{1, 4} {
		inBubble(t, &flow.LocalOptions{Workers: workers}, nil, func(r *rig) {
			wire := r.value()
			r.lazy("Twice", func(ctx *nodebus.Context, a, _ nodebus.Lazy[int]) (any, error) {
				v, err := a.Get(ctx)
				if err != nil {
					return nil, err
				}
				w, err := a.Get(ctx)
				return v + w, err
			})
			r.lazy("Both", func(ctx *nodebus.Context, a, b nodebus.Lazy[int]) (any, error) {
				var all sync.WaitGroup // two goroutines ask at the same time
				var v, w int
				var err1, err2 error
				all.Go(func() { v, err1 = a.Get(ctx) })
				all.Go(func() { w, err2 = b.Get(ctx) })
				all.Wait()
				return v + w, errors.Join(err1, err2)
			})
			g := nodebus.NewGraph()
			one := g.Add("Const", in{"value": 1})
			x, y := g.Add("Twice", in{"a": one}), g.Add("Twice", in{"a": one})
			z := g.Add("Both", in{"a": x, "b": y})
			g.AddAs("o", "Show", in{"in": g.Add("Both", in{"a": z, "b": one})})
			require.Equal(t, []any{"5"}, r.run(g.Nodes()).text("o"))
			require.Equal(t, int64(1), wire.calls.Load())
		})
	}
}

// TestSection7HundredsWaitWithOneWorker runs a chain of lazy nodes, where each node
// waits for the node before it, with a single worker slot.
func TestSection7HundredsWaitWithOneWorker(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		r.value()
		r.lazy("Next", func(ctx *nodebus.Context, a, _ nodebus.Lazy[int]) (any, error) {
			v, err := a.Get(ctx)
			return v + 1, err
		})
		g := nodebus.NewGraph()
		at := g.Add("Const", in{"value": 0})
		for range 1000 {
			at = g.Add("Next", in{"a": at})
		}
		g.AddAs("o", "Show", in{"in": at})
		require.Equal(t, []any{"1000"}, r.run(g.Nodes()).text("o"))

		g = nodebus.NewGraph() // many nodes wait for the same node
		slow := g.Add("Const", in{"value": 7})
		for i := range 500 {
			g.AddAs(fmt.Sprint("o", i), "Show", in{"in": g.Add("Next", in{"a": slow})})
		}
		require.Equal(t, []any{"8"}, r.run(g.Nodes()).text("o499"))
	})
}

func TestSection7ListMapping(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, mRange{}, nodebus.Info{Name: "Range"})
		r.lazy("Sum", func(ctx *nodebus.Context, a, b nodebus.Lazy[int]) (any, error) {
			v, err := a.Get(ctx)
			if err != nil {
				return nil, err
			}
			w, err := b.Get(ctx)
			return fmt.Sprint(ctx.Index(), ":", v+10*w), err
		})
		g := nodebus.NewGraph()
		l := g.Add("Range", in{"n": 3})
		g.AddAs("o", "Show", in{"in": g.Add("Sum", in{"a": l, "b": g.Add("Range", in{"n": 2})})})
		require.Equal(t, []any{"0:0", "1:11", "2:12"}, r.run(g.Nodes()).text("o"),
			"a list behind a lazy input makes the node be called for each element; a shorter one repeats its last")

		g = nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("x", "Sum", in{"a": g.Add("Range", in{"n": 0})})})
		require.Equal(t, "input \"a\": got an empty list where one value is needed\n", r.run(g.Nodes()).failed(t).ExceptionMessage)
	})
}

func TestSection7UnconnectedAndFailing(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Fail", func(*nodebus.Context, any, any) (any, error) { return nil, errors.New("boom") })
		r.lazy("Sum", func(ctx *nodebus.Context, a, b nodebus.Lazy[int]) (any, error) {
			v, err := a.Get(ctx)
			require.NoError(t, err)
			w, err := b.Get(ctx)
			if err != nil { // the node cannot turn the error into a result
				return nil, nil
			}
			return v + w, nil
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.Add("Sum", in{"a": 5})})
		require.Equal(t, []any{"5"}, r.run(g.Nodes()).text("o"), "an unconnected input is zero")

		g = nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.Add("Sum", in{"b": g.AddAs("f", "Fail", nil)})})
		require.Equal(t, "f", r.run(g.Nodes()).failed(t).NodeID)
	})
}

func TestSection7WrongTypeOfValue(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Text", func(*nodebus.Context, any, any) (any, error) { return "no number", nil })
		r.lazy("Ask", func(ctx *nodebus.Context, a, _ nodebus.Lazy[int]) (any, error) { return a.Get(ctx) })
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("x", "Ask", in{"a": g.Add("Text", nil)})})
		e := r.run(g.Nodes()).failed(t)
		require.Equal(t, "x", e.NodeID)
		require.Equal(t, "needs a whole number, got the string \"no number\"\n", e.ExceptionMessage)
	})
}

func TestSection7Interrupted(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Slow", func(ctx *nodebus.Context, _, _ any) (any, error) {
			<-ctx.Done()
			return 1, nil
		})
		asked := make(chan error, 2)
		r.lazy("Ask", func(ctx *nodebus.Context, a, _ nodebus.Lazy[int]) (any, error) {
			_, err := a.Get(ctx)
			asked <- err
			_, err = a.Get(ctx) // asks again after the interrupt
			asked <- err
			return nil, err
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("x", "Ask", in{"a": g.AddAs("slow", "Slow", nil)})})
		wait := r.start(&nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
		synctest.Wait()
		require.True(t, interrupt(r.engine, "p"))
		require.ErrorIs(t, <-asked, nodebus.ErrInterrupted)
		require.ErrorIs(t, <-asked, nodebus.ErrInterrupted)
		require.Equal(t, nodebus.Interrupted, wait().record.State)
	})
}

func TestSection7WaitWithADeadlineOfItsOwn(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		r.fn("Slow", func(*nodebus.Context, any, any) (any, error) {
			time.Sleep(time.Hour)
			return 7, nil
		})
		r.lazy("Ask", func(ctx *nodebus.Context, a, _ nodebus.Lazy[int]) (any, error) {
			short, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			began := time.Now()
			_, err := a.Get(short)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, time.Minute, time.Since(began))
			return a.Get(ctx)
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.Add("Ask", in{"a": g.Add("Slow", nil)})})
		require.Equal(t, []any{"7"}, r.run(g.Nodes()).text("o"))
		r.nextRuns()
	})
}

func TestSection7AskedAfterTheNodeIsDone(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.value()
		later := make(chan nodebus.Lazy[int], 1)
		r.lazy("Keep", func(_ *nodebus.Context, a, _ nodebus.Lazy[int]) (any, error) {
			later <- a
			return 1, nil
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.Add("Keep", in{"a": g.AddAs("c", "Const", in{"value": 1})})})
		o := r.run(g.Nodes())
		require.NotContains(t, o.types(), "executing c")
		_, err := (<-later).Get(t.Context())
		require.ErrorIs(t, err, nodebus.ErrClosed)
	})
}

// TestSection7LeakedWaiter checks that a goroutine of a node gets an error if it
// still waits for a lazy input when Run has returned.
func TestSection7LeakedWaiter(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		r.fn("Slow", func(ctx *nodebus.Context, _, _ any) (any, error) {
			time.Sleep(time.Second)
			return 1, nil
		})
		got := make(chan error, 1)
		r.lazy("Leak", func(ctx *nodebus.Context, a, _ nodebus.Lazy[int]) (any, error) {
			go func() {
				_, err := a.Get(ctx)
				got <- err
			}()
			time.Sleep(time.Millisecond)
			return 1, nil
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.Add("Leak", in{"a": g.Add("Slow", nil)})})
		require.Equal(t, []any{"1"}, r.run(g.Nodes()).text("o"))
		require.ErrorIs(t, <-got, nodebus.ErrClosed)
		r.nextRuns()
	})
}
