package flow_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// sums returns a random graph whose output node o shows a sum, and the sum.
func sums(r *rand.Rand, n int) (nodebus.Nodes, []any) {
	g := nodebus.NewGraph()
	links, values := make([]any, n), make([]int, n)
	for i := range n {
		links[i], values[i] = r.IntN(100), 0
		given := in{}
		for _, name := range []string{"in", "in2"} {
			if i == 0 || r.IntN(3) == 0 {
				v := r.IntN(100)
				given[name] = v
				values[i] += v
				continue
			}
			k := r.IntN(i)
			given[name] = links[k]
			values[i] = (values[i] + values[k]) % 1_000_003
		}
		class := "Sum"
		if r.IntN(8) == 0 {
			class = "SumMade"
		}
		links[i] = g.AddAs(fmt.Sprint(i), class, given)
	}
	g.AddAs("o", "Show", in{"in": links[n-1]})
	return g.Nodes(), []any{fmt.Sprint(values[n-1])}
}

// TestRunsThatShareListsDoNotMeet: a run uses the lists of earlier runs. It must not
// notice, however the runs before it and beside it end, and whatever goroutines their
// nodes have left behind.
func TestRunsThatShareListsDoNotMeet(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 3, Grace: time.Second, Cache: flow.NoCache()}, &flow.EngineOptions{Parallel: 4, PerClient: 4}, func(r *rig) {
		var left sync.WaitGroup
		stop := make(chan struct{})
		sum := func(_ *nodebus.Context, a, b any) (any, error) { return (a.(int) + b.(int)) % 1_000_003, nil }
		r.fn("Sum", sum)
		flow.Register(r.reg, sumMade{}, nodebus.Info{Name: "SumMade"})
		r.fn("Panic", func(*nodebus.Context, any, any) (any, error) { panic("boom") })
		r.fn("Exit", func(*nodebus.Context, any, any) (any, error) { runtime.Goexit(); return nil, nil })
		r.fn("Wait", func(ctx *nodebus.Context, _, _ any) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
		r.fn("Deaf", func(*nodebus.Context, any, any) (any, error) { <-stop; return 1, nil })
		r.fn("Leave", func(ctx *nodebus.Context, _, _ any) (any, error) {
			left.Go(func() { useAfterTheEnd(ctx, stop) })
			return 1, nil
		})
		random := rand.New(rand.NewPCG(1, 1))
		for range 20 {
			waits, wants, stuck := []func() outcome{}, [][]any{}, []string{}
			for range 6 {
				nodes, want := sums(random, 1+random.IntN(60))
				bad := []string{"", "", "Panic", "Exit", "Wait", "Deaf", "Leave"}[random.IntN(7)]
				p := &nodebus.Prompt{ClientID: "c", Nodes: nodes}
				if bad != "" {
					nodes = append(nodes, nodebus.NodeSpec{ID: "bad", Class: bad, Inputs: in{}})
					p.Nodes = append(nodes, nodebus.NodeSpec{ID: "bo", Class: "Show", Inputs: in{"in": nodebus.Link{Node: "bad"}}})
				}
				if bad != "" && bad != "Leave" {
					want = nil
				}
				waits, wants = append(waits, r.start(p)), append(wants, want)
				if bad == "Wait" || bad == "Deaf" {
					stuck = append(stuck, p.ID)
				}
			}
			synctest.Wait()
			for _, id := range stuck {
				interrupt(r.engine, id)
				synctest.Wait()
			}
			time.Sleep(time.Minute) // prompts are abandoned, and others begin
			for _, id := range stuck {
				interrupt(r.engine, id)
				time.Sleep(time.Minute)
			}
			for i, wait := range waits {
				if o := wait(); wants[i] != nil {
					require.Equal(t, nodebus.Succeeded, o.record.State, "%+v", o.record.Error)
					require.Equal(t, wants[i], o.text("o"))
				} else {
					require.NotEqual(t, nodebus.Succeeded, o.record.State)
				}
			}
		}
		close(stop)
		left.Wait()
	})
}

// useAfterTheEnd uses everything that a node has, long after the node has ended.
func useAfterTheEnd(ctx *nodebus.Context, stop <-chan struct{}) {
	for {
		ctx.Progress(1, 2)
		_ = ctx.SendSync(nodebus.Custom{Type: "late"})
		_ = ctx.Hidden("DYNPROMPT")
		g := ctx.NewGraph()
		_, _ = nodebus.Eval[any](ctx, g, g.Add("Sum", in{"in": 1, "in2": 2}))
		_, _ = ctx.Runtime().Input(context.Background(), "in")
		select {
		case <-stop:
			return
		case <-time.After(time.Second):
		}
	}
}

// sumMade lets a node that it makes compute the sum.
type sumMade struct {
	In  int `in:"in"`
	In2 int `in:"in2"`
}

func (n sumMade) Run(ctx *nodebus.Context) (struct {
	Sum nodebus.Out[any] `out:"sum"`
}, error,
) {
	g := ctx.NewGraph()
	out := struct {
		Sum nodebus.Out[any] `out:"sum"`
	}{nodebus.Out[any]{Graph: g, From: g.Add("Sum", in{"in": n.In, "in2": n.In2})}}
	return out, nil
}

// choice is a drop-down whose choices come late.
type choice string

var choicesCome func() // set by one test

func (choice) Options() []string {
	choicesCome()
	return []string{"a"}
}

type givesChoice struct{}

func (givesChoice) Run(*nodebus.Context) (choice, error) { return "a", nil }

type takesChoice struct{ In choice }

func (n takesChoice) Run(*nodebus.Context) (string, error) { return string(n.In), nil }

// TestGraphThatComesAfterTheEnd: a goroutine that a node left behind adds a graph. Its run
// ends in the middle of this, and another run has its lists.
func TestGraphThatComesAfterTheEnd(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 10 { // a run often gets the lists of the last run, but not always
		inBubble(t, &flow.LocalOptions{Cache: flow.NoCache()}, nil, func(r *rig) {
			asked, come, hold, got := make(chan bool, 9), make(chan bool), make(chan bool), make(chan error, 1)
			choicesCome = func() { asked <- true; <-come }
			defer func() { choicesCome = nil }()
			r.fn("Leave", func(ctx *nodebus.Context, _, _ any) (any, error) {
				go func() {
					g := ctx.NewGraph()
					_, err := nodebus.Eval[any](ctx, g, g.Add("Takes", in{"in": g.Add("Gives", nil)}))
					got <- err
				}()
				<-asked
				return 1, nil
			})
			flow.Register(r.reg, givesChoice{}, nodebus.Info{Name: "Gives"})
			flow.Register(r.reg, takesChoice{}, nodebus.Info{Name: "Takes", Output: true})
			flow.Register(r.reg, sumMade{}, nodebus.Info{Name: "SumMade"})
			r.fn("Sum", func(_ *nodebus.Context, a, b any) (any, error) {
				<-hold
				return (a.(int) + b.(int)) % 1_000_003, nil
			})
			require.Equal(t, []any{"1"}, r.run(pipe("x", "Leave", nil)).text("xo"))
			nodes, want := sums(random, 20)
			wait := r.start(&nodebus.Prompt{ClientID: "c", Nodes: nodes})
			synctest.Wait()
			close(come)
			require.ErrorIs(t, <-got, nodebus.ErrClosed)
			close(hold)
			require.Equal(t, want, wait().text("o"))
		})
	}
}
