package flow_test

import (
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// corner is a value that a prompt writes as an object.
type corner struct{ X, Y int }

// literalInputs shows inputs that prompts write as objects.
type literalInputs struct {
	Corner corner
	Any    any
	List   nodebus.List[int]
	Lazy   nodebus.Lazy[corner]
}

func (n literalInputs) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	lazy, err := n.Lazy.Get(ctx)
	return nodebus.Text(fmt.Sprint(n.Corner, n.Any, n.List, lazy)), err
}

// TestMadeLiterals: a node made at run time reads literals in the forms of a prompt.
func TestMadeLiterals(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, literalInputs{}, nodebus.Info{Name: "Literals"})
		r.makers("Make", func(_ *nodebus.Context, g *nodebus.Graph, _, _ any) (nodebus.Link, error) {
			object := map[string]any{"X": 1.0, "Y": 2.0}
			g.AddAs("l", "Literals", in{
				"corner": object, "any": map[string]any{"__value__": []any{1, "a"}},
				"list": map[string]any{"__value__": []any{3, 4}}, "lazy": map[string]any{"__value__": object},
			})
			return g.AddAs("s", "Pass", nil), nil
		})
		r.fn("Pass", func(*nodebus.Context, any, any) (any, error) { return 1, nil })
		for _, kind := range []string{"Then", "Now"} {
			o := r.run(parse(t, `{"m":{"class_type":"`+kind+`Make","inputs":{}},"o":{"class_type":"Show","inputs":{"in":["p",0],"in2":["m",0]}},"p":{"class_type":"Pass","inputs":{}}}`))
			require.Nil(t, o.record.Error, kind)
			require.Equal(t, []any{"{1 2} [1 a] [3 4] {1 2}"}, o.text("m.0.0.l"), kind)
		}
	})
}
