package flow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// many is a node with a choice from a long list.
type many struct{ Choice longChoices }

type longChoices string

func (longChoices) Options() []string {
	return strings.Fields(strings.Repeat("model.safetensors ", 1000))
}

func (many) Run(*nodebus.Context) (nodebus.UI, error) { return nil, nil }

// TestValidationErrorIsBounded checks that the error about a graph is small, also if the
// graph has very many faults or very large ones, and that it says what it leaves out.
func TestValidationErrorIsBounded(t *testing.T) {
	reg := validationRegistry()
	flow.Register(reg, many{}, nodebus.Info{Name: "Many", Output: true})
	for name, c := range map[string]struct {
		make func(g *nodebus.Graph)
		more any
		told int
	}{
		"100 000 faulty outputs": {func(g *nodebus.Graph) {
			for range 100_000 {
				g.Add("Show", in{"in": nodebus.Link{Node: "nothing"}})
			}
		}, 99_000, 1000},
		"faulty sources of 30 000 outputs": {func(g *nodebus.Graph) {
			a := g.Add("Add", in{"a": "x", "b": 1})
			for range 30_000 {
				g.Add("Show", in{"in": a})
			}
		}, nil, 1},
		"a large value": {func(g *nodebus.Graph) {
			a := g.Add("Add", in{"a": strings.Repeat("x", 8<<20), "b": map[string]any{"a": strings.Repeat("x", 8<<20)}})
			g.Add("Show", in{"in": a})
		}, nil, 1},
		"a large list in the place of a link": {func(g *nodebus.Graph) {
			large := []any{strings.Repeat("x", 8<<20), strings.Repeat("x", 8<<20)}
			a := g.AddAs("a", "Add", in{"b": 1})
			g.Nodes()[0].Inputs["a"] = large
			g.Add("Show", in{"in": a})
		}, nil, 1},
		"long lists of choices": {func(g *nodebus.Graph) {
			for range 2000 {
				g.Add("Many", in{"choice": 5})
			}
		}, 1000, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			g := nodebus.NewGraph()
			c.make(g)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := reg.Prepare(context.Background(), &nodebus.Prompt{Nodes: g.Nodes()})
			var ve *nodebus.ValidationError
			require.ErrorAs(t, err, &ve)
			text, err := json.Marshal(ve)
			require.NoError(t, err)
			runtime.ReadMemStats(&after)
			t.Logf("%d bytes, of %d allocated", len(text), after.TotalAlloc-before.TotalAlloc)
			require.Less(t, len(text), 6<<20)
			require.Len(t, ve.Nodes, c.told)
			require.Equal(t, c.more, ve.Extra["more_nodes"])
			if c.more != nil {
				require.True(t, strings.HasSuffix(ve.Details, fmt.Sprintf("… and %v more nodes have errors", c.more)), ve.Details[max(0, len(ve.Details)-100):])
			}
			for _, n := range ve.Nodes {
				require.NotEmpty(t, n.Errors)
				require.NotNil(t, n.DependentOutputs)
			}
			require.Equal(t, "prompt_outputs_failed_validation", ve.Type)
		})
	}
}
