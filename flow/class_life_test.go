package flow_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// What becomes of prompts whose classes are removed or replaced, and other errors of classes
// made at run time.

// oneOutput returns a class with an optional input and one output of any type.
func oneOutput(t testing.TB, name string, run funcOf) *flow.Class {
	t.Helper()
	c, err := flow.NewClass(flow.Schema{
		Info:    nodebus.Info{Name: name},
		Inputs:  []flow.Port{{Name: "in", Type: "*", Kind: flow.PortOptional}},
		Outputs: []flow.Port{{Type: "*"}},
	}, run, nil)
	require.NoError(t, err)
	return c
}

// TestRemovedClass checks that a prompt that runs and a prompt that waits keep their class, and
// that a later prompt is refused.
func TestRemovedClass(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1, Cache: flow.NoCache()}, &flow.EngineOptions{PerClient: 1}, func(r *rig) {
		gate := make(chan struct{})
		require.NoError(t, r.reg.Add(oneOutput(t, "A", gives(nil, func(*nodebus.Context, nodebus.Inputs) (any, error) {
			<-gate
			return "old", nil
		}))))
		nodes := parse(t, `{"a":{"class_type":"A","inputs":{}},"o":{"class_type":"Show","inputs":{"in":["a",0]}}}`)
		runs := r.start(&nodebus.Prompt{ID: "runs", ClientID: "c", Nodes: nodes})
		waits := r.start(&nodebus.Prompt{ID: "waits", ClientID: "c", Nodes: nodes})
		require.True(t, r.reg.Remove("A"))
		_, err := submit(r.engine, r.ctx, &nodebus.Prompt{Nodes: nodes})
		require.ErrorContains(t, err, "Node 'A' not found")
		require.NoError(t, r.reg.Add(oneOutput(t, "A", gives(nil, func(*nodebus.Context, nodebus.Inputs) (any, error) { return "new", nil }))))
		close(gate)
		require.Equal(t, []any{"old"}, runs().text("o"))
		require.Equal(t, []any{"old"}, waits().text("o"))
		require.Equal(t, []any{"new"}, r.run(nodes).text("o"))
	})
}

// TestRemovedClassInAnotherProcess checks a waiting prompt that an engine takes over whose
// registry does not have the class.
func TestRemovedClassInAnotherProcess(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		hub, opts := nodebus.NewHub(nil), &flow.EngineOptions{Queue: flow.NewQueue(nil), Store: flow.NewStore(nil)}
		with, without := flow.NewRegistry(), flow.NewRegistry()
		require.NoError(t, with.Add(oneOutput(t, "A", nothing)))
		for _, reg := range []*flow.Registry{with, without} {
			flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
		}
		nodes := parse(t, `{"a":{"class_type":"A","inputs":{}},"o":{"class_type":"Show","inputs":{"in":["a",0]}}}`)
		ctx, cancel := context.WithCancel(t.Context())
		events := hub.Subscribe(ctx)
		_, err := submit(flow.NewEngine(with, hub, opts), ctx, &nodebus.Prompt{ID: "waits", Nodes: nodes})
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() { ended <- flow.NewEngine(without, hub, opts).Run(ctx) }()
		for ev, err := range events {
			require.NoError(t, err)
			if e, ok := ev.Payload.(nodebus.Executing); ok && e.UniqueID == "" {
				break
			}
		}
		rec, err := opts.Store.Get(ctx, "waits")
		require.NoError(t, err)
		require.Equal(t, nodebus.Refused, rec.State)
		require.Contains(t, rec.Error.ExceptionMessage, "Node 'A' not found")
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, hub.Close())
	})
}

// TestRemovedClassInAGraph checks a graph that a node makes after its class was removed.
func TestRemovedClassInAGraph(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		require.NoError(t, r.reg.Add(oneOutput(t, "A", gives(nil, func(*nodebus.Context, nodebus.Inputs) (any, error) { return 1, nil }))))
		r.fn("Make", func(ctx *nodebus.Context, _, _ any) (any, error) {
			r.reg.Remove("A")
			g := ctx.NewGraph()
			return nodebus.Eval[any](ctx, g, g.Add("A", nil))
		})
		failed := r.run(parse(t, `{"m":{"class_type":"Make","inputs":{}},"o":{"class_type":"Show","inputs":{"in":["m",0]}}}`)).failed(t)
		require.Contains(t, failed.ExceptionMessage, `class "A": nodebus: not found`)
	})
}

// TestFuncErrors checks errors of functions and hooks at the wire.
func TestFuncErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  funcOf
		want string
	}{
		{"panic", func(*nodebus.Context, nodebus.Inputs) (flow.Result, error) { panic("boom") }, "boom"},
		{"error", func(*nodebus.Context, nodebus.Inputs) (flow.Result, error) {
			return flow.Result{}, errors.New("no luck")
		}, "no luck"},
		{"too few outputs", nothing, "the function of the class returned 0 outputs, but its schema has 1; return a value for each, in order"},
		{"too many outputs", func(*nodebus.Context, nodebus.Inputs) (flow.Result, error) {
			return flow.Result{Outputs: []any{1, 2}}, nil
		}, "returned 2 outputs, but its schema has 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, nil, nil, func(r *rig) {
				require.NoError(t, r.reg.Add(oneOutput(t, "A", tt.run)))
				failed := r.run(parse(t, `{"a":{"class_type":"A","inputs":{}},"o":{"class_type":"Show","inputs":{"in":["a",0]}}}`)).failed(t)
				require.Contains(t, failed.ExceptionMessage, tt.want)
				require.Equal(t, "a", failed.NodeID)
			})
		})
	}
	c := oneOutput(t, "A", func(*nodebus.Context, nodebus.Inputs) (flow.Result, error) { panic("boom") })
	_, err := c.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{}), nil)
	require.ErrorAs(t, err, new(*nodebus.PanicError))
}

// TestHooks checks the links that a validator of links takes, and panics of hooks.
func TestHooks(t *testing.T) {
	schema := flow.Schema{
		Info: nodebus.Info{Name: "A", Output: true}, Inputs: []flow.Port{{Name: "a", Type: "INT"}, {Name: "b", Type: "INT"}},
	}
	reg := validationRegistry()
	c, err := flow.NewClass(schema, nothing, &flow.Hooks{
		ValidateLinks: linked{}.ValidateLinks,
		Validate: func(ctx *nodebus.Context, in nodebus.Inputs) error {
			if len(in) > 0 {
				panic(fmt.Sprint(ctx.UniqueID(), in))
			}
			return nil
		},
	})
	require.NoError(t, err)
	require.NoError(t, reg.Add(c))
	check := func(a, b string) error {
		text := `{"t":{"class_type":"Typed","inputs":{"i":1,"f":0.5,"s":"x","b":true,"c":"red"}},"o":{"class_type":"A","inputs":{"a":` + a + `,"b":` + b + `}}}`
		return prepare(reg, &nodebus.Prompt{Nodes: parse(t, text)})
	}
	require.NoError(t, check(`["t",2]`, `["t",2]`))
	require.ErrorContains(t, check(`["t",2]`, `["t",1]`), "STRING and FLOAT are not alike")
	require.ErrorContains(t, check(`["t",2]`, `5`), "STRING and  are not alike")
	require.ErrorContains(t, check(`4`, `5`), "omap[a:4 b:5]")
}

// TestFuncClassesAtTheSameTime adds, removes, describes and calls classes in several goroutines.
func TestFuncClassesAtTheSameTime(t *testing.T) {
	var reg flow.Registry
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			name := fmt.Sprint("A", i%2)
			for range 50 {
				added := reg.Add(oneOutput(t, name, gives(nil, func(_ *nodebus.Context, in nodebus.Inputs) (any, error) { return in["in"], nil }))) == nil
				if c, ok := reg.Class(name); ok {
					res, err := c.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{}), nodebus.Inputs{"in": i})
					if err != nil || res.Outputs[0] != i {
						t.Errorf("%v, %v", res, err)
					}
				}
				for c := range reg.Classes() {
					if _, err := c.Schema().MarshalJSON(); err != nil {
						t.Error(err)
					}
				}
				if added && !reg.Remove(name) {
					t.Errorf("%s was removed twice", name)
				}
			}
		})
	}
	all.Wait()
}
