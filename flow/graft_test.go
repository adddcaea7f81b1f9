package flow_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Execution semantics, section 11: results made at run time that refer to nodes of
// the prompt.

// standIn returns the result of another node of the prompt as its own, without a
// graph.
type standIn struct{ To string }

func (n standIn) Run(*nodebus.Context) (nodebus.Out[any], error) {
	return nodebus.Out[any]{From: nodebus.Link{Node: n.To}}, nil
}

// askFor waits for the result of another node of the prompt, without a graph.
type askFor struct{ To string }

func (n askFor) Run(ctx *nodebus.Context) (any, error) {
	return nodebus.Eval[any](ctx, nil, nodebus.Link{Node: n.To})
}

func references(r *rig) {
	r.counted("Id")
	flow.Register(r.reg, standIn{}, nodebus.Info{Name: "StandIn"})
	flow.Register(r.reg, askFor{}, nodebus.Info{Name: "AskFor"})
	flow.Register(r.reg, follow{}, nodebus.Info{Name: "Follow"})
	flow.Register(r.reg, needy{}, nodebus.Info{Name: "Needy"})
}

// needy needs two inputs.
type needy struct{ A, B int }

func (n needy) Run(*nodebus.Context) (int, error) { return n.A + n.B, nil }

func TestSection11ANodeOfThePromptStandsIn(t *testing.T) {
	for _, class := range []string{"StandIn", "AskFor", "Follow"} {
		for _, c := range []struct{ to, text, failure string }{
			{to: "unneeded", text: "42"},
			{to: "needed", text: "43"},
			{to: "x", failure: "cycle"},
			{to: "nobody", failure: "\"nobody\""},
		} {
			t.Run(class+"/"+c.to, func(t *testing.T) {
				inBubble(t, nil, nil, func(r *rig) {
					references(r)
					g := nodebus.NewGraph()
					g.AddAs("unneeded", "Id", in{"in": g.AddAs("source", "Id", in{"in": 42})})
					g.AddAs("first", "Show", in{"in": g.AddAs("needed", "Id", in{"in": 43})})
					g.AddAs("o", "Show", in{"in": g.AddAs("x", class, in{"to": c.to})})
					for range 2 { // the second run uses the cache
						o := r.run(g.Nodes())
						if c.failure != "" {
							require.Contains(t, o.failed(t).ExceptionMessage, c.failure)
							continue
						}
						require.Equal(t, []any{c.text}, o.text("o"))
					}
				})
			})
		}
	}
}

// TestSection11NodesThatAreNotValidAreNotRun checks that a node at run time cannot
// use an invalid node of the prompt. A prompt may have invalid nodes if no output
// needs them.
func TestSection11NodesThatAreNotValidAreNotRun(t *testing.T) {
	for name, broken := range map[string]string{
		"missing input": `"u":{"class_type":"Needy","inputs":{"a":1}}`,
		"bad literal":   `"u":{"class_type":"Needy","inputs":{"a":1,"b":"zzz"}}`,
		"broken link":   `"u":{"class_type":"Needy","inputs":{"a":1,"b":["99",0]}}`,
		"rejected":      `"u":{"class_type":"Needy","inputs":{"a":1,"b":["99",0]}},"o2":{"class_type":"Show","inputs":{"in":["u",0]}}`,
		"upstream":      `"u":{"class_type":"Id","inputs":{"in":["w",0]}},"w":{"class_type":"Id","inputs":{"in":["v",0],"in2":7}},"v":{"class_type":"Needy","inputs":{"a":1}}`,
	} {
		for _, class := range []string{"StandIn", "AskFor", "Follow"} {
			t.Run(name+"/"+class, func(t *testing.T) {
				inBubble(t, nil, nil, func(r *rig) {
					references(r)
					e := r.run(parse(t, `{`+broken+`,
						"f":{"class_type":"`+class+`","inputs":{"to":"u"}},
						"o":{"class_type":"Show","inputs":{"in":["f",0]}}}`)).failed(t)
					require.Equal(t, "f", e.NodeID)
					require.Contains(t, e.ExceptionMessage, "(Needy) of the prompt is not valid")
				})
			})
		}
	}
}
