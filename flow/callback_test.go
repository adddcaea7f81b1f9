package flow_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Foreign code may call any method of the engine or its node's context while the
// executor calls it, because the executor holds no lock.

// caller is foreign code. At its first call it reports progress of a running node,
// runs another node of the prompt, runs a prompt of another client, and, if
// interrupt is set, interrupts its own prompt.
type caller struct {
	r         *rig
	interrupt bool
	called    atomic.Bool
	running   atomic.Pointer[nodebus.Context]
}

func (c *caller) call() {
	if c == nil || c.called.Swap(true) {
		return
	}
	if ctx := c.running.Load(); ctx != nil {
		ctx.Progress(1, 2)
		_ = ctx.Hidden("DYNPROMPT")
		g := ctx.NewGraph()
		_, err := nodebus.Eval[any](ctx, g, g.Add("Id", in{"in": "asked for"}))
		require.NoError(c.r.t, err)
	}
	s, err := c.r.engine.Submit(c.r.ctx, &nodebus.Prompt{ClientID: "other", Nodes: showing("other")}, nil)
	require.NoError(c.r.t, err)
	o, err := s.Wait(c.r.ctx)
	require.NoError(c.r.t, err)
	require.Equal(c.r.t, nodebus.Succeeded, o.State)
	if c.interrupt {
		require.True(c.r.t, interrupt(c.r.engine, "p"))
	}
}

// hook is called by the methods of the types below. The types cannot have a field
// for it, because reflection creates their values.
var hook atomic.Pointer[caller]

type (
	callingPrint  struct{ In any }
	callingMode   string
	callingShape  struct{ N int }
	callingSize   struct{}
	callingShow   struct{}
	callingValue  struct{}
	givesMode     struct{}
	takesMode     struct{ Mode callingMode }
	takesShape    struct{ Shape callingShape }
	callingCache  struct{ flow.Cache }
	callingLogger struct{ slog.Handler }
	liveNode      struct{ c *caller }
	unhearing     struct{ release chan struct{} }
)

func (n callingPrint) Run(*nodebus.Context) (any, error) { return n.In, nil }
func (callingPrint) Fingerprint(*nodebus.Context) (string, error) {
	hook.Load().call()
	return "x", nil
}

func (callingMode) Options() []string { hook.Load().call(); return []string{"a"} }
func (callingMode) PortType() string  { hook.Load().call(); return "MODE" }

func (givesMode) Run(*nodebus.Context) (callingMode, error) { return "a", nil }

func (n takesMode) Run(*nodebus.Context) (any, error) { return string(n.Mode), nil }

func (*callingShape) UnmarshalJSON([]byte) error { hook.Load().call(); return nil }

func (n takesShape) Run(*nodebus.Context) (any, error) { return n.Shape.N, nil }

func (callingSize) Size() int { hook.Load().call(); return 1 }

func (callingValue) Run(*nodebus.Context) (callingSize, error) {
	time.Sleep(time.Millisecond)
	return callingSize{}, nil
}

func (callingSize) MarshalJSON() ([]byte, error) { hook.Load().call(); return []byte("1"), nil }

func (callingShow) Run(*nodebus.Context) (nodebus.UI, error) {
	time.Sleep(time.Millisecond)
	return nodebus.UI{"x": {callingSize{}}}, nil
}

func (c callingCache) Get(key string) (flow.Result, bool) {
	hook.Load().call()
	return c.Cache.Get(key)
}

func (c callingCache) Put(key string, r flow.Result) {
	hook.Load().call()
	c.Cache.Put(key, r)
}

func (callingLogger) Enabled(context.Context, slog.Level) bool { return true }
func (callingLogger) Handle(context.Context, slog.Record) error {
	hook.Load().call()
	return nil
}

// liveNode runs for a second, so that other code can use its context.
func (n liveNode) Run(ctx *nodebus.Context) (any, error) {
	n.c.running.Store(ctx)
	time.Sleep(time.Second)
	return 1, ctx.Err()
}

// unhearing does not return when its context ends.
func (n unhearing) Run(*nodebus.Context) (any, error) {
	<-n.release
	return 1, nil
}

// lateCache calls the hook only when the prompt runs.
type lateCache struct {
	flow.Cache
	put bool
}

func (c lateCache) Get(key string) (flow.Result, bool) {
	if x := hook.Load(); !c.put && x.running.Load() != nil {
		x.call()
	}
	return c.Cache.Get(key)
}

func (c lateCache) Put(key string, r flow.Result) {
	if x := hook.Load(); c.put && x.running.Load() != nil {
		x.call()
	}
	c.Cache.Put(key, r)
}

func TestForeignCodeMayCallBack(t *testing.T) {
	for _, c := range []struct {
		name, class string
		in          in
		cache       func() flow.Cache
		submit      bool // Submit calls the foreign code, so there is no prompt to interrupt
	}{
		{name: "Fingerprint", class: "Print", in: in{"in": 1}},
		{name: "Fingerprint of a node made at run time", class: "NowPrint"},
		{name: "Fingerprint of a node returned", class: "ThenPrint"},
		{name: "Options", class: "NowMode"},
		{name: "Options of a graph returned", class: "ThenMode"},
		{name: "UnmarshalJSON", class: "Shape", in: in{"shape": map[string]any{"n": 1}}, submit: true},
		{name: "Size", class: "Value", cache: func() flow.Cache { return flow.NewCache(nil) }},
		{name: "MarshalJSON", class: "ShowCalling"},
		{name: "Get before the prompt", class: "Id", cache: func() flow.Cache { return callingCache{flow.NewCache(nil)} }},
		{name: "Get while the prompt runs", class: "NowId", cache: func() flow.Cache { return lateCache{Cache: flow.NewCache(nil)} }},
		{name: "Put", class: "NowId", cache: func() flow.Cache { return lateCache{flow.NewCache(nil), true} }},
	} {
		for _, stop := range []bool{false, true} {
			if stop && c.submit {
				continue
			}
			opts := &flow.LocalOptions{Workers: 4}
			if c.cache != nil {
				opts.Cache = c.cache()
			}
			inBubble(t, opts, &flow.EngineOptions{Parallel: 4}, func(r *rig) {
				calls := &caller{r: r, interrupt: stop}
				hook.Store(nil)
				r.id()
				flow.Register(r.reg, callingPrint{}, nodebus.Info{Name: "Print"})
				flow.Register(r.reg, givesMode{}, nodebus.Info{Name: "GivesMode"})
				flow.Register(r.reg, takesMode{}, nodebus.Info{Name: "TakesMode"})
				flow.Register(r.reg, takesShape{}, nodebus.Info{Name: "Shape"})
				flow.Register(r.reg, callingValue{}, nodebus.Info{Name: "Value"})
				flow.Register(r.reg, callingShow{}, nodebus.Info{Name: "ShowCalling"})
				flow.Register(r.reg, liveNode{calls}, nodebus.Info{Name: "Live"})
				r.makers("Print", func(_ *nodebus.Context, g *nodebus.Graph, _, _ any) (nodebus.Link, error) {
					time.Sleep(time.Millisecond) // after this time the other node runs
					return g.Add("Print", in{"in": 1}), nil
				})
				r.makers("Mode", func(_ *nodebus.Context, g *nodebus.Graph, _, _ any) (nodebus.Link, error) {
					time.Sleep(time.Millisecond)
					return g.Add("TakesMode", in{"mode": g.Add("GivesMode", nil)}), nil
				})
				r.makers("Id", func(_ *nodebus.Context, g *nodebus.Graph, _, _ any) (nodebus.Link, error) {
					time.Sleep(time.Millisecond)
					return g.Add("Id", in{"in": 1}), nil
				})
				hook.Store(calls)
				g := nodebus.NewGraph()
				x := g.AddAs("x", c.class, c.in)
				if c.class != "ShowCalling" {
					g.AddAs("out", "Show", in{"in": x})
				}
				g.AddAs("o2", "Show", in{"in": g.AddAs("live", "Live", nil)})
				o := r.submit(&nodebus.Prompt{ID: "p", ClientID: "client", Nodes: g.Nodes()})
				require.True(t, calls.called.Load(), c.name)
				want := nodebus.Succeeded
				if stop {
					want = nodebus.Interrupted
				}
				require.Equal(t, want, o.record.State, "%s: %+v", c.name, o.record.Error)
			})
		}
	}
}

// TestLoggerMayCallBack checks that a logger may call the engine, even if the
// abandoned node had the only worker.
func TestLoggerMayCallBack(t *testing.T) {
	opts := &flow.LocalOptions{Workers: 1, Logger: slog.New(callingLogger{slog.DiscardHandler})}
	inBubble(t, opts, &flow.EngineOptions{Parallel: 4}, func(r *rig) {
		calls := &caller{r: r}
		hook.Store(calls)
		n := unhearing{release: make(chan struct{})}
		flow.Register(r.reg, n, nodebus.Info{Name: "Deaf"})
		wait := r.start(&nodebus.Prompt{ID: "p", ClientID: "client", Nodes: two("Deaf")})
		time.Sleep(time.Second)
		require.True(t, interrupt(r.engine, "p"))
		require.Equal(t, nodebus.Interrupted, wait().record.State)
		require.True(t, calls.called.Load())
		close(n.release)
	})
}

// TestRetainMayCallBack checks that the function given to Retain may call the cache.
func TestRetainMayCallBack(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		c := flow.NewCache(nil)
		c.Put("a", flow.Result{})
		c.Put("b", flow.Result{})
		c.Retain(func(key string) bool {
			_, there := c.Get(key)
			c.Put("c", flow.Result{})
			return there && key == "a"
		})
		for key, want := range map[string]bool{"a": true, "b": false, "c": true} {
			_, there := c.Get(key)
			require.Equal(t, want, there, key)
		}
	})
}

// callingContext is a foreign context whose methods ask for the graph of a running
// node.
type callingContext struct {
	context.Context
	running *atomic.Pointer[nodebus.Context]
}

func (c callingContext) call() {
	if ctx := c.running.Load(); ctx != nil {
		_ = ctx.Hidden("DYNPROMPT")
	}
}

func (c callingContext) Err() error            { c.call(); return c.Context.Err() }
func (c callingContext) Done() <-chan struct{} { c.call(); return c.Context.Done() }
func (c callingContext) Value(key any) any     { c.call(); return c.Context.Value(key) }

// asksLazily waits for its lazy input with a foreign context.
type asksLazily struct {
	In nodebus.Lazy[any]
}

func (n asksLazily) Run(ctx *nodebus.Context) (any, error) {
	var running atomic.Pointer[nodebus.Context]
	running.Store(ctx)
	return n.In.Get(callingContext{ctx, &running})
}

// TestContextOfWaitMayCallBack checks that a node may wait with a context whose
// methods call the node's own context, whether the wait succeeds or is interrupted.
func TestContextOfWaitMayCallBack(t *testing.T) {
	for _, stop := range []bool{false, true} {
		inBubble(t, nil, nil, func(r *rig) {
			flow.Register(r.reg, asksLazily{}, nodebus.Info{Name: "Asks"})
			r.fn("Slow", func(ctx *nodebus.Context, _, _ any) (any, error) {
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
				}
				return "slow", ctx.Err()
			})
			g := nodebus.NewGraph()
			g.AddAs("out", "Show", in{"in": g.Add("Asks", in{"in": g.Add("Slow", nil)})})
			wait := r.start(&nodebus.Prompt{ID: "p", ClientID: "client", Nodes: g.Nodes()})
			if stop {
				time.Sleep(time.Second / 2)
				require.True(t, interrupt(r.engine, "p"))
				require.Equal(t, nodebus.Interrupted, wait().record.State)
				return
			}
			require.Equal(t, []any{"slow"}, wait().text("out"))
		})
	}
}

// TestContextOfExecuteMayCallBack checks that the methods of the context given to
// Execute may call a node's context, even while a failing node ends the prompt.
func TestContextOfExecuteMayCallBack(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		var running atomic.Pointer[nodebus.Context]
		r.fn("Fail", func(ctx *nodebus.Context, _, _ any) (any, error) {
			running.Store(ctx)
			return nil, errQueue
		})
		_, err := execute(r.local, callingContext{r.ctx, &running}, &nodebus.Prompt{ID: "p", Nodes: two("Fail")}, r.hub)
		require.ErrorIs(t, err, errQueue)
	})
}

// TestContextOfWaitMayPanic checks that a panic in the context of a wait fails the
// node.
func TestContextOfWaitMayPanic(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, asksBadly{}, nodebus.Info{Name: "Asks"})
		r.fn("Slow", func(*nodebus.Context, any, any) (any, error) { time.Sleep(time.Second); return "slow", nil })
		g := nodebus.NewGraph()
		g.AddAs("out", "Show", in{"in": g.Add("Asks", in{"in": g.Add("Slow", nil)})})
		e := r.run(g.Nodes()).failed(t)
		require.Contains(t, e.ExceptionMessage, "bad context")
	})
}

// asksBadly waits for its lazy input with a context that panics after the wait.
type asksBadly struct {
	In nodebus.Lazy[any]
}

func (n asksBadly) Run(ctx *nodebus.Context) (any, error) {
	return n.In.Get(badContext{ctx, time.Now()})
}

type badContext struct {
	context.Context
	begin time.Time
}

func (c badContext) Err() error {
	if time.Since(c.begin) > 0 {
		panic("bad context")
	}
	return c.Context.Err()
}
