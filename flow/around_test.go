package flow_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// callTape is an Around that notes each call.
type callTape struct {
	mu    sync.Mutex
	lines []string
}

func (c *callTape) around(next flow.CallFunc) flow.CallFunc {
	return func(ctx *nodebus.Context, call *flow.Call) (flow.Result, error) {
		before := call.Attempts()
		res, err := next(ctx, call)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.lines = append(c.lines, fmt.Sprintf("%s %s/%s[%d] %v cached=%v %d-%d %v %v",
			call.Class.Name(), ctx.Place().ParentID, ctx.UniqueID(), ctx.Index(), call.Inputs(), call.Cached,
			before, call.Attempts(), res.Outputs, err))
		return res, err
	}
}

func (c *callTape) take() (lines []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines, c.lines = c.lines, nil
	return lines
}

// around replaces the calls of one class; next is the call of the node.
func around(class string, f func(ctx *nodebus.Context, call *flow.Call, next flow.CallFunc) (flow.Result, error)) flow.Around {
	return func(next flow.CallFunc) flow.CallFunc {
		return func(ctx *nodebus.Context, call *flow.Call) (flow.Result, error) {
			if call.Class.Name() != class {
				return next(ctx, call)
			}
			return f(ctx, call, next)
		}
	}
}

// TestAroundSeesEachCall: what a function around the calls sees of elements of lists, nodes made
// at run time, lazy inputs, blocked nodes and cached results.
func TestAroundSeesEachCall(t *testing.T) {
	tape := &callTape{}
	inBubble(t, &flow.LocalOptions{Workers: 1, Around: []flow.Around{nil, tape.around}}, nil, func(r *rig) {
		reg := r.reg
		flow.Register(reg, mConst{}, nodebus.Info{Name: "Const"})
		flow.Register(reg, mRange{}, nodebus.Info{Name: "Range"})
		flow.Register(reg, mAdd{}, nodebus.Info{Name: "Add"})
		flow.Register(reg, mPick{}, nodebus.Info{Name: "Pick"})
		flow.Register(reg, mGate{}, nodebus.Info{Name: "Gate"})
		flow.Register(reg, mEval{}, nodebus.Info{Name: "Eval"})
		for _, c := range []struct {
			name          string
			add           func(g *nodebus.Graph) nodebus.Link
			first, second []string
		}{
			{"list", func(g *nodebus.Graph) nodebus.Link {
				return g.AddAs("a", "Add", in{"a": g.AddAs("r", "Range", in{"n": 2}), "b": 5})
			}, []string{
				"Range /r[0] map[n:2] cached=false 0-1 [[0 1]] <nil>",
				"Add /a[0] map[a:0 b:5] cached=false 0-1 [5] <nil>",
				"Add /a[1] map[a:1 b:5] cached=false 0-1 [6] <nil>",
			}, []string{
				"Range /r[0] map[n:2] cached=true 0-0 [[0 1]] <nil>",
				"Add /a[0] map[b:5] cached=true 0-0 [[5 6]] <nil>",
			}},
			{"lazy", func(g *nodebus.Graph) nodebus.Link {
				return g.AddAs("p", "Pick", in{"which": 2, "a": 3, "b": g.AddAs("c", "Const", in{"value": 4})})
			}, []string{
				"Const /c[0] map[value:4] cached=false 0-1 [4] <nil>",
				"Pick /p[0] map[a:3 which:2] cached=false 0-1 [4] <nil>",
			}, []string{
				"Const /c[0] map[value:4] cached=true 0-0 [4] <nil>",
				"Pick /p[0] map[a:3 which:2] cached=true 0-0 [4] <nil>",
			}},
			{"blocked", func(g *nodebus.Graph) nodebus.Link {
				return g.AddAs("b", "Add", in{"a": g.AddAs("g", "Gate", in{"in": 4, "every": 2}), "b": 1})
			}, []string{
				"Gate /g[0] map[every:2 in:4] cached=false 0-1 [] nodebus: blocked: a multiple of 2",
			}, []string{
				"Gate /g[0] map[every:2 in:4] cached=true 0-0 [nodebus: blocked: a multiple of 2] <nil>",
				"Add /b[0] map[b:1] cached=true 0-0 [nodebus: blocked] <nil>",
			}},
			{"eval", func(g *nodebus.Graph) nodebus.Link {
				return g.AddAs("e", "Eval", in{"in": 7, "depth": 0})
			}, []string{
				"Const e/e.0.0.1[0] map[value:7] cached=false 0-1 [7] <nil>",
				"Eval /e[0] map[depth:0 fails:-1 in:7] cached=false 0-1 [7] <nil>",
			}, []string{
				"Eval /e[0] map[depth:0 fails:-1 in:7] cached=true 0-0 [7] <nil>",
			}},
		} {
			g := nodebus.NewGraph()
			g.AddAs("o", "Show", in{"in": c.add(g)})
			require.Equal(t, nodebus.Succeeded, r.run(g.Nodes()).record.State)
			isShow := func(line string) bool { return strings.HasPrefix(line, "Show ") }
			all := tape.take()
			require.Equal(t, c.name != "blocked", slices.ContainsFunc(all, isShow), c.name)
			require.Equal(t, c.first, slices.DeleteFunc(all, isShow), c.name)
			r.run(g.Nodes())
			all = tape.take()
			for _, line := range c.second {
				require.Contains(t, all, line, c.name)
			}
			require.NotContains(t, fmt.Sprint(all), "cached=false", c.name)
		}
	})
}

// TestAroundTriesAgain: each try has a Context of its own. What the first try left behind
// can do nothing more, and the graphs of the tries have different ids.
func TestAroundTriesAgain(t *testing.T) {
	var late []error
	again := around("Work", func(ctx *nodebus.Context, call *flow.Call, next flow.CallFunc) (flow.Result, error) {
		_, err := next(ctx, call)
		if !errors.Is(err, errModel) {
			return flow.Result{}, fmt.Errorf("the first try: %w", err)
		}
		require.NoError(t, ctx.SendSync(nodebus.Executing{UniqueID: "of the function"}))
		return next(ctx, call)
	})
	inBubble(t, &flow.LocalOptions{Around: []flow.Around{again}}, nil, func(r *rig) {
		flow.Register(r.reg, mConst{}, nodebus.Info{Name: "Const"})
		go1, gone := make(chan struct{}), make(chan struct{})
		tries, ids := 0, map[string]bool{}
		r.fn("Work", func(ctx *nodebus.Context, _, _ any) (any, error) {
			tries++
			g := ctx.NewGraph()
			at := g.Add("Const", in{"value": tries})
			require.False(t, ids[at.Node])
			ids[at.Node] = true
			v, err := nodebus.Eval[int](ctx, g, at)
			require.NoError(t, err)
			if tries == 1 {
				go func() {
					defer close(gone)
					<-go1
					_, err := nodebus.Eval[int](ctx, g, at)
					_, err2 := nodebus.Await[int](ctx, "x", nil)
					late = append(late, ctx.SendSync(nodebus.Executing{UniqueID: "late"}), err, err2)
					ctx.Progress(1, 2)
				}()
				return nil, errModel
			}
			close(go1)
			<-gone
			return v, nil
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("w", "Work", nil)})
		o := r.run(g.Nodes())
		require.Equal(t, []any{"2"}, o.text("o"))
		for _, err := range late {
			require.ErrorIs(t, err, nodebus.ErrClosed)
		}
		require.Len(t, late, 3)
		require.Contains(t, o.types(), "executing of the function")
		require.NotContains(t, o.types(), "executing late")
		require.NotContains(t, o.types(), "progress")
		require.Equal(t, map[string]bool{"w.0.0.1": true, "w.0.1.1": true}, ids)
	})
}

// TestAroundReplacesTheResult: a result from elsewhere has the forms that Call returns.
func TestAroundReplacesTheResult(t *testing.T) {
	block := &nodebus.BlockedError{Reason: "no"}
	cases := []struct {
		class string
		res   flow.Result
		err   error
		want  string // what the output shows, or the type of the error
	}{
		{"Const", flow.Result{Outputs: []any{7}}, nil, "7"},
		{"Const", flow.Result{Outputs: []any{7.0}}, nil, "7"},
		{"Const", flow.Result{Outputs: []any{block}}, nil, "ExecutionBlocked"},
		{"Const", flow.Result{}, block, "ExecutionBlocked"},
		{"Const", flow.Result{}, errModel, "error"},
		{"Const", flow.Result{Outputs: []any{1, 2}}, nil, "error"},
		{"Range", flow.Result{Outputs: []any{[]int{4, 5}}}, nil, "4 5"},
		{"Range", flow.Result{Outputs: []any{[]any{4, 5}}}, nil, "4 5"},
		{"Range", flow.Result{Outputs: []any{nodebus.List[int]{4}}}, nil, "4"},
		{"Range", flow.Result{Outputs: []any{4}}, nil, "4"},
		{"Split", flow.Result{Outputs: []any{6, block}}, nil, "6"},
		{"Split", flow.Result{Outputs: []any{nodebus.Out[int]{Value: 6}, 7}}, nil, "6"},
	}
	for i, c := range cases {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			replaced := around(c.class, func(*nodebus.Context, *flow.Call, flow.CallFunc) (flow.Result, error) { return c.res, c.err })
			inBubble(t, &flow.LocalOptions{Around: []flow.Around{replaced}}, nil, func(r *rig) {
				flow.Register(r.reg, mConst{}, nodebus.Info{Name: "Const"})
				flow.Register(r.reg, mRange{}, nodebus.Info{Name: "Range"})
				flow.Register(r.reg, mSplit{}, nodebus.Info{Name: "Split"})
				flow.Register(r.reg, mShow{}, nodebus.Info{Name: "ShowInt"})
				g := nodebus.NewGraph()
				g.AddAs("o", "ShowInt", in{"in": g.AddAs("x", c.class, in{"value": 1, "n": 1, "in": 1})})
				o := r.run(g.Nodes())
				if o.record.State == nodebus.Failed {
					require.Equal(t, "x", o.record.Error.NodeID)
				}
				got := fmt.Sprint(o.types())
				if text := o.text("o"); text != nil {
					got = fmt.Sprint(text)
				}
				require.Contains(t, got, c.want)
			})
		})
	}
}

// TestAroundFails: a panic, a Goexit and misuse of a function around a call are the error of
// that node, and the next prompt runs.
func TestAroundFails(t *testing.T) {
	var mu sync.Mutex
	var kept []func() error // each calls next after the call
	ways := map[string]func(ctx *nodebus.Context, call *flow.Call, next flow.CallFunc) (flow.Result, error){
		"panic: oh": func(*nodebus.Context, *flow.Call, flow.CallFunc) (flow.Result, error) { panic("oh") },
		"runtime.Goexit": func(*nodebus.Context, *flow.Call, flow.CallFunc) (flow.Result, error) {
			runtime.Goexit()
			panic("not reached")
		},
		"next needs the Call": func(ctx *nodebus.Context, call *flow.Call, next flow.CallFunc) (flow.Result, error) {
			return next(ctx, &flow.Call{Class: call.Class})
		},
		"kept": func(ctx *nodebus.Context, call *flow.Call, next flow.CallFunc) (flow.Result, error) {
			mu.Lock()
			defer mu.Unlock()
			kept = append(kept, func() error {
				_, err := next(ctx, call)
				return err
			})
			return flow.Result{}, errors.New("kept")
		},
	}
	for text, way := range ways {
		for _, async := range []bool{false, true} {
			inBubble(t, &flow.LocalOptions{Around: []flow.Around{around("Add", way)}}, nil, func(r *rig) {
				flow.Register(r.reg, mRange{}, nodebus.Info{Name: "Range"})
				flow.Register(r.reg, mAdd{}, nodebus.Info{Name: "Add", Async: async})
				for _, n := range []any{1, nodebus.Link{Node: "r"}} {
					g := nodebus.NewGraph()
					g.AddAs("r", "Range", in{"n": 3})
					g.AddAs("o", "Show", in{"in": g.AddAs("x", "Add", in{"a": n, "b": 1})})
					failed := r.run(g.Nodes()).failed(t)
					require.Equal(t, "x", failed.NodeID)
					require.Contains(t, failed.ExceptionMessage, text)
				}
				g := nodebus.NewGraph()
				g.AddAs("o", "Show", in{"in": "fine"})
				require.Equal(t, []any{"fine"}, r.run(g.Nodes()).text("o"))
			})
		}
	}
	require.NotEmpty(t, kept)
	for _, late := range kept {
		require.ErrorIs(t, late(), nodebus.ErrClosed, "the call is over")
	}
}

// TestAroundRefusesACachedResult: an error for a cached result makes the node run again.
func TestAroundRefusesACachedResult(t *testing.T) {
	for _, fault := range []func() error{func() error { return errModel }, func() error { panic(errModel) }} {
		told := 0
		refuse := func(next flow.CallFunc) flow.CallFunc {
			return func(ctx *nodebus.Context, call *flow.Call) (flow.Result, error) {
				if call.Cached {
					told++
					return flow.Result{}, fault()
				}
				return next(ctx, call)
			}
		}
		inBubble(t, &flow.LocalOptions{Around: []flow.Around{refuse}}, nil, func(r *rig) {
			wire := &tripwire{}
			flow.Register(r.reg, mConst{wire: wire}, nodebus.Info{Name: "Const"})
			g := nodebus.NewGraph()
			g.AddAs("o", "Show", in{"in": g.AddAs("c", "Const", in{"value": 1})})
			for k := range 3 {
				o := r.run(g.Nodes())
				require.Equal(t, []any{"1"}, o.text("o"))
				require.EqualValues(t, k+1, wire.calls.Load())
				require.Equal(t, 2*k, told, "once for each node")
				require.NotContains(t, o.types(), "cached c")
			}
		})
	}
}

// TestAroundCallsTwiceAtOnce: a function may start several tries and take the first result.
func TestAroundCallsTwiceAtOnce(t *testing.T) {
	hedge := around("Work", func(ctx *nodebus.Context, call *flow.Call, next flow.CallFunc) (flow.Result, error) {
		type end struct {
			res flow.Result
			err error
		}
		ends := make(chan end, 2)
		c, cancel := context.WithCancel(ctx)
		defer cancel()
		for range 2 {
			go func() {
				res, err := next(ctx.With(c), call)
				ends <- end{res, err}
			}()
			synctest.Wait()
		}
		e := <-ends
		return e.res, e.err
	})
	inBubble(t, &flow.LocalOptions{Around: []flow.Around{hedge}}, nil, func(r *rig) {
		var mu sync.Mutex
		tries := 0
		r.fn("Work", func(ctx *nodebus.Context, v, _ any) (any, error) {
			mu.Lock()
			tries++
			slow := tries == 1
			mu.Unlock()
			if slow {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return v, nil
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("w", "Work", in{"in": "second"})})
		require.Equal(t, []any{"second"}, r.run(g.Nodes()).text("o"))
	})
}

// TestAroundAttemptsAreRecorded: the record and the events say how often a node was called.
func TestAroundAttemptsAreRecorded(t *testing.T) {
	again := func(next flow.CallFunc) flow.CallFunc {
		return func(ctx *nodebus.Context, c *flow.Call) (flow.Result, error) {
			res, err := next(ctx, c)
			if err != nil {
				return next(ctx, c)
			}
			return res, nil
		}
	}
	inBubble(t, &flow.LocalOptions{Around: []flow.Around{again}, NodeDone: true}, nil, func(r *rig) {
		calls := 0
		r.fn("Second", func(*nodebus.Context, any, any) (any, error) {
			if calls++; calls == 1 {
				return nil, errors.New("not yet")
			}
			return 1, nil
		})
		r.fn("Never", func(*nodebus.Context, any, any) (any, error) { return nil, errors.New("never") })
		o := r.run(two("Second"))
		require.Equal(t, []int{2, 0}, []int{o.record.Nodes[0].Attempt, o.record.Nodes[1].Attempt}, "the second node was called once")
		var told []int
		for _, ev := range o.events {
			if done, ok := ev.Payload.(nodebus.NodeDone); ok {
				told = append(told, done.Attempt)
			}
		}
		require.Equal(t, []int{2, 1}, told)
		o = r.run(two("Never"))
		require.Equal(t, []any{2, o.record.Prompt.ID}, []any{o.record.Errors[0].Attempt, o.record.Errors[0].PromptID})
	})
}
