package flow_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// goOn is a policy that continues after errors.
var goOn = nodebus.Policy{Continue: true}

// flaky registers a class that fails with the text of its input, unless it is "ok".
func flaky(r *rig) {
	r.fn("Flaky", func(_ *nodebus.Context, in, _ any) (any, error) {
		switch in {
		case "ok":
			return in, nil
		case "panic":
			panic("ouch")
		case "exit":
			runtime.Goexit()
		}
		return nil, errors.New(in.(string))
	})
}

func TestContinueEndsIndependentBranches(t *testing.T) {
	for _, workers := range []int{1, 4} {
		inBubble(t, &flow.LocalOptions{Workers: workers}, nil, func(r *rig) {
			flaky(r)
			g := nodebus.NewGraph()
			for _, how := range []string{"ok", "boom", "panic", "exit"} {
				bad := g.AddAs(how, "Flaky", in{"in": how})
				g.AddAs("show "+how, "Show", in{"in": g.AddAs("next "+how, "Flaky", in{"in": bad}), "in2": bad})
			}
			p := &nodebus.Prompt{Nodes: g.Nodes(), ClientID: "client", Policy: goOn}
			o := r.submit(p)
			require.Equal(t, []any{"ok"}, o.text("show ok"))
			require.Len(t, o.record.Errors, 3)
			require.Equal(t, o.record.Errors[0].UniqueID, o.failed(t).NodeID, "the first error ends the prompt")
			require.Equal(t, o.record.Errors[0].ExceptionMessage, o.record.Error.ExceptionMessage)
			texts, told := map[string]string{}, []nodebus.NodeFailed{}
			for _, f := range o.record.Errors {
				texts[f.UniqueID] = f.ExceptionMessage
				require.Equal(t, "Flaky", f.Class)
			}
			require.Equal(t, map[string]string{
				"boom": "boom\n", "panic": "panic: ouch\n", "exit": "the node ended its goroutine with runtime.Goexit\n",
			}, texts)
			states := map[string]string{}
			for _, ev := range o.events {
				switch p := ev.Payload.(type) {
				case nodebus.NodeFailed:
					told = append(told, p)
				case nodebus.ProgressState:
					for _, n := range p.Nodes() {
						states[n.UniqueID] = n.State
					}
				}
			}
			require.Equal(t, o.record.Errors[1:], told, "the others are told when they happen")
			for _, how := range []string{"boom", "panic", "exit"} {
				require.Equal(t, "error", states[how])
			}
			out := o.record.Outcome()
			require.Equal(t, map[string]string{
				"ok": "done||", "next ok": "done||", "show ok": "done||",
				"boom": "error|boom|", "next boom": "skipped||boom", "show boom": "skipped||boom",
				"panic": "error|panic: ouch|", "next panic": "skipped||panic", "show panic": "skipped||panic",
				"exit":      "error|the node ended its goroutine with runtime.Goexit|",
				"next exit": "skipped||exit", "show exit": "skipped||exit",
			}, ends(out))
			var failed *nodebus.NodeError
			require.ErrorAs(t, out.Err(), &failed)

			o = r.run(g.Nodes()) // without the policy
			require.Len(t, o.record.Errors, 1)
			require.Equal(t, o.failed(t).NodeID, o.record.Errors[0].UniqueID)
		})
	}
}

// TestContinueKeepsNothingThatHasHandledAnError: a node handles the error of its source. The
// source is well the second time, so the result of the node, and what depends on it, must be
// computed again.
func TestContinueKeepsNothingThatHasHandledAnError(t *testing.T) {
	for _, how := range []string{"lazy", "expansion"} {
		t.Run(how, func(t *testing.T) {
			inBubble(t, nil, nil, func(r *rig) {
				bad := true
				r.fn("Sick", func(*nodebus.Context, any, any) (any, error) {
					if bad {
						return nil, errors.New("sick")
					}
					return 7, nil
				})
				r.lazy("Catch", func(ctx *nodebus.Context, a, _ nodebus.Lazy[int]) (any, error) {
					v, err := a.Get(ctx)
					var node *nodebus.NodeError
					if errors.As(err, &node) {
						require.Equal(t, "sick", node.UniqueID)
						require.EqualError(t, node.Err, "sick")
						return -1, nil
					}
					return v, err
				})
				r.fn("Same", func(_ *nodebus.Context, in, _ any) (any, error) { return in, nil })
				flow.Register(r.reg, relay{}, nodebus.Info{Name: "Relay"})
				g := nodebus.NewGraph()
				g.AddAs("catch", "Catch", in{"a": g.AddAs("sick", "Sick", nil)})
				at := g.AddAs("same", "Same", in{"in": g.Link("catch")})
				if how == "expansion" {
					at = g.AddAs("relay", "Relay", in{"value": at})
				}
				g.AddAs("o", "Show", in{"in": at})
				p := nodebus.Prompt{Nodes: g.Nodes(), ClientID: "client", Policy: goOn}
				first, second := p, p
				o := r.submit(&first)
				require.Equal(t, "sick", o.failed(t).NodeID)
				require.Equal(t, []any{"-1"}, o.text("o"))
				bad = false
				o = r.submit(&second)
				require.Equal(t, nodebus.Succeeded, o.record.State)
				require.Equal(t, []any{"7"}, o.text("o"))
			})
		})
	}
}

// relay makes a node that takes its value.
type relay struct{ Value any }

func (n relay) Run(ctx *nodebus.Context) (nodebus.Out[any], error) {
	g := ctx.NewGraph()
	return nodebus.Out[any]{From: g.Add("Same", nodebus.Inputs{"in": n.Value}), Graph: g}, nil
}

// TestContinueInExpansions: a node that was made at run time fails. Its parent fails too, but
// clients receive only one error.
func TestContinueInExpansions(t *testing.T) {
	for _, class := range []string{"Grow", "Eval", "Refer"} {
		t.Run(class, func(t *testing.T) {
			inBubble(t, nil, nil, func(r *rig) {
				flaky(r)
				flow.Register(r.reg, grows{}, nodebus.Info{Name: "Grow"})
				r.fn("Eval", func(ctx *nodebus.Context, _, _ any) (any, error) {
					g := ctx.NewGraph()
					return nodebus.Eval[any](ctx, g, g.Add("Grow", nil))
				})
				flow.Register(r.reg, refers{}, nodebus.Info{Name: "Refer"})
				g := nodebus.NewGraph()
				g.AddAs("bad", "Flaky", in{"in": "first"})
				g.AddAs("o", "Show", in{"in": g.AddAs("x", class, nil)})
				g.AddAs("o2", "Show", in{"in": g.AddAs("y", "Grow", nil)})
				g.AddAs("free", "Show", in{"in": "free"})
				o := r.submit(&nodebus.Prompt{Nodes: g.Nodes(), ClientID: "client", Policy: goOn})
				require.Equal(t, []any{"free"}, o.text("free"))
				got := ends(o.record.Outcome())
				require.Equal(t, "error|boom|y.0.0.1", got["y"])
				require.Equal(t, "skipped||y.0.0.1", got["o2"])
				require.Equal(t, map[string]string{
					"Grow": "error|boom|x.0.0.1", "Eval": "error|nodebus: node x.0.0.1.0.0.1 (Flaky): boom|x.0.0.1.0.0.1", "Refer": "skipped||bad",
				}[class], got["x"])
				require.Contains(t, got["o"], "skipped||")
				require.Len(t, o.record.Errors, 2)
				for _, f := range o.record.Errors {
					require.Contains(t, []string{"x", "y", "bad"}, f.RealID)
				}
			})
		})
	}
}

// grows makes a node that fails.
type grows struct{}

func (grows) Run(ctx *nodebus.Context) (nodebus.Out[any], error) {
	g := ctx.NewGraph()
	return nodebus.Out[any]{From: g.Add("Flaky", nodebus.Inputs{"in": "boom"}), Graph: g}, nil
}

// refers has the output of a node of the prompt that fails.
type refers struct{}

func (refers) Run(*nodebus.Context) (nodebus.Out[any], error) {
	return nodebus.Out[any]{From: nodebus.Link{Node: "bad"}}, nil
}

// TestContinueTwins: equal nodes fail. Each of them computes its result itself.
func TestContinueTwins(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 4}, nil, func(r *rig) {
		calls := make(chan bool, 10)
		r.fn("Slow", func(*nodebus.Context, any, any) (any, error) {
			calls <- true
			time.Sleep(time.Second)
			return nil, errors.New("slow")
		})
		g := nodebus.NewGraph()
		for range 3 {
			g.Add("Show", in{"in": g.Add("Slow", nil)})
		}
		o := r.submit(&nodebus.Prompt{Nodes: g.Nodes(), ClientID: "client", Policy: goOn})
		require.Len(t, o.record.Errors, 3)
		require.Len(t, calls, 3)
	})
}

// TestContinueInterrupt: an interrupt ends the prompt at once, and the errors before it stay
// in the record.
func TestContinueInterrupt(t *testing.T) {
	for _, how := range []string{"from outside", "by a node"} {
		inBubble(t, nil, nil, func(r *rig) {
			flaky(r)
			r.fn("Endless", func(ctx *nodebus.Context, _, _ any) (any, error) {
				if how == "by a node" {
					time.Sleep(time.Second)
					return nil, nodebus.ErrInterrupted
				}
				<-ctx.Done()
				return nil, context.Cause(ctx)
			})
			g := nodebus.NewGraph()
			g.Add("Show", in{"in": g.AddAs("bad", "Flaky", in{"in": "boom"})})
			g.Add("Show", in{"in": g.AddAs("e", "Endless", nil)})
			wait := r.start(&nodebus.Prompt{ID: "p", Nodes: g.Nodes(), ClientID: "client", Policy: goOn})
			synctest.Wait()
			if how == "from outside" {
				require.True(t, interrupt(r.engine, "p"))
			}
			o := wait()
			require.Equal(t, nodebus.Interrupted, o.record.State)
			require.Equal(t, "bad", o.record.Errors[0].UniqueID)
			out := o.record.Outcome()
			require.ErrorIs(t, out.Err(), nodebus.ErrInterrupted)
		})
	}
}

// TestContinueWithACycle: nodes wait for each other because of what they have made, and
// another node has failed before.
func TestContinueWithACycle(t *testing.T) {
	for _, first := range []string{"ok", "boom"} {
		inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
			flaky(r)
			flow.Register(r.reg, circular{}, nodebus.Info{Name: "Circular"})
			g := nodebus.NewGraph()
			g.AddAs("o1", "Show", in{"in": g.AddAs("bad", "Flaky", in{"in": first})})
			g.AddAs("o2", "Show", in{"in": g.AddAs("down", "Flaky", in{"in": g.AddAs("up", "Circular", nil)})})
			o := r.submit(&nodebus.Prompt{Nodes: g.Nodes(), ClientID: "client", Policy: goOn})
			errs := o.record.Errors
			if e := o.failed(t); first == "ok" {
				require.Equal(t, "graph.DependencyCycleError", e.ExceptionType)
				require.Equal(t, e.NodeID, errs[0].UniqueID)
				require.NotContains(t, o.types(), "nodebus.node_error")
				return
			}
			require.Equal(t, "bad", o.record.Error.NodeID, "the first error ends the prompt")
			require.Len(t, errs, 2)
			require.Equal(t, "graph.DependencyCycleError", errs[1].ExceptionType)
			require.Contains(t, o.types(), "nodebus.node_error")
		})
	}
}

// circular has the output of a node that needs it.
type circular struct{}

func (circular) Run(*nodebus.Context) (nodebus.Out[any], error) {
	return nodebus.Out[any]{From: nodebus.Link{Node: "down"}}, nil
}
