package flow_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// stuckPrint is a node whose Fingerprint waits until gate is closed.
type stuckPrint struct {
	In   any `in:"in,optional"`
	gate chan struct{}
	runs chan struct{}
}

func (n stuckPrint) Run(*nodebus.Context) (any, error) {
	n.runs <- struct{}{}
	return n.In, nil
}

func (n stuckPrint) Fingerprint(*nodebus.Context) (string, error) {
	<-n.gate
	return "x", nil
}

// TestSection10FingerprintThatIsStuck checks that a prompt with a stuck Fingerprint
// can be interrupted: it ends after Grace, as with a stuck node. The node may be a
// node of the prompt or made at run time.
func TestSection10FingerprintThatIsStuck(t *testing.T) {
	for _, class := range []string{"Print", "NowMade", "ThenMade"} {
		inBubble(t, &flow.LocalOptions{Workers: 1, Grace: time.Second}, nil, func(r *rig) {
			node := stuckPrint{gate: make(chan struct{}), runs: make(chan struct{}, 1)}
			flow.Register(r.reg, node, nodebus.Info{Name: "Print"})
			r.makers("Made", func(_ *nodebus.Context, g *nodebus.Graph, _, _ any) (nodebus.Link, error) {
				return g.Add("Print", in{"in": 1}), nil
			})
			wait := r.start(&nodebus.Prompt{ID: "p", Nodes: two(class)})
			synctest.Wait()
			began := time.Now()
			require.True(t, interrupt(r.engine, "p"))
			require.Equal(t, nodebus.Interrupted, wait().record.State, class)
			require.Equal(t, time.Second, time.Since(began))
			r.nextRuns()
			close(node.gate)
			synctest.Wait()
			require.Empty(t, node.runs, "%s: a node runs after the end of the prompt", class)
		})
	}
}

// TestSection10FingerprintThatEndsLate checks that the prompt continues when a slow
// Fingerprint returns.
func TestSection10FingerprintThatEndsLate(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		node := stuckPrint{gate: make(chan struct{}), runs: make(chan struct{}, 1)}
		flow.Register(r.reg, node, nodebus.Info{Name: "Print"})
		wait := r.start(&nodebus.Prompt{Nodes: pipe("x", "Print", 1)})
		synctest.Wait()
		close(node.gate)
		require.Equal(t, []any{"1"}, wait().text("xo"))
	})
}
