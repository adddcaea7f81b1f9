package flow_test

import (
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// looper receives the link of its input, and makes a node that takes from the same output.
type looper struct {
	At    nodebus.Link `in:"at,raw" type:"*"`
	Other nodebus.Link `in:"other,optional,raw" type:"INT"`
	Each  any          `in:"each,optional"`
	runs  *int
}

func (n looper) Run(ctx *nodebus.Context) (nodebus.Out[string], error) {
	*n.runs++
	if n.Other != (nodebus.Link{}) {
		return nodebus.Out[string]{Value: fmt.Sprint(n.At, n.Other, n.Each)}, nil
	}
	g := ctx.NewGraph()
	return nodebus.Out[string]{Graph: g, From: g.Add("Text", in{"in": n.At})}, nil
}

func (n looper) Validate(*nodebus.Context) error {
	if n.At != (nodebus.Link{}) {
		return fmt.Errorf("a linked input is zero here")
	}
	return nil
}

type (
	rawInt struct {
		X int `in:"x,raw"`
	}
	rawLazy struct {
		X nodebus.Lazy[nodebus.Link] `in:"x,raw"`
	}
)

func (rawInt) Run(*nodebus.Context) (int, error)  { return 0, nil }
func (rawLazy) Run(*nodebus.Context) (int, error) { return 0, nil }

// TestRawLinks: the node receives its link; the source runs; lists are not taken apart.
func TestRawLinks(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		lists(r)
		runs, sources := 0, 0
		flow.Register(r.reg, looper{runs: &runs}, nodebus.Info{Name: "Loop", Output: true})
		r.fn("Source", func(_ *nodebus.Context, v, _ any) (any, error) { sources++; return v, nil })
		r.fn("Text", func(_ *nodebus.Context, v, _ any) (any, error) { return fmt.Sprint("<", v, ">"), nil })
		r.fn("Blocked", func(*nodebus.Context, any, any) (any, error) { return nil, nodebus.Block("no") })
		require.Equal(t, `{"required":{"at":["*",{"rawLink":true}]},"optional":{"other":["INT",{"rawLink":true}],"each":["*",{}]}}`, inputsOf(t, r.reg, "Loop"))

		run := func(inputs string) outcome {
			return r.run(parse(t, `{"s":{"class_type":"Source","inputs":{"in":5}},"b":{"class_type":"Blocked","inputs":{}},`+
				`"n":{"class_type":"Range","inputs":{"n":3}},"l":{"class_type":"Loop","inputs":`+inputs+`},"o":{"class_type":"Show","inputs":{"in":["l",0]}}}`))
		}
		require.Equal(t, []any{"<5>"}, run(`{"at":["s",0]}`).text("o"))
		require.Equal(t, []int{1, 1}, []int{runs, sources})
		require.Equal(t, []any{"<5>"}, run(`{"at":["s",0]}`).text("o"), "cached, as for a link")
		require.Equal(t, []int{1, 1}, []int{runs, sources})
		require.Equal(t, []any{"{n 0} {n 0} <nil>"}, run(`{"at":["n",0],"other":["n",0]}`).text("o"), "one call, although the source gives a list")
		require.Equal(t, 2, runs)
		require.Equal(t, []any{"{b 0} {n 0} <nil>"}, run(`{"at":["b",0],"other":["n",0]}`).text("o"), "a blocked source does not block the node")

		require.Equal(t, "invalid_input_type: at, x, the node receives the link itself; connect the input to an output", problemOf(t, r.reg, "Loop", `{"at":"x"}`))
		require.Equal(t, "required_input_missing: at", problemOf(t, r.reg, "Loop", `{}`))
	})
}

// TestRawLinkOfFailedCall: the error shows the link as the wire has it.
func TestRawLinkOfFailedCall(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, rawFails{}, nodebus.Info{Name: "Fails"})
		r.fn("Source", func(*nodebus.Context, any, any) (any, error) { return 1, nil })
		o := r.run(parse(t, `{"s":{"class_type":"Source","inputs":{}},"f":{"class_type":"Fails","inputs":{"at":["s",0],"tags":{"__value__":["a"]},"n":3}}}`))
		require.Equal(t, map[string][]any{"at": {"['s', 0]"}, "tags": {"['a']"}, "n": {int64(3)}}, o.failed(t).CurrentInputs)
	})
}

type rawFails struct {
	At   nodebus.Link `in:"at,raw"`
	Tags []string     `options:"a,b"`
	N    *int
}

func (rawFails) Run(*nodebus.Context) (nodebus.UI, error) { return nil, fmt.Errorf("no") }

func TestRegisterRefusesRawValues(t *testing.T) {
	r := flow.NewRegistry()
	const mend = ", which gives a nodebus.Link, but the field is a "
	for want, register := range map[string]func(){
		"rawInt: field X: tag `in` has the flag raw" + mend + "int; change its type":                                            func() { flow.Register(r, rawInt{}, nodebus.Info{}) },
		"rawLazy: field X: tag `in` has the flag raw" + mend + "nodebus.Lazy[github.com/nodebus/nodebus.Link]; change its type": func() { flow.Register(r, rawLazy{}, nodebus.Info{}) },
	} {
		require.PanicsWithValue(t, "nodebus: node flow_test."+want, register)
	}
}
