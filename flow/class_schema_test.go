package flow_test

import (
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

func nothing(*nodebus.Context, nodebus.Inputs) (flow.Result, error) { return flow.Result{}, nil }

func choices(list ...any) func() []any { return func() []any { return list } }

// TestNewClassRefusesASchema checks what is refused, and that the error says where, what is
// wrong, and the mend.
func TestNewClassRefusesASchema(t *testing.T) {
	of := func(p flow.Port) flow.Schema {
		return flow.Schema{Info: nodebus.Info{Name: "Bad"}, Inputs: []flow.Port{p}}
	}
	out := func(p flow.Port) flow.Schema {
		return flow.Schema{Info: nodebus.Info{Name: "Bad"}, Outputs: []flow.Port{p}}
	}
	for _, tt := range []struct {
		want string
		s    flow.Schema
	}{
		{`nodebus: class "": has no name; set Info.Name`, flow.Schema{}},
		{`nodebus: class "Bad": port "0": is an input without a name; set Port.Name`, of(flow.Port{Type: "INT"})},
		{`nodebus: class "Bad": port "a": is the name of two inputs; rename one of them`, flow.Schema{
			Info: nodebus.Info{Name: "Bad"}, Inputs: []flow.Port{{Name: "a", Type: "INT"}, {Name: "a", Type: "PROMPT", Kind: flow.PortHidden}},
		}},
		{`has the kind "needed", which is not possible here; use PortRequired`, of(flow.Port{Name: "a", Type: "INT", Kind: "needed"})},
		{`port "a": has no type; set Port.Type`, of(flow.Port{Name: "a"})},
		{`port "a": has no type; set Port.Type`, of(flow.Port{Name: "a", Kind: flow.PortHidden})},
		{`port "a": has choices and the type INT; remove Choices, or remove Type`, of(flow.Port{Name: "a", Type: "INT", Choices: choices(int64(1))})},
		{`port "a": has the choice 1 of type int; give strings, int64, float64, bool or nil`, of(flow.Port{Name: "a", Choices: choices("x", 1)})},
		{`port "a": has choices that fail: panic: boom; mend the function Choices`, of(flow.Port{Name: "a", Choices: func() []any { panic("boom") }})},
		{`port "a": is a drop-down and has Raw; remove Raw`, of(flow.Port{Name: "a", Choices: choices("x"), Raw: true})},
		{`port "a": takes several choices but has none; set Choices`, of(flow.Port{Name: "a", Type: "INT", Multi: true})},
		{`port "a": has Min, which is for numbers; remove the limit, or change the type STRING`, of(flow.Port{Name: "a", Type: "STRING", Min: 1})},
		{`port "a": has the limit Max: x, which is not a finite number; write a number`, of(flow.Port{Name: "a", Type: "INT", Max: "x"})},
		{`port "a": has the limit Max: +Inf, which is not a finite number`, of(flow.Port{Name: "a", Type: "FLOAT", Max: math.Inf(1)})},
		{`port "a": has Min 5, which is bigger than Max 4; no value is possible; change one of them`, of(flow.Port{Name: "a", Type: "INT", Min: 5, Max: 4.0})},
		{`port "a": has the default 1, which is smaller than Min 2; write a default within the limits`, of(flow.Port{Name: "a", Type: "INT", Default: 1, Min: 2})},
		{`port "a": has the default 3, which is bigger than Max 2.5; write a default within the limits`, of(flow.Port{Name: "a", Type: "FLOAT", Default: 3, Max: 2.5})},
		{`port "a": has the default 1.5: needs a whole number, got the number 1.5; write a default of the type INT`, of(flow.Port{Name: "a", Type: "INT", Default: 1.5})},
		{`port "a": has the default 1: needs a string, got the number 1; write a default of the type STRING`, of(flow.Port{Name: "a", Type: "STRING", Default: 1})},
		{`port "a": has the default [x]: a []string is no choice; write a default of the type`, of(flow.Port{Name: "a", Choices: choices("x"), Default: []string{"x"}})},
		{`port "a": has an option without a name; set PortOption.Name`, of(flow.Port{Name: "a", Type: "INT", Options: []flow.PortOption{{}}})},
		{`port "a": has the option x twice; remove one of them`, of(flow.Port{Name: "a", Type: "INT", Options: []flow.PortOption{{Name: "x"}, {Name: "x"}}})},
		{`port "a": has the option x, which has no JSON form: json: unsupported type: func()`, of(flow.Port{Name: "a", Type: "INT", Options: []flow.PortOption{{Name: "x", Value: func() {}}}})},
		{`port "a": has a default without a JSON form: json: unsupported type: chan int`, of(flow.Port{Name: "a", Type: "IMAGE", Default: make(chan int)})},
		{`port "a": has a Match without an ID; set Match.ID`, of(flow.Port{Name: "a", Match: &flow.Match{}})},
		{`port "a": has a Match, and stands for other inputs; keep one of them`, of(flow.Port{Name: "a", Rest: true, Match: &flow.Match{ID: "T"}})},
		{`port "a": has two of Grow, Cases and Rest; keep one`, of(flow.Port{Name: "a", Rest: true, Cases: []flow.Case{}})},
		{`port "a": stands for other inputs, and has choices or a default; remove Choices and Default`, of(flow.Port{Name: "a", Rest: true, Default: 1})},
		{`port "a": stands for other inputs, and has itself a type, limits, Lazy or List; set these members of the other inputs`, of(flow.Port{Name: "a", Type: "INT", Grow: &flow.Grow{}})},
		{`port "a": has a Grow that has the max 101; write 1 to 100`, of(flow.Port{Name: "a", Grow: &flow.Grow{Max: 101, Element: flow.Port{Type: "INT"}}})},
		{`port "a.a": has no type; set Port.Type`, of(flow.Port{Name: "a", Grow: &flow.Grow{}})},
		{`port "a": has a Grow whose Element is not an ordinary input; write one with a Type`, of(flow.Port{Name: "a", Grow: &flow.Grow{Element: flow.Port{Rest: true}}})},
		{`port "a.n": has Min 2, which is bigger than Max 1`, of(flow.Port{Name: "a", Cases: []flow.Case{{Key: "x", Inputs: []flow.Port{{Name: "n", Type: "INT", Min: 2, Max: 1}}}}})},
		{`port "a": has the choice "x", which is empty or comes twice; write another`, of(flow.Port{Name: "a", Cases: []flow.Case{{Key: "x"}, {Key: "x"}}})},
		{`port "a": has the choice "x", whose input "a" has the name of the drop-down`, of(flow.Port{Name: "a", Cases: []flow.Case{{Key: "x", Inputs: []flow.Port{{Name: "a", Type: "INT"}}}}})},
		{`port "a.b": looks like an input below a; rename it`, flow.Schema{
			Info: nodebus.Info{Name: "Bad"}, Inputs: []flow.Port{{Name: "a.b", Type: "INT"}, {Name: "a", Grow: &flow.Grow{Element: flow.Port{Type: "INT"}}}},
		}},
		{`has two inputs that take all others; remove one of them`, flow.Schema{
			Info: nodebus.Info{Name: "Bad"}, Inputs: []flow.Port{{Name: "a", Rest: true}, {Name: "b", Rest: true}},
		}},
		{`port "n": is an output that stands for others; remove Grow, Cases and Rest`, out(flow.Port{Name: "n", Rest: true})},
		{`port "0": has no type; set Port.Type`, out(flow.Port{})},
		{`port "n": is an output with the kind "optional"; remove Kind`, out(flow.Port{Name: "n", Type: "INT", Kind: flow.PortOptional})},
		{`port "n": is an output with a default, with limits, or lazy; remove Default`, out(flow.Port{Name: "n", Type: "INT", Lazy: true})},
		{`port "n": has the choice [] of type []int; give strings`, out(flow.Port{Name: "n", Choices: choices([]int{})})},
	} {
		_, err := flow.NewClass(tt.s, nothing, nil)
		require.ErrorContains(t, err, tt.want)
		var of *flow.SchemaError
		require.ErrorAs(t, err, &of)
		require.Equal(t, tt.s.Name, of.Class)
		require.NotEmpty(t, of.Mend)
	}
	_, err := flow.NewClass(flow.Schema{Info: nodebus.Info{Name: "Bad"}}, nil, nil)
	require.EqualError(t, err, `nodebus: class "Bad": has no function; give the function that the nodes call`)
}

// TestNewClassCompletesTheSchema checks what a schema may leave out, and that the class has a
// copy of it.
func TestNewClassCompletesTheSchema(t *testing.T) {
	inputs := []flow.Port{
		{Name: "n", Type: "INT", Default: int32(5), Min: uint8(1), Max: 10.5, Options: []flow.PortOption{{Name: "min", Value: "own"}}},
		{Name: "mode", Choices: choices("a", "b"), Default: "b", Lazy: true, Kind: flow.PortOptional},
		{Name: "many", Choices: choices("a"), Combo: true, Multi: true},
	}
	c, err := flow.NewClass(flow.Schema{
		Info: nodebus.Info{Name: "Class"}, Inputs: inputs, Outputs: []flow.Port{{Type: "INT"}, {Choices: choices(1.5)}},
	}, nothing, nil)
	require.NoError(t, err)
	inputs[0].Name = "changed"
	require.Equal(t, "Class", c.Schema().Title)
	require.Empty(t, inputs[1].Options)
	require.JSONEq(t, `{"required":{"n":["INT",{"min":"own","default":5,"max":10.5}],"many":["COMBO",{"multiselect":true,"options":["a"],"multi_select":{}}]},
		"optional":{"mode":[["a","b"],{"default":"b","lazy":true}]}}`, jsonOf(t, member(t, c.Schema(), "input")))
	require.JSONEq(t, `["INT",[1.5]]`, jsonOf(t, member(t, c.Schema(), "output")))
	require.JSONEq(t, `["INT","COMBO"]`, jsonOf(t, member(t, c.Schema(), "output_name")))
}

// TestRegistryAddRemove checks the names of classes.
func TestRegistryAddRemove(t *testing.T) {
	var reg flow.Registry
	class := func(name string) *flow.Class {
		c, err := flow.NewClass(flow.Schema{Info: nodebus.Info{Name: name}}, nothing, nil)
		require.NoError(t, err)
		return c
	}
	require.False(t, reg.Remove("A"))
	require.NoError(t, reg.Add(class("A")))
	err := reg.Add(class("A"))
	require.EqualError(t, err, `nodebus: class "A": the name is taken by a class made at run time; set Info.Name to another, or remove that class first`)
	require.ErrorAs(t, err, new(*flow.SchemaError))
	require.PanicsWithValue(t, `nodebus: node flow_test.mConst: the name "A" is taken by a class made at run time; set Info.Name to another`, func() {
		flow.Register(&reg, mConst{}, nodebus.Info{Name: "A"})
	})
	require.True(t, reg.Remove("A"))
	_, ok := reg.Class("A")
	require.False(t, ok)
	flow.Register(&reg, mConst{}, nodebus.Info{Name: "A"})
	require.ErrorContains(t, reg.Add(class("A")), "the name is taken by flow_test.mConst")
}

// TestFuncOutputs checks which values a function may return for an output, and what other nodes
// get.
func TestFuncOutputs(t *testing.T) {
	type named string
	boom := errors.New("boom")
	for _, tt := range []struct {
		port flow.Port
		give any
		want any
		err  string
	}{
		{flow.Port{Type: "INT"}, int8(3), 3, ""},
		{flow.Port{Type: "INT"}, 3.0, 3, ""},
		{flow.Port{Type: "INT"}, uint64(math.MaxUint64), uint64(math.MaxUint64), ""},
		{flow.Port{Type: "INT"}, 3.5, nil, `output 0 (INT): needs a whole number, got the number 3.5`},
		{flow.Port{Type: "INT"}, nil, nil, `output 0 (INT): needs a whole number, got null`},
		{flow.Port{Type: "FLOAT"}, 3, 3.0, ""},
		{flow.Port{Type: "FLOAT"}, "x", nil, `output 0 (FLOAT): needs a number, got the string "x"`},
		{flow.Port{Type: "STRING"}, named("x"), "x", ""},
		{flow.Port{Type: "BOOLEAN"}, true, true, ""},
		{flow.Port{Type: "BOOLEAN"}, 1, nil, `output 0 (BOOLEAN): needs a boolean, got the number 1`},
		{flow.Port{Choices: choices("x")}, named("x"), "x", ""},
		{flow.Port{Type: "IMAGE"}, spot{1, 2}, spot{1, 2}, ""},
		{flow.Port{Type: "IMAGE"}, nil, nil, ""},
		{flow.Port{Type: "*", Name: "n"}, nodebus.Out[int]{Value: 3}, 3, ""},
		{flow.Port{Type: "FLOAT", Name: "n"}, nodebus.Out[any]{Value: 3}, 3.0, ""},
		{flow.Port{Type: "INT", List: true}, []int64{1, 2}, []any{int64(1), int64(2)}, ""},
		{flow.Port{Type: "FLOAT", List: true}, nodebus.List[any]{1, 2.5}, []any{1.0, 2.5}, ""},
		{flow.Port{Type: "INT", List: true}, nodebus.Out[nodebus.List[int]]{Value: nodebus.List[int]{4}}, []any{4}, ""},
		{flow.Port{Type: "INT", List: true}, 7, []any{7}, ""},
		{flow.Port{Type: "INT", List: true}, []any{1, "x"}, nil, `output 0 (INT): element 1: needs a whole number, got the string "x"`},
		{flow.Port{Type: "INT", Name: "n"}, nodebus.Out[any]{Blocked: boom}, nil, `output "n": Blocked is boom; use Block for a reason`},
	} {
		c, err := flow.NewClass(flow.Schema{Info: nodebus.Info{Name: "Give"}, Outputs: []flow.Port{tt.port}}, gives(nil, func(*nodebus.Context, nodebus.Inputs) (any, error) {
			return tt.give, nil
		}), nil)
		require.NoError(t, err)
		res, err := c.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{}), nil)
		if tt.err != "" {
			require.ErrorContains(t, err, tt.err)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, []any{tt.want}, res.Outputs, "%#v", tt.give)
	}
}

// member returns a member of the description of a class.
func member(t testing.TB, s flow.Schema, name string) any {
	t.Helper()
	all := map[string]any{}
	require.NoError(t, json.Unmarshal([]byte(jsonOf(t, s)), &all))
	return all[name]
}
