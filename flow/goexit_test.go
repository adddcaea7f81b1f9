package flow_test

import (
	"runtime"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestGoexit checks that a node fails if it calls runtime.Goexit, and that its
// worker slot becomes free.
func TestGoexit(t *testing.T) {
	for _, class := range []string{"Exit", "ExitAsync", "ExitLater", "ExitMade"} {
		t.Run(class, func(t *testing.T) {
			inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
				exit := func(*nodebus.Context, any, any) (any, error) {
					runtime.Goexit()
					return 1, nil
				}
				r.fn("Exit", exit)
				flow.Register(r.reg, fn{f: exit}, nodebus.Info{Name: "ExitAsync", Async: true})
				r.counted("Count")
				r.fn("ExitLater", func(ctx *nodebus.Context, _, _ any) (any, error) { // calls Goexit after a wait
					g := ctx.NewGraph()
					if _, err := nodebus.Eval[any](ctx, g, g.Add("Count", nil)); err != nil {
						return nil, err
					}
					return exit(ctx, nil, nil)
				})
				r.fn("ExitMade", func(ctx *nodebus.Context, _, _ any) (any, error) {
					g := ctx.NewGraph()
					return nodebus.Eval[any](ctx, g, g.Add("Exit", nil))
				})
				for range 3 {
					e := r.run(two(class)).failed(t)
					require.Equal(t, "x", e.NodeID)
					require.Contains(t, e.ExceptionMessage, "runtime.Goexit")
				}
				r.nextRuns()
			})
		})
	}
}
