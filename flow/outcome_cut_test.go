package flow_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// waitsForEnd is a node that runs until the prompt ends.
func waitsForEnd(ctx *nodebus.Context, _, _ any) (any, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// TestOutcomeOfAPromptThatIsCut: the outcome has the nodes that ran when the prompt ended,
// and for how long they ran.
func TestOutcomeOfAPromptThatIsCut(t *testing.T) {
	slow := nodebus.NewGraph()
	slow.AddAs("out", "Show", in{"in": slow.AddAs("slow", "Slow", nil)})
	both := nodebus.NewGraph()
	both.AddAs("out", "Show", in{"in": both.AddAs("slow", "Slow", nil)})
	both.AddAs("out2", "Show", in{"in": both.AddAs("bad", "Bad", nil)})
	for name, c := range map[string]struct {
		nodes  nodebus.Nodes
		policy nodebus.Policy
		cut    bool // by Interrupt
		state  nodebus.State
		errors []string
	}{
		"timeout":              {slow.Nodes(), nodebus.Policy{Timeout: time.Second}, false, nodebus.Failed, []string{"slow"}},
		"deadline":             {slow.Nodes(), nodebus.Policy{Deadline: bubbleStart.Add(time.Second)}, false, nodebus.Failed, []string{"slow"}},
		"timeout after errors": {both.Nodes(), nodebus.Policy{Timeout: time.Second, Continue: true}, false, nodebus.Failed, []string{"bad", "slow"}},
		"interrupt":            {slow.Nodes(), nodebus.Policy{}, true, nodebus.Interrupted, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &flow.LocalOptions{Workers: 2}, nil, func(r *rig) {
				r.fn("Slow", waitsForEnd)
				r.fn("Bad", func(*nodebus.Context, any, any) (any, error) { return nil, errors.New("no luck") })
				wait := r.start(&nodebus.Prompt{ID: "p", Nodes: c.nodes, Policy: c.policy})
				if c.cut {
					time.Sleep(time.Second)
					_, err := r.engine.Interrupt(r.ctx, "p")
					require.NoError(t, err)
				}
				rec := wait().record
				o := rec.Outcome()
				require.Equal(t, c.state, o.State)
				require.Equal(t, !c.cut, errors.Is(o.Err(), context.DeadlineExceeded), "%v", o.Err())
				var failed []string
				for _, e := range o.Errors {
					failed = append(failed, e.UniqueID)
				}
				require.Equal(t, c.errors, failed)
				for _, n := range o.Nodes {
					if n.UniqueID == "slow" {
						require.Equal(t, "interrupted", n.Result)
						require.WithinDuration(t, n.Started.Add(time.Second), n.Ended, time.Millisecond)
						return
					}
				}
				require.Fail(t, "the slow node is missing", "%+v", o.Nodes)
			})
		})
	}
}

// TestOutcomeOfANodeThatDoesNotEnd: the outcome has the abandoned node, too.
func TestOutcomeOfANodeThatDoesNotEnd(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		hold := make(chan struct{})
		r.fn("Deaf", func(*nodebus.Context, any, any) (any, error) { <-hold; return 1, nil })
		wait := r.start(&nodebus.Prompt{ID: "p", Nodes: two("Deaf"), Policy: nodebus.Policy{Timeout: time.Second}})
		nodes := wait().record.Nodes
		require.Len(t, nodes, 1)
		require.Equal(t, []string{"x", "interrupted"}, []string{nodes[0].UniqueID, nodes[0].Result})
		close(hold)
		synctest.Wait()
	})
}

// TestBlockedNodesAreNotDone: no node_done tells of a node that was blocked.
func TestBlockedNodesAreNotDone(t *testing.T) {
	inBubble(t, &flow.LocalOptions{NodeDone: true}, nil, func(r *rig) {
		r.fn("Stop", func(*nodebus.Context, any, any) (any, error) { return nil, nodebus.Block("closed") })
		r.fn("Pass", func(_ *nodebus.Context, v, _ any) (any, error) { return v, nil })
		g := nodebus.NewGraph()
		g.AddAs("out", "Show", in{"in": g.AddAs("stop", "Stop", nil)})
		g.AddAs("out2", "Show", in{"in": g.AddAs("pass", "Pass", in{"in": 1})})
		for range 2 { // the second time, the blocked nodes are cached
			var done []string
			for _, ev := range r.run(g.Nodes()).events {
				if d, ok := ev.Payload.(nodebus.NodeDone); ok {
					done = append(done, d.UniqueID)
				}
			}
			require.NotContains(t, done, "stop")
			require.NotContains(t, done, "out")
			require.Contains(t, done, "out2")
		}
	})
}
