package flow_test

import (
	"fmt"
	"image"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestPreviewsEndWithTheirNode runs nodes side by side that draw and report as fast as they
// can. No preview of a node comes after its end, and its progress never goes back. Each node
// sends all its pictures.
func TestPreviewsEndWithTheirNode(t *testing.T) {
	const nodes, steps = 24, 12
	inBubble(t, &flow.LocalOptions{Workers: 4}, nil, func(r *rig) {
		r.fn("Draw", func(ctx *nodebus.Context, _, _ any) (any, error) {
			img := image.NewRGBA(image.Rect(0, 0, 64, 48))
			for i := range steps {
				img.Pix[i]++
				if err := ctx.Preview(img); err != nil {
					return nil, err
				}
				ctx.Progress(float64(i+1), steps)
				if i%5 == 4 {
					if err := ctx.Picture(img); err != nil {
						return nil, err
					}
				}
			}
			return "drawn", nil
		})
		g := nodebus.NewGraph()
		for n := range nodes {
			g.AddAs(fmt.Sprint("show", n), "Show", nodebus.Inputs{"in": g.AddAs(fmt.Sprint(n), "Draw", nodebus.Inputs{"in": n})})
		}
		o := r.run(g.Nodes())
		require.Equal(t, nodebus.Succeeded, o.record.State)
		at, finished, pictures := map[string]float64{}, map[string]bool{}, map[string]int{}
		for _, ev := range o.events {
			switch p := ev.Payload.(type) {
			case nodebus.Preview:
				require.False(t, finished[p.UniqueID], "a preview of node %s after its end", p.UniqueID)
				if p.Final > 0 {
					pictures[p.UniqueID]++
					require.Equal(t, pictures[p.UniqueID], p.Final)
				}
			case nodebus.Progress:
				require.False(t, finished[p.UniqueID])
				require.GreaterOrEqual(t, p.Value, at[p.UniqueID])
				at[p.UniqueID] = p.Value
			case nodebus.ProgressState:
				for _, n := range p.Nodes() {
					finished[n.UniqueID] = n.State == "finished"
				}
			case nodebus.Executed:
				finished[p.UniqueID] = true
			}
		}
		for n := range nodes {
			require.Equal(t, 2, pictures[fmt.Sprint(n)])
			require.EqualValues(t, steps, at[fmt.Sprint(n)])
		}
	})
}
