package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// These tests run nodes that misbehave and graphs that are very large. In every case
// the prompt ends with one end event, no goroutine is left, and the next prompt
// runs.

// two returns a graph of one node of a class and an output node that shows its
// output.
func two(class string) nodebus.Nodes {
	g := nodebus.NewGraph()
	g.AddAs("out", "Show", in{"in": g.AddAs("x", class, in{"in": 1})})
	return g.Nodes()
}

func (r *rig) nextRuns() {
	r.t.Helper()
	g := nodebus.NewGraph()
	g.AddAs("o", "Show", in{"in": "still here"})
	require.Equal(r.t, []any{"still here"}, r.run(g.Nodes()).text("o"))
}

func TestNodeThatFails(t *testing.T) {
	boom := errors.New("boom")
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Fail", func(*nodebus.Context, any, any) (any, error) { return nil, fmt.Errorf("while working: %w", boom) })
		o := r.run(two("Fail"))
		require.Equal(t, []string{"start", "cached", "executing x", "error x", "executing "}, o.types())
		e := o.failed(t)
		require.Equal(t, "while working: boom\n", e.ExceptionMessage)
		require.Equal(t, "Fail", e.Class)
		require.Equal(t, map[string][]any{"in": {int64(1)}}, e.CurrentInputs)
		require.Equal(t, []string{"x", "out"}, e.CurrentOutputs)
		require.Equal(t, []string{"error: while working: boom\n", "error: boom\n"}, e.Traceback)
		r.nextRuns()
	})
}

func TestNodeThatPanics(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Panic", func(*nodebus.Context, any, any) (any, error) { panic("at the disco") })
		o := r.run(two("Panic"))
		e := o.failed(t)
		require.Equal(t, "panic", e.ExceptionType)
		require.Equal(t, "panic: at the disco\n", e.ExceptionMessage)
		require.Contains(t, strings.Join(e.Traceback, ""), "execute_test.go")
		r.nextRuns()
	})
}

func TestExecuteReturnsANodeError(t *testing.T) {
	boom := errors.New("boom")
	reg := flow.NewRegistry()
	flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
	flow.Register(reg, fn{f: func(*nodebus.Context, any, any) (any, error) { return nil, boom }}, nodebus.Info{Name: "Fail"})
	hub := nodebus.NewHub(nil)
	_, err := execute(flow.NewLocal(reg, nil), t.Context(), &nodebus.Prompt{ID: "p", Nodes: two("Fail")}, hub)
	var ne *nodebus.NodeError
	require.ErrorAs(t, err, &ne)
	require.ErrorIs(t, err, boom)
	require.Equal(t, "x", ne.UniqueID)
	require.Equal(t, "nodebus: node x (Fail): boom", err.Error())
	_, err = execute(flow.NewLocal(reg, nil), t.Context(), &nodebus.Prompt{ID: "q", Nodes: two("None")}, hub)
	var ve *nodebus.ValidationError
	require.ErrorAs(t, err, &ve)
	require.NoError(t, hub.Close())
}

func TestNodeThatReturnsNil(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Nil", func(*nodebus.Context, any, any) (any, error) { return nil, nil })
		require.Equal(t, []any{"<nil>"}, r.run(two("Nil")).text("out"))
	})
}

func TestNodeThatShowsWhatCannotBeEncoded(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, badUI{}, nodebus.Info{Name: "Bad"})
		o := r.run(parse(t, `{"o":{"class_type":"Bad","inputs":{}}}`))
		e := o.failed(t)
		require.Equal(t, "nodebus.EncodeError", e.ExceptionType)
		require.Contains(t, e.ExceptionMessage, "chan int")
		require.Empty(t, o.record.Outputs)
		r.nextRuns()
	})
}

type badUI struct{}

func (badUI) Run(*nodebus.Context) (nodebus.UI, error) { return nodebus.UI{"x": {make(chan int)}}, nil }

func TestNodeThatSendsAfterItHasReturned(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		go_ := make(chan struct{})
		sent := make(chan error, 4)
		r.fn("Late", func(ctx *nodebus.Context, _, _ any) (any, error) {
			go func() {
				<-go_
				sent <- ctx.SendSync(nodebus.Custom{Type: "late"})
				sent <- ctx.Broadcast(nodebus.Custom{Type: "late"})
				ctx.Progress(1, 2)
				sent <- ctx.PreviewFile([]byte("x"))
				close(sent)
			}()
			return 1, nil
		})
		o := r.run(two("Late"))
		require.Equal(t, nodebus.Succeeded, o.record.State)
		events := r.hub.Subscribe(r.ctx)
		close(go_)
		for err := range sent {
			require.ErrorIs(t, err, nodebus.ErrClosed)
		}
		require.NoError(t, r.hub.Broadcast(nodebus.Custom{Type: "end"}))
		for ev, err := range events {
			require.NoError(t, err)
			require.Equal(t, "end", ev.Payload.EventType(), "nothing else was sent")
			break
		}
	})
}

// noImage is an image whose methods panic.
type noImage struct{ image.Image }

func TestNodeThatSendsFromManyGoroutines(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Busy", func(ctx *nodebus.Context, _, _ any) (any, error) {
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					for i := range 100 {
						ctx.Progress(float64(i), 100)
						if err := ctx.SendSync(nodebus.Custom{Type: "hi", Data: i}); err != nil {
							panic(err)
						}
					}
				})
			}
			all.Wait()
			return ctx.UniqueID(), nil
		})
		o := r.run(two("Busy"))
		require.Equal(t, []any{"x"}, o.text("out"))
		n := 0
		for _, ev := range o.events {
			if ev.Payload.EventType() == "hi" {
				n++
			}
		}
		require.Equal(t, 1000, n)
	})
}

func TestNodeThatNeverEnds(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1, Grace: time.Minute}, nil, func(r *rig) {
		release := make(chan struct{})
		late := make(chan error, 1)
		r.fn("Stuck", func(ctx *nodebus.Context, _, _ any) (any, error) {
			<-release // the node ignores ctx.Done
			late <- ctx.SendSync(nodebus.Custom{Type: "late"})
			return 1, nil
		})
		wait := r.start(&nodebus.Prompt{ID: "p", ClientID: "c", Nodes: two("Stuck")})
		synctest.Wait()
		began := time.Now()
		require.True(t, interrupt(r.engine, "p"))
		o := wait()
		require.Equal(t, time.Minute, time.Since(began), "it was waited for as long as Grace says")
		require.Equal(t, []string{"start", "cached", "executing x", "interrupted x", "executing "}, o.types())
		r.nextRuns() // although the only worker slot was held by the stuck node
		close(release)
		require.ErrorIs(t, <-late, nodebus.ErrClosed)
	})
}

func TestHubThatClosesInTheMiddle(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Close", func(ctx *nodebus.Context, _, _ any) (any, error) {
			require.NoError(t, r.hub.Close())
			require.ErrorIs(t, ctx.SendSync(nodebus.Custom{Type: "x"}), nodebus.ErrClosed)
			return 7, nil
		})
		id, err := submit(r.engine, r.ctx, &nodebus.Prompt{Nodes: two("Close")})
		require.NoError(t, err)
		synctest.Wait()
		rec, err := r.engine.Store().Get(r.ctx, id)
		require.NoError(t, err)
		require.Equal(t, nodebus.Succeeded, rec.State, "a run does not need a listener")
	})
}

// TestContextThatEndsAtEveryStep runs the same graph many times. Each time, the
// context ends at another node call.
func TestContextThatEndsAtEveryStep(t *testing.T) {
	for _, workers := range []int{1, 3} {
		nodes := randomGraphWithoutFailures()
		total := int64(0)
		for at := int64(0); at == 0 || at <= total; at++ {
			bubble.Test(t, func(t *testing.T) {
				wire := &tripwire{at: at}
				reg := modelRegistry(wire)
				hub := nodebus.NewHub(nil)
				events := hub.Subscribe(t.Context())
				ctx, cancel := context.WithCancelCause(t.Context())
				why := errors.New("enough")
				wire.do = func() { cancel(why) }
				_, err := execute(flow.NewLocal(reg, &flow.LocalOptions{Workers: workers}), ctx, &nodebus.Prompt{ID: "p", Nodes: nodes}, hub)
				if at == 0 {
					require.NoError(t, err)
					total = wire.calls.Load()
				} else if err != nil {
					require.ErrorIs(t, err, why, "step %d", at)
				}
				synctest.Wait()
				ran := wire.calls.Load()
				require.NoError(t, hub.Close())
				for _, err := range events { // the events are complete
					require.NoError(t, err)
				}
				require.Equal(t, ran, wire.calls.Load(), "something ran after the end")
				cancel(nil)
			})
		}
		require.Greater(t, total, int64(20))
	}
}

func randomGraphWithoutFailures() nodebus.Nodes {
	g := nodebus.NewGraph()
	list := g.Add("Range", in{"n": 3})
	a := g.Add("Add", in{"a": list, "b": 1})
	b := g.Add("Async", in{"a": a, "b": 2})
	c := g.Add("Pick", in{"which": 3, "a": g.Add("Expand", in{"in": b, "depth": 2}), "b": g.Add("Eval", in{"in": a, "depth": 2})})
	g.Add("Show", in{"in": c})
	g.Add("Show", in{"in": g.Add("Sum", in{"values": c, "scale": 2})})
	return g.Nodes()
}

func TestPublisherAndCacheThatPanic(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		reg := modelRegistry(nil)
		p := func() *nodebus.Prompt { return &nodebus.Prompt{ID: "p", Nodes: randomGraphWithoutFailures()} }
		_, err := execute(flow.NewLocal(reg, nil), t.Context(), p(), panicky{})
		require.NoError(t, err, "a panic of the publisher does not fail the run")
		_, err = execute(flow.NewLocal(reg, &flow.LocalOptions{Cache: panicky{}}), t.Context(), p(), nodebus.NewHub(nil))
		var pe *nodebus.PanicError
		require.ErrorAs(t, err, &pe)
	})
}

// panicky is a Publisher and a Cache; every method panics.
type panicky struct{}

func (panicky) Publish(nodebus.Event) error    { panic("publisher") }
func (panicky) Get(string) (flow.Result, bool) { panic("cache") }
func (panicky) Put(string, flow.Result)        { panic("cache") }
func (panicky) Retain(func(string) bool)       { panic("cache") }

func TestLargeGraphs(t *testing.T) {
	for name, nodes := range map[string]nodebus.Nodes{"chain": chain(100_000), "wide": wide(100_000)} {
		t.Run(name, func(t *testing.T) {
			hub := nodebus.NewHub(nil)
			_, err := execute(flow.NewLocal(benchRegistry(), nil), t.Context(), &nodebus.Prompt{ID: "p", Nodes: nodes}, hub)
			require.NoError(t, err)
			require.NoError(t, hub.Close())
		})
	}
}

func TestLiteralsOfAnySizeAndDepth(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Len", func(_ *nodebus.Context, v, _ any) (any, error) { return len(fmt.Sprint(v)), nil })
		big := strings.Repeat("x", 10<<20)
		g := nodebus.NewGraph()
		g.AddAs("out", "Show", in{"in": g.Add("Len", in{"in": big})})
		require.Equal(t, []any{fmt.Sprint(10 << 20)}, r.run(g.Nodes()).text("out"))

		deep := strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000)
		nodes := parse(t, `{"x":{"class_type":"Len","inputs":{"in":`+deep+`}},"out":{"class_type":"Show","inputs":{"in":["x",0]}}}`)
		require.Equal(t, []any{fmt.Sprint(1000*len("map[a:]") + 1)}, r.run(nodes).text("out"))
	})
}

func TestNodesGetTheirOwnCopy(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 4}, nil, func(r *rig) {
		flow.Register(r.reg, &counter{Start: 0, shared: "dependency"}, nodebus.Info{Name: "Count"})
		g := nodebus.NewGraph()
		for i := range 20 {
			g.AddAs(fmt.Sprint("o", i), "Show", in{"in": g.Add("Count", in{"start": i})})
		}
		o := r.run(g.Nodes())
		for i := range 20 {
			require.Equal(t, []any{fmt.Sprintf("dependency %d", i+1)}, o.text(fmt.Sprint("o", i)))
		}
	})
}

// counter modifies itself. This must not affect other calls.
type counter struct {
	Start  int
	shared string
}

func (n *counter) Run(*nodebus.Context) (string, error) {
	n.Start++
	return fmt.Sprint(n.shared, " ", n.Start), nil
}

func TestSection14InputsOfTheNodeThatFailed(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Fail", func(*nodebus.Context, any, any) (any, error) { return nil, errors.New("boom") })
		for _, c := range []struct{ value, shown any }{
			{1.5, 1.5},
			{true, true},
			{"text", "text"},
			{nil, nil},
			{map[string]any{"a": []any{1, "b"}}, "{'a': [1, 'b']}"},
			{[]any{1, []any{}}, "[1, []]"},
			{&pixels{}, "flow_test.pixels"},
		} {
			g := nodebus.NewGraph()
			g.Add("Show", in{"in": g.Add("Fail", in{"in": c.value})})
			failed := r.run(g.Nodes()).failed(t)
			require.Equal(t, map[string][]any{"in": {c.shown}}, failed.CurrentInputs)
		}
	})
}

// TestInputsOfAnySizeOfTheNodeThatFailed checks that the error of a node shows a
// shortened form of inputs that are too large, or that contain themselves.
func TestInputsOfAnySizeOfTheNodeThatFailed(t *testing.T) {
	loop := map[string]any{"a": 1.5}
	loop["b"] = loop
	around := strings.Repeat("{'a': 1.5, 'b': ", 100)
	wide := make([]any, 1<<20)
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Fail", func(*nodebus.Context, any, any) (any, error) { return nil, errors.New("boom") })
		cases := []struct{ value, shown any }{
			{loop, around[:1000] + "…"},
			{wide, ("[" + strings.Repeat("None, ", 200))[:1000] + "…"},
			{[]any{&pixels{}, word("w"), nil, uint8(1), json.Number("2")}, "[flow_test.pixels, 'w', None, 1, 2]"},
		}
		r.fn("Make", func(_ *nodebus.Context, n, _ any) (any, error) { return cases[n.(int)].value, nil })
		for n, c := range cases {
			g := nodebus.NewGraph()
			g.Add("Show", in{"in": g.Add("Fail", in{"in": g.Add("Make", in{"in": n})})})
			failed := r.run(g.Nodes()).failed(t)
			require.Equal(t, map[string][]any{"in": {c.shown}}, failed.CurrentInputs)
		}
	})
}

// word is a named string type.
type word string
