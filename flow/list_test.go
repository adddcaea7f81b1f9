package flow_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Execution semantics, section 8: value lists.

type list struct {
	Values nodebus.List[any]
	Other  any `in:"other,optional"`
}

// Run returns its inputs as one text.
func (n list) Run(*nodebus.Context) (string, error) {
	return fmt.Sprint([]any(n.Values), " ", n.Other), nil
}

type spread struct{ N int }

func (n spread) Run(ctx *nodebus.Context) (nodebus.List[string], error) {
	l := nodebus.List[string]{}
	for i := range n.N {
		l = append(l, fmt.Sprintf("%d.%d", ctx.Index(), i))
	}
	return l, nil
}

func lists(r *rig) {
	flow.Register(r.reg, list{}, nodebus.Info{Name: "List"})
	flow.Register(r.reg, spread{}, nodebus.Info{Name: "Spread"})
	flow.Register(r.reg, mRange{}, nodebus.Info{Name: "Range"})
	r.fn("Pair", func(ctx *nodebus.Context, a, b any) (any, error) { return fmt.Sprint(ctx.Index(), ":", a, "+", b), nil })
}

func TestSection8Lists(t *testing.T) {
	three := func(g *nodebus.Graph) nodebus.Link { return g.Add("Range", in{"n": 3}) }
	for _, c := range []struct {
		name string
		make func(g *nodebus.Graph) nodebus.Link
		want []any
	}{
		{"called for each element, constants repeat", func(g *nodebus.Graph) nodebus.Link {
			return g.Add("Pair", in{"in": three(g), "in2": "c"})
		}, []any{"0:0+c", "1:1+c", "2:2+c"}},
		{"shorter lists repeat their last", func(g *nodebus.Graph) nodebus.Link {
			return g.Add("Pair", in{"in": three(g), "in2": g.Add("Range", in{"n": 2})})
		}, []any{"0:0+0", "1:1+1", "2:2+1"}},
		{"a list input takes all at once", func(g *nodebus.Graph) nodebus.Link {
			return g.Add("List", in{"values": three(g)})
		}, []any{"[0 1 2] <nil>"}},
		{"the other inputs are the first of theirs", func(g *nodebus.Graph) nodebus.Link {
			return g.Add("List", in{"values": "v", "other": three(g)})
		}, []any{"[v] 0"}},
		{"list outputs are joined", func(g *nodebus.Graph) nodebus.Link {
			return g.Add("Spread", in{"n": three(g)})
		}, []any{"1.0", "2.0", "2.1"}},
		{"an empty list is no call", func(g *nodebus.Graph) nodebus.Link {
			return g.Add("Pair", in{"in": g.Add("Range", in{"n": 0}), "in2": "c"})
		}, nil},
		{"an empty list into a list input is one call", func(g *nodebus.Graph) nodebus.Link {
			return g.Add("List", in{"values": g.Add("Range", in{"n": 0})})
		}, []any{"[] <nil>"}},
		{"a list of one is one", func(g *nodebus.Graph) nodebus.Link {
			return g.Add("Pair", in{"in": g.Add("Range", in{"n": 1})})
		}, []any{"0:0+<nil>"}},
		{"a list as a literal", func(g *nodebus.Graph) nodebus.Link {
			return g.Add("List", in{"values": map[string]any{"__value__": []any{1, "b"}}})
		}, []any{"[1 b] <nil>"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, nil, func(r *rig) {
				lists(r)
				g := nodebus.NewGraph()
				g.AddAs("o", "Show", in{"in": c.make(g)})
				o := r.run(g.Nodes())
				require.Equal(t, nodebus.Succeeded, o.record.State)
				require.Equal(t, c.want, o.text("o"))
			})
		})
	}
}

func TestSection8UIIsJoinedAcrossCalls(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		lists(r)
		flow.Register(r.reg, odd{}, nodebus.Info{Name: "Odd", Output: true})
		o := r.run(parse(t, `{"l":{"class_type":"Range","inputs":{"n":4}},"o":{"class_type":"Odd","inputs":{"in":["l",0]}}}`))
		require.Equal(t, nodebus.UI{"all": {0, 1, 2, 3}, "odd": {1, 3}}, o.record.Outputs[0].UI,
			"a name that some calls do not show is no failure")
	})
}

type odd struct{ In int }

type oddResult struct {
	N  int `out:"n"`
	UI nodebus.UI
}

func (n odd) Run(*nodebus.Context) (oddResult, error) {
	ui := nodebus.UI{"all": {n.In}}
	if n.In%2 == 1 {
		ui["odd"] = []any{n.In}
	}
	return oddResult{n.In, ui}, nil
}

func TestSection8ErrorNamesTheElement(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		lists(r)
		r.fn("Fail", func(_ *nodebus.Context, v, _ any) (any, error) {
			if v == 2 {
				return nil, errors.New("boom")
			}
			return v, nil
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("x", "Fail", in{"in": g.Add("Range", in{"n": 4})})})
		p := &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}
		_, err := execute(r.local, r.ctx, p, r.hub)
		require.EqualError(t, err, "nodebus: node x (Fail), element 2: boom")
		e := r.run(g.Nodes()).failed(t)
		require.Equal(t, "boom\n", e.ExceptionMessage)
		require.Equal(t, "in the call for element 2\n", e.Traceback[0])
		require.Equal(t, map[string][]any{"in": {int64(0), int64(1), int64(2), int64(3)}}, e.CurrentInputs)
	})
}

func TestSection8EmptyListWhereOneValueIsNeeded(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		lists(r)
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("x", "List", in{"values": 1, "other": g.Add("Range", in{"n": 0})})})
		require.Equal(t, "input \"other\": got an empty list where one value is needed\n", r.run(g.Nodes()).failed(t).ExceptionMessage)
	})
}

func TestSection8LongList(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		lists(r)
		r.fn("Inc", func(_ *nodebus.Context, v, _ any) (any, error) { return v.(int) + 1, nil })
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.Add("Count", in{"values": g.Add("Inc", in{"in": g.Add("Range", in{"n": 100_000})})})})
		flow.Register(r.reg, count{}, nodebus.Info{Name: "Count"})
		require.Equal(t, []any{"100000 100000"}, r.run(g.Nodes()).text("o"))
	})
}

type count struct{ Values nodebus.List[int] }

func (n count) Run(*nodebus.Context) (string, error) {
	return fmt.Sprint(len(n.Values), " ", n.Values[len(n.Values)-1]), nil
}
