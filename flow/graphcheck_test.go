package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// A function that looks at the whole graph.

// closing is a class that other nodes are left to. It passes on what it was given.
type closing struct {
	In    any `in:"in,optional"`
	Plan  any `hidden:"SECTION"`
	Level any `in:"level,optional"`
}

func (n closing) Run(*nodebus.Context) (any, error) { return []any{n.In, n.Plan, n.Level}, nil }

func closes(t *testing.T, r *flow.Registry, check func(g *flow.GraphCheck) error) {
	t.Helper()
	flow.Register(r, closing{}, nodebus.Info{Name: "Close"})
	r.CheckGraphs(func(_ context.Context, g *flow.GraphCheck) error { return check(g) })
}

const section = `{
	"open":{"class_type":"Inc","inputs":{"in":1}},
	"body":{"class_type":"Inc","inputs":{"in":["open",0]}},
	"peek":{"class_type":"Peek","inputs":{"in":["body",0]}},
	"close":{"class_type":"Close","inputs":{"in":["peek",0],"level":["lv",0]}},
	"lv":{"class_type":"Inc","inputs":{"in":6}},
	"o":{"class_type":"Show","inputs":{"in":["close",0]}}}`

// peek shows its input and passes it on.
type peek struct{ In any }

type peeked struct {
	Out any `out:"out"`
	UI  nodebus.UI
}

func (n peek) Run(*nodebus.Context) (peeked, error) { return peeked{n.In, nodebus.Text("seen")}, nil }

func sections(t *testing.T, check func(g *flow.GraphCheck) error, test func(r *rig)) {
	t.Helper()
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		r.fn("Inc", func(_ *nodebus.Context, v, _ any) (any, error) { return v.(int) + 1, nil })
		flow.Register(r.reg, peek{}, nodebus.Info{Name: "Peek", Output: true})
		closes(t, r.reg, check)
		test(r)
	})
}

func called(o outcome) (ids []string) {
	for _, ev := range o.events {
		if p, ok := ev.Payload.(nodebus.Executing); ok && p.UniqueID != "" {
			ids = append(ids, p.UniqueID)
		}
	}
	return ids
}

// TestGraphCheckLeave: nodes that are left to another do not run; it runs in place of an output
// among them, without the inputs that link to them, and with what was given to it.
func TestGraphCheckLeave(t *testing.T) {
	for _, c := range []struct {
		name    string
		outputs []string
		given   any
		ran     []string
		text    []any
	}{
		{"a value", nil, 5, []string{"lv", "close", "o"}, []any{"[<nil> 5 7]"}},
		{"a link", nil, nodebus.Link{Node: "open"}, []string{"open", "lv", "close", "o"}, []any{"[<nil> 2 7]"}},
		{"only the output among them", []string{"peek"}, 5, []string{"lv", "close"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			sections(t, func(g *flow.GraphCheck) error {
				g.Leave([]string{"body", "peek"}, "close")
				g.Give("close", "plan", c.given)
				return nil
			}, func(r *rig) {
				o := r.submit(&nodebus.Prompt{Nodes: parse(t, section), ClientID: "client", Outputs: c.outputs})
				require.Nil(t, o.record.Error)
				require.Equal(t, c.text, o.text("o"))
				require.ElementsMatch(t, c.ran, called(o))
				want := c.outputs
				if want == nil {
					want = []string{"peek", "o"}
				}
				require.Equal(t, want, o.record.Prompt.Outputs)
			})
		})
	}
}

// TestGraphCheckSees: the function sees the checked nodes and the outputs that the prompt asks
// for. What it sets is stored; the submitter's graph stays as it is.
func TestGraphCheckSees(t *testing.T) {
	var outputs []string
	calls := 0
	sections(t, func(g *flow.GraphCheck) error {
		calls++
		outputs = g.Outputs()
		g.SetMember("body", "note", json.RawMessage(`["x"]`))
		g.SetMember("body", "more", json.RawMessage(`1`))
		return nil
	}, func(r *rig) {
		nodes := parse(t, section)
		p := &nodebus.Prompt{Nodes: nodes, ClientID: "client", Outputs: []string{"o"}}
		o := r.submit(p)
		require.Nil(t, o.record.Error)
		require.Equal(t, 1, calls)
		require.Equal(t, []string{"o"}, outputs)
		require.Equal(t, map[string]json.RawMessage{"note": json.RawMessage(`["x"]`), "more": json.RawMessage(`1`)}, o.record.Prompt.Nodes[1].Extra)
		require.Nil(t, nodes[1].Extra)
		_, ve := prepared(r.reg, parse(t, `{"o":{"class_type":"Show","inputs":{"in":["x",0]}},"x":{"class_type":"Inc","inputs":{"in":["x",0]}}}`))
		require.Equal(t, "dependency_cycle", ve.Nodes["x"].Errors[0].Type)
		require.Equal(t, 1, calls, "not for graphs of which nothing runs because of a cycle")
	})
}

// TestGraphCheckBesideCycle: a cycle among nodes that do not run does not turn off a function. It
// sees only the outputs that run.
func TestGraphCheckBesideCycle(t *testing.T) {
	const cycle = `"x":{"class_type":"Inc","inputs":{"in":["y",0]}},"y":{"class_type":"Inc","inputs":{"in":["x",0]}},"z":{"class_type":"Peek","inputs":{"in":["y",0]}}`
	nodes := parse(t, section[:len(section)-1]+`,`+cycle+`}`)
	var outputs []string
	refuses := false
	sections(t, func(g *flow.GraphCheck) error {
		outputs = g.Outputs()
		require.Len(t, g.Nodes(), len(nodes))
		g.Leave([]string{"body", "peek"}, "close")
		g.Give("close", "plan", 5)
		if refuses {
			g.Reject(nodebus.Problem{Type: "guard", Message: "No"}, []string{"o"}, outputs)
		}
		return nil
	}, func(r *rig) {
		o := r.run(nodes)
		require.Equal(t, []string{"peek", "o"}, outputs)
		require.Equal(t, []any{"[<nil> 5 7]"}, o.text("o"))
		require.ElementsMatch(t, []string{"lv", "close", "o"}, called(o))

		refuses = true
		runs, ve := prepared(r.reg, nodes)
		require.Empty(t, runs)
		require.Equal(t, "guard", ve.Nodes["o"].Errors[0].Type)
		require.Equal(t, "dependency_cycle", ve.Nodes["x"].Errors[0].Type)
		require.Equal(t, []string{"z"}, ve.Nodes["x"].DependentOutputs)
	})
}

// TestGraphCheckLeavesToCycle: an output that is left to a node in a cycle does not run, because
// of the cycle; the functions after are called for the other outputs.
func TestGraphCheckLeavesToCycle(t *testing.T) {
	var outputs []string
	sections(t, func(g *flow.GraphCheck) error {
		g.Leave([]string{"peek"}, "close")
		return nil
	}, func(r *rig) {
		r.reg.CheckGraphs(func(_ context.Context, g *flow.GraphCheck) error {
			outputs = g.Outputs()
			return nil
		})
		runs, ve := prepared(r.reg, parse(t, `{"peek":{"class_type":"Peek","inputs":{"in":1}},"close":{"class_type":"Close","inputs":{"in":["peek",0],"level":["close",0]}},
			"other":{"class_type":"Peek","inputs":{"in":1}}}`))
		require.Equal(t, []string{"other"}, runs)
		require.Equal(t, runs, outputs)
		require.Equal(t, "dependency_cycle", ve.Nodes["close"].Errors[0].Type)
	})
}

// TestGraphCheckManyProblems: the answer has a limit, however many problems a function has.
func TestGraphCheckManyProblems(t *testing.T) {
	long := strings.Repeat("x", 60_000)
	sections(t, func(g *flow.GraphCheck) error {
		for range 200 {
			g.Reject(nodebus.Problem{Type: "section", Message: "Wrong", Details: "section", Extra: map[string]any{"text": long}}, []string{"open", "close"}, []string{"o"})
		}
		return nil
	}, func(r *rig) {
		_, ve := prepared(r.reg, parse(t, section))
		told := len(ve.Nodes["open"].Errors) + len(ve.Nodes["close"].Errors)
		require.Equal(t, 400, told+ve.Extra["more_problems"].(int))
		require.Contains(t, ve.Details, fmt.Sprintf("and %d more problems", 400-told))
		enc, err := json.Marshal(ve)
		require.NoError(t, err)
		require.Less(t, len(enc), 5_000_000)
	})
}

func prepared(r *flow.Registry, nodes nodebus.Nodes) (outputs []string, ve *nodebus.ValidationError) {
	p := &nodebus.Prompt{Nodes: nodes}
	_, err := r.Prepare(context.Background(), p)
	errors.As(err, &ve)
	return p.Outputs, ve
}

// TestGraphCheckReject: a problem of several nodes stands beside the problems of single nodes, and
// the outputs do not run.
func TestGraphCheckReject(t *testing.T) {
	for _, c := range []struct {
		name    string
		outputs []string
		runs    []string
	}{
		{"one output", []string{"o"}, []string{"peek"}},
		{"all outputs", []string{"peek", "o"}, nil},
		{"no output", nil, []string{"peek", "o"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sections(t, func(g *flow.GraphCheck) error {
				g.Reject(nodebus.Problem{Type: "section", Message: "Wrong section", Details: "open and close"}, []string{"open", "close"}, c.outputs)
				return nil
			}, func(r *rig) {
				outputs, ve := prepared(r.reg, parse(t, section))
				require.Equal(t, c.runs, outputs)
				require.Equal(t, "prompt_outputs_failed_validation", ve.Type)
				require.Equal(t, "Wrong section: open and close", ve.Details)
				require.Len(t, ve.Nodes, 2)
				for _, id := range []string{"open", "close"} {
					require.Equal(t, []nodebus.Problem{{Type: "section", Message: "Wrong section", Details: "open and close", Extra: map[string]any{}}}, ve.Nodes[id].Errors)
					require.ElementsMatch(t, append([]string{}, c.outputs...), ve.Nodes[id].DependentOutputs)
				}
			})
		})
	}
}

// TestGraphCheckInvalid: an output that is left to a node that is not valid fails, with the
// errors of that node.
func TestGraphCheckInvalid(t *testing.T) {
	for name, level := range map[string]string{"dependency_cycle": "close", "exception_during_validation": "nobody"} {
		sections(t, func(g *flow.GraphCheck) error {
			g.Leave([]string{"peek"}, "close")
			return nil
		}, func(r *rig) {
			nodes := parse(t, `{"peek":{"class_type":"Peek","inputs":{"in":1}},"close":{"class_type":"Close","inputs":{"in":["peek",0],"level":["`+level+`",0]}}}`)
			outputs, ve := prepared(r.reg, nodes)
			require.Nil(t, outputs)
			require.Equal(t, []string{"peek"}, ve.Nodes["close"].DependentOutputs, name)
			require.Len(t, ve.Nodes["close"].Errors, 1)
			require.Equal(t, name, ve.Nodes["close"].Errors[0].Type)
		})
	}
}

// TestGraphCheckFails: an error or a panic of the function, or a wrong use of its methods,
// refuses the prompt.
func TestGraphCheckFails(t *testing.T) {
	for name, c := range map[string]struct {
		check func(g *flow.GraphCheck) error
		want  string
	}{
		"error":           {func(*flow.GraphCheck) error { return errors.New("no") }, "no"},
		"panic":           {func(*flow.GraphCheck) error { panic("oh") }, "oh"},
		"unknown node":    {func(g *flow.GraphCheck) error { g.SetMember("nobody", "x", nil); return nil }, `no node "nobody"`},
		"no hidden input": {func(g *flow.GraphCheck) error { g.Give("close", "in", 1); return nil }, `no hidden input "in" of its own`},
		"no output":       {func(g *flow.GraphCheck) error { g.Give("close", "plan", nodebus.Link{Node: "o"}); return nil }, `has no output 0`},
	} {
		sections(t, c.check, func(r *rig) {
			_, err := r.reg.Prepare(r.ctx, &nodebus.Prompt{Nodes: parse(t, section)})
			require.ErrorContains(t, err, c.want, name)
		})
	}
}

// TestFunctionListOfOuts: an element of a list that a function class returns may be an Out.
func TestFunctionListOfOuts(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 2}, nil, func(r *rig) {
		r.fn("Inc", func(_ *nodebus.Context, v, _ any) (any, error) { return v.(int) + 1, nil })
		flow.Register(r.reg, lister{}, nodebus.Info{Name: "List"})
		flow.Register(r.reg, all{}, nodebus.Info{Name: "All"})
		class, err := flow.NewClass(flow.Schema{Info: nodebus.Info{Name: "Mix"}, Outputs: []flow.Port{{Type: "*", List: true}}},
			func(ctx *nodebus.Context, _ nodebus.Inputs) (flow.Result, error) {
				g := ctx.NewGraph()
				one, many := g.Add("Inc", in{"in": 1}), g.Add("List", nil)
				return flow.Result{Outputs: []any{[]any{7, nodebus.Out[any]{From: one, Graph: g}, nodebus.Out[int]{Value: 9}, nodebus.Out[any]{From: many, Graph: g}}}}, nil
			}, nil)
		require.NoError(t, err)
		require.NoError(t, r.reg.Add(class))
		for range 2 {
			o := r.run(parse(t, `{"m":{"class_type":"Mix","inputs":{}},"a":{"class_type":"All","inputs":{"in":["m",0]}}}`))
			require.Nil(t, o.record.Error)
			require.Equal(t, []any{"[7 2 9 3 4]"}, o.text("a"))
		}
	})
}

type lister struct{}

func (lister) Run(*nodebus.Context) (nodebus.List[int], error) { return nodebus.List[int]{3, 4}, nil }

type all struct{ In nodebus.List[int] }

func (n all) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(fmt.Sprint([]int(n.In))), nil
}
