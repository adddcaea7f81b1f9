package flow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

type restOfInts struct {
	Known  int            `in:",optional"`
	Others map[string]int `in:",rest" min:"0"`
}

func (restOfInts) Run(*nodebus.Context) (nodebus.UI, error) { return nil, nil }

// TestProblemsOfOneNodeAreBounded: the answer to a node with very many faulty inputs is small,
// and says how many problems it leaves out.
func TestProblemsOfOneNodeAreBounded(t *testing.T) {
	reg := flow.NewRegistry()
	flow.Register(reg, restOfInts{}, nodebus.Info{Name: "Rest", Output: true})
	for name, c := range map[string]struct {
		count int
		value any
		least int // problems in the answer
	}{
		"many":  {100_000, "x", 1000},
		"large": {2000, string(make([]byte, 32<<10)), 10},
	} {
		t.Run(name, func(t *testing.T) {
			inputs := in{}
			for k := range c.count {
				inputs[fmt.Sprint("k", k)] = c.value
			}
			_, err := reg.Prepare(t.Context(), &nodebus.Prompt{Nodes: nodebus.Nodes{{ID: "1", Class: "Rest", Inputs: inputs}}})
			var e *nodebus.ValidationError
			require.ErrorAs(t, err, &e)
			found := e.Nodes["1"].Errors
			last := found[len(found)-1]
			require.Equal(t, "more_problems", last.Type)
			more := c.count - (len(found) - 1)
			require.Equal(t, fmt.Sprintf("… and %d more problems of the node", more), last.Details)
			require.Equal(t, map[string]any{"more_problems": more}, last.Extra)
			require.GreaterOrEqual(t, len(found), c.least)
			require.LessOrEqual(t, len(found), 1001)
			text, err := json.Marshal(e)
			require.NoError(t, err)
			require.Less(t, len(text), 40<<20)
		})
	}
}

// TestUndeclaredInputsAreCheckedInOrder: the first broken link hides all others.
func TestUndeclaredInputsAreCheckedInOrder(t *testing.T) {
	reg := flow.NewRegistry()
	flow.Register(reg, holds[string]{}, nodebus.Info{Name: "Sorted", Output: true})
	for range 20 {
		require.Equal(t, `exception_during_validation: input q links to node 'no', which does not exist`,
			problemOf(t, reg, "Sorted", `{"q":["no",0],"p":["no",0],"s":["no",0],"a":["no",0]}`))
	}
}

// TestCallFindsTheOrderInLargePrompts: Call takes the order of the inputs that nobody declares
// from the prompt, also if the owner of the prompt has changed it meanwhile.
func TestCallFindsTheOrderInLargePrompts(t *testing.T) {
	reg := flow.NewRegistry()
	flow.Register(reg, ordered{}, nodebus.Info{Name: "Ordered"})
	c, _ := reg.Class("Ordered")
	nodes := make(nodebus.Nodes, 1000)
	for i := range nodes {
		nodes[i] = nodebus.NodeSpec{ID: fmt.Sprint(i), Class: "Ordered", Inputs: in{"a": 1, "b": 2}}
		nodes[i].OrderInputs("b", "a")
	}
	nodes[1].OrderInputs("a", "b")
	job := &nodebus.Job{Prompt: &nodebus.Prompt{Nodes: nodes}}
	call := func(id string) any {
		res, err := c.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{Job: job, Place: nodebus.Place{UniqueID: id}}), in{"a": 1, "b": 2})
		require.NoError(t, err)
		return res.Outputs[0]
	}
	require.Equal(t, "[{b 2} {a 1}]", call("999"))
	require.Equal(t, "[{a 1} {b 2}]", call("1"))
	require.Equal(t, "[{a 1} {b 2}]", call("none"))
	nodes[1].ID, nodes[999].ID = "999", "1"
	require.Equal(t, "[{a 1} {b 2}]", call("999"))
	require.Equal(t, "[{b 2} {a 1}]", call("1"))
}

type ordered struct {
	Others []nodebus.Named[int] `in:",rest"`
}

func (n ordered) Run(*nodebus.Context) (string, error) { return fmt.Sprint(n.Others), nil }

// TestSection6LiteralsAgainstLimits: a literal of a union of types is not converted, so that it
// may be none that a limit can be compared with.
func TestSection6LiteralsAgainstLimits(t *testing.T) {
	reg := flow.NewRegistry()
	c, err := flow.NewClass(flow.Schema{
		Info:   nodebus.Info{Name: "Union", Output: true},
		Inputs: []flow.Port{{Name: "m", Type: "INT,FLOAT", Min: 0, Max: 10}, {Name: "max", Type: "FLOAT,INT", Max: 1.5, Kind: flow.PortOptional}, {Name: "free", Type: "FLOAT,INT", Kind: flow.PortOptional}},
	}, func(*nodebus.Context, nodebus.Inputs) (flow.Result, error) { return flow.Result{}, nil }, nil)
	require.NoError(t, err)
	require.NoError(t, reg.Add(c))
	const cannot = ", which cannot be compared with the limit "
	for inputs, want := range map[string]string{
		`{"m":3}`:                 "",
		`{"m":3.5}`:               "",
		`{"m":true}`:              "",
		`{"m":1,"free":"text"}`:   "",
		`{"m":11}`:                "value_bigger_than_max: m",
		`{"m":1,"max":true}`:      "",
		`{"m":-1}`:                "value_smaller_than_min: m",
		`{"m":"text"}`:            "exception_during_validation: input m is 'text'" + cannot + "0",
		`{"m":null}`:              "exception_during_validation: input m is None" + cannot + "0",
		`{"m":{"a":1}}`:           "exception_during_validation: input m is {'a': 1}" + cannot + "0",
		`{"m":{"__value__":[1]}}`: "exception_during_validation: input m is [1]" + cannot + "0",
		`{"m":1,"max":"1"}`:       "exception_during_validation: input max is '1'" + cannot + "1.5",
	} {
		_, err := reg.Prepare(t.Context(), &nodebus.Prompt{Nodes: parse(t, `{"1":{"class_type":"Union","inputs":`+inputs+`}}`)})
		var e *nodebus.ValidationError
		if !errors.As(err, &e) {
			require.Empty(t, want, inputs)
			continue
		}
		found := e.Nodes["1"].Errors
		require.Len(t, found, 1, inputs)
		require.Equal(t, want, found[0].Type+": "+found[0].Details, inputs)
	}
}
