package flow_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// A prompt with very many dynamic inputs needs little memory if the nodes are alike, and is
// refused if they are all different.
func TestLivePortsAreBounded(t *testing.T) {
	reg := flow.NewRegistry()
	flow.Register(reg, takesAll{}, nodebus.Info{Name: "TakesAll", Output: true})
	const refused = "nodebus: The prompt needs too much memory: its nodes of classes with inputs that grow, follow from a choice or are not declared have more than 250000 inputs, where nodes with the same inputs count once; submit less"
	for name, c := range map[string]struct {
		nodes func(g *nodebus.Graph)
		err   string
	}{
		"alike": {func(g *nodebus.Graph) {
			for range 90_000 {
				g.Add("TakesAll", in{"known": 1, "mode": "z", "a": 1, "b": 2, "c": 3})
			}
		}, ""},
		"one node": {func(g *nodebus.Graph) {
			many := in{"known": 1}
			for k := range 250_000 {
				many[fmt.Sprint(k)] = k
			}
			g.Add("TakesAll", many)
		}, refused},
		"many nodes": {func(g *nodebus.Graph) {
			for k := range 90_000 {
				g.Add("TakesAll", in{"known": 1, fmt.Sprint(k): 1, fmt.Sprint("x", k): 2})
			}
		}, refused},
	} {
		t.Run(name, func(t *testing.T) {
			g := nodebus.NewGraph()
			c.nodes(g)
			_, err := reg.Prepare(context.Background(), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
			if c.err == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, c.err)
			}
		})
	}
}
