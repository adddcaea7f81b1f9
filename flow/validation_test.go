package flow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Execution semantics, sections 4 and 5: validation of inputs and links, with the
// exact texts of the wire.

// TestSection4Inputs checks the exact problem for each kind of invalid input.
func TestSection4Inputs(t *testing.T) {
	const i = `["INT",{"default":5,"max":10,"min":0,"step":1}]`
	const f = `["FLOAT",{"default":0.5,"max":1,"min":0}]`
	const c = `[["red","green","blue"],{"default":"red"}]`
	for _, tt := range []struct{ change, typ, message, details, extra string }{
		{`{"i":"(absent)"}`, "required_input_missing", "Required input is missing", "i", `{"input_name":"i"}`},
		{`{"i":["t",0,0]}`, "bad_linked_input", "Bad linked input, must be a length-2 list of [node_id, slot_index]", "i", `{"input_name":"i","input_config":` + i + `,"received_value":["t",0,0]}`},
		{`{"i":[]}`, "bad_linked_input", "Bad linked input, must be a length-2 list of [node_id, slot_index]", "i", `{"input_name":"i","input_config":` + i + `,"received_value":[]}`},
		{`{"i":"abc"}`, "invalid_input_type", "Failed to convert an input value to a INT value", "i, abc, invalid literal for int() with base 10: 'abc'", `{"input_name":"i","input_config":` + i + `,"received_value":"abc","exception_message":"invalid literal for int() with base 10: 'abc'"}`},
		{`{"i":null}`, "invalid_input_type", "Failed to convert an input value to a INT value", "i, None, int() argument must be a string, a bytes-like object or a real number, not 'NoneType'", `{"input_name":"i","input_config":` + i + `,"received_value":null,"exception_message":"int() argument must be a string, a bytes-like object or a real number, not 'NoneType'"}`},
		{`{"f":{"x":1}}`, "invalid_input_type", "Failed to convert an input value to a FLOAT value", "f, {'x': 1}, float() argument must be a string or a real number, not 'dict'", `{"input_name":"f","input_config":` + f + `,"received_value":{"x":1},"exception_message":"float() argument must be a string or a real number, not 'dict'"}`},
		{`{"f":"one"}`, "invalid_input_type", "Failed to convert an input value to a FLOAT value", "f, one, could not convert string to float: 'one'", `{"input_name":"f","input_config":` + f + `,"received_value":"one","exception_message":"could not convert string to float: 'one'"}`},
		{`{"i":-1}`, "value_smaller_than_min", "Value -1 smaller than min of 0", "i", `{"input_name":"i","input_config":` + i + `,"received_value":-1}`},
		{`{"f":-0.25}`, "value_smaller_than_min", "Value -0.25 smaller than min of 0.0", "f", `{"input_name":"f","input_config":` + f + `,"received_value":-0.25}`},
		{`{"i":11}`, "value_bigger_than_max", "Value 11 bigger than max of 10", "i", `{"input_name":"i","input_config":` + i + `,"received_value":11}`},
		{`{"i":18446744073709551615}`, "value_bigger_than_max", "Value 18446744073709551615 bigger than max of 10", "i", `{"input_name":"i","input_config":` + i + `,"received_value":18446744073709551615}`},
		{`{"i":{"__value__":[1]}}`, "invalid_input_type", "Failed to convert an input value to a INT value", "i, [1], int() argument must be a string, a bytes-like object or a real number, not 'list'", `{"input_name":"i","input_config":` + i + `,"received_value":[1],"exception_message":"int() argument must be a string, a bytes-like object or a real number, not 'list'"}`},
		{`{"f":1.5}`, "value_bigger_than_max", "Value 1.5 bigger than max of 1.0", "f", `{"input_name":"f","input_config":` + f + `,"received_value":1.5}`},
		{`{"c":"pink"}`, "value_not_in_list", "Value not in list", "c: 'pink' not in ['red', 'green', 'blue']", `{"input_name":"c","input_config":` + c + `,"received_value":"pink"}`},
		{`{"c":3}`, "value_not_in_list", "Value not in list", "c: 3 not in ['red', 'green', 'blue']", `{"input_name":"c","input_config":` + c + `,"received_value":3}`},
		{`{"big":"zzz"}`, "value_not_in_list", "Value not in list", "big: 'zzz' not in (list of length 30)", `{"input_name":"big","input_config":null,"received_value":"zzz"}`},
		{`{"new":"z"}`, "value_not_in_list", "Value not in list", "new: 'z' not in ['x', 'y']", `{"input_name":"new","input_config":["COMBO",{"options":["x","y"]}],"received_value":"z"}`},
		{`{"i":99999999999999999999}`, "invalid_input_type", "Failed to convert an input value to a INT value", "i, 99999999999999999999, 99999999999999999999 does not fit in 64 bits", `{"input_name":"i","input_config":` + i + `,"received_value":99999999999999999999,"exception_message":"99999999999999999999 does not fit in 64 bits"}`},
		{`{"small":200}`, "invalid_input_type", "Failed to convert an input value to a INT value", "small, 200, needs a whole number from -128 to 127, got the number 200", `{"input_name":"small","input_config":["INT",{}],"received_value":200,"exception_message":"needs a whole number from -128 to 127, got the number 200"}`},
		{`{"u":-1}`, "invalid_input_type", "Failed to convert an input value to a INT value", "u, -1, needs a whole number from 0 to 18446744073709551615, got the number -1", `{"input_name":"u","input_config":["INT",{}],"received_value":-1,"exception_message":"needs a whole number from 0 to 18446744073709551615, got the number -1"}`},
		{`{"pic":"x"}`, "invalid_input_type", "Failed to convert an input value to a PIXELS value", "pic, 'x', needs a value of type PIXELS, got the string \"x\"", `{"input_name":"pic","input_config":["PIXELS",{}],"received_value":"x","exception_message":"needs a value of type PIXELS, got the string \"x\""}`},
	} {
		t.Run(tt.change, func(t *testing.T) {
			_, ve := validate(t, typedWith(t, tt.change))
			require.NotNil(t, ve)
			require.Equal(t, "prompt_outputs_failed_validation", ve.Type)
			require.Empty(t, ve.Details, "Details lists only problems of the output nodes")
			require.Equal(t, []string{"t"}, slices.Collect(maps.Keys(ve.Nodes)))
			n := ve.Nodes["t"]
			require.Equal(t, "Typed", n.Class)
			require.Equal(t, []string{"o"}, n.DependentOutputs)
			require.Len(t, n.Errors, 1)
			got := n.Errors[0]
			require.Equal(t, tt.typ, got.Type)
			require.Equal(t, tt.message, got.Message)
			require.Equal(t, tt.details, got.Details)
			extra, err := json.Marshal(got.Extra)
			require.NoError(t, err)
			require.JSONEq(t, tt.extra, string(extra))
		})
	}
}

// TestSection4NumbersInText checks that numbers in text are parsed as in Python.
func TestSection4NumbersInText(t *testing.T) {
	for _, c := range []struct {
		input  string
		ok, no []string
	}{
		{"i", []string{"1_0", "+5", "-5", "-0", " 7 ", "1_0_0"}, []string{"_1", "1_", "1__0", "+_1", "-_1", "+-5", "++5", "+", "", "1.0", "0x1"}},
		{"f", []string{"1_0.2_5", "+1.", ".5", "-1e+0_0", "1_0e-1_0"}, []string{"+_12", "1_.", "1._1", "1_e0", "._1", "1e_0", "1e0_", "1e+_0", "-_1", "1__0", "+-1", "", "0x1p0"}},
	} {
		field := map[string]string{"i": "0", "f": "0"}
		reg := flow.NewRegistry()
		flow.Register(reg, twoNumbers{}, nodebus.Info{Name: "Numbers", Output: true})
		check := func(text string) error {
			field[c.input] = fmt.Sprintf("%q", text)
			return prepare(reg, &nodebus.Prompt{Nodes: parse(t, `{"o":{"class_type":"Numbers","inputs":{"i":`+field["i"]+`,"f":`+field["f"]+`}}}`)})
		}
		for _, text := range c.ok {
			require.NoError(t, check(text), "%s: %q", c.input, text)
		}
		for _, text := range c.no {
			require.Error(t, check(text), "%s: %q", c.input, text)
		}
	}
}

type twoNumbers struct {
	I int
	F float64
}

func (n twoNumbers) Run(*nodebus.Context) (int, error) { return n.I, nil }

// TestChoicesOfANamedType checks that a drop-down of a named string type accepts
// values of the named type.
func TestChoicesOfANamedType(t *testing.T) {
	nodes := typedWith(t, `{}`)
	nodes[0].Inputs["big"] = manyChoices("opt7")
	p, ve := validate(t, nodes)
	require.Nil(t, ve)
	require.Equal(t, "opt7", p.Nodes[0].Inputs["big"])
	nodes[0].Inputs["big"] = manyChoices("opt99")
	_, ve = validate(t, nodes)
	require.Equal(t, "big: 'opt99' not in (list of length 30)", ve.Nodes["t"].Errors[0].Details)
	nodes[0].Inputs["big"] = json.Number("7")
	_, ve = validate(t, nodes)
	require.Equal(t, "value_not_in_list", ve.Nodes["t"].Errors[0].Type, "a number is not a choice")
}

// TestSection4Coercion checks the conversion of literals, and the values in the
// record.
func TestSection4Coercion(t *testing.T) {
	for _, c := range []struct {
		change, input string
		want          any
	}{
		{`{"i":"3"}`, "i", int64(3)},
		{`{"i":" +1_0 "}`, "i", int64(10)},
		{`{"i":3.7}`, "i", int64(3)},
		{`{"i":1e1}`, "i", int64(10)},
		{`{"i":true}`, "i", int64(1)},
		{`{"i":false}`, "i", int64(0)},
		{`{"u":18446744073709551615}`, "u", uint64(18446744073709551615)},
		{`{"f":1}`, "f", 1.0},
		{`{"f":"0.25"}`, "f", 0.25},
		{`{"f":" 1e-3 "}`, "f", 0.001},
		{`{"f":true}`, "f", 1.0},
		{`{"s":5}`, "s", "5"},
		{`{"s":1.50}`, "s", "1.5"},
		{`{"s":true}`, "s", "True"},
		{`{"s":null}`, "s", "None"},
		{`{"s":{"a":[1,"b"]}}`, "s", "{'a': [1, 'b']}"},
		{`{"b":"false"}`, "b", true},
		{`{"b":""}`, "b", false},
		{`{"b":0}`, "b", false},
		{`{"b":0.1}`, "b", true},
		{`{"b":null}`, "b", false},
		{`{"b":{}}`, "b", false},
		{`{"s":{"__value__":[1,2]}}`, "s", "[1, 2]"},
	} {
		t.Run(c.change, func(t *testing.T) {
			p, ve := validate(t, typedWith(t, c.change))
			require.Nil(t, ve)
			require.Equal(t, c.want, p.Nodes[0].Inputs[c.input])
		})
	}
}

func TestSection4LiteralsOfOtherTypes(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, typed{}, nodebus.Info{Name: "Typed"})
		nodes := typedWith(t, `{"any":{"k":[1,2.5,"s"]},"map":{"p":{"X":1,"Y":2}},"l":{"__value__":[1,2]},"mixed":1.5,"new":"x","big":"opt7"}`)
		nodes[1].Inputs["in"] = nodebus.Link{Node: "t", Slot: 4}
		o := r.run(nodes)
		got := fmt.Sprint(typed{
			I: 1, F: 0.5, S: "x", B: true, C: "red", Big: "opt7", New: "x",
			Any: map[string]any{"k": []any{1, 2.5, "s"}}, Map: map[string]point{"p": {1, 2}}, L: nodebus.List[int]{1, 2}, Mixed: 1.5,
		})
		require.Equal(t, []any{got}, o.text("o"))
	})
}

func TestSection2TypesOfLinks(t *testing.T) {
	for _, c := range []struct {
		input string
		slot  int
		ok    string // the text of the mismatch; "" if the link is valid
	}{
		{"i", 0, ""},
		{"i", 2, "i, received_type(STRING) mismatch input_type(INT)"},
		{"f", 0, "f, received_type(INT) mismatch input_type(FLOAT)"},
		{"any", 5, ""},
		{"i", 4, ""},
		{"pic", 5, ""},
		{"pic", 0, "pic, received_type(INT) mismatch input_type(PIXELS)"},
		{"mixed", 0, ""},
		{"mixed", 1, ""},
		{"mixed", 2, "mixed, received_type(STRING) mismatch input_type(INT,FLOAT)"},
		{"big", 3, ""},
		{"new", 3, ""},
		{"s", 3, "s, received_type(["},
		{"c", 2, "c, received_type(STRING) mismatch input_type(['red', 'green', 'blue'])"},
	} {
		t.Run(fmt.Sprint(c.input, c.slot), func(t *testing.T) {
			nodes := typedWith(t, `{"`+c.input+`":["src",`+fmt.Sprint(c.slot)+`]}`)
			src := typedWith(t, `{}`)[0]
			src.ID = "src"
			_, ve := validate(t, append(nodes, src))
			if c.ok == "" {
				require.Nil(t, ve)
				return
			}
			require.NotNil(t, ve)
			p := ve.Nodes["t"].Errors[0]
			require.Equal(t, "return_type_mismatch", p.Type)
			require.Equal(t, "Return type mismatch between linked nodes", p.Message)
			require.True(t, strings.HasPrefix(p.Details, c.ok), p.Details)
			require.Equal(t, nodebus.Link{Node: "src", Slot: c.slot}, p.Extra["linked_node"])
		})
	}
}

// TestNodesMayBeSharedByPrompts checks that a program may submit the same nodes many
// times, also at the same time and while records of the nodes are read.
func TestNodesMayBeSharedByPrompts(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, typed{}, nodebus.Info{Name: "Typed"})
		nodes := typedWith(t, `{"i":"3","f":"0.25","s":5,"any":{"__value__":[1]}}`)
		before, err := json.Marshal(nodes)
		require.NoError(t, err)
		p := &nodebus.Prompt{ID: "first", ClientID: "first", Nodes: nodes}
		end := r.start(p)
		failed := make(chan error, 8)
		for range cap(failed) {
			go func() {
				var errs []error
				for range 5 {
					_, err := submit(r.engine, r.ctx, &nodebus.Prompt{Nodes: nodes})
					errs = append(errs, err)
					for rec, err := range r.engine.Store().List(r.ctx) {
						_, bad := json.Marshal(rec.Prompt)
						errs = append(errs, err, bad)
					}
				}
				failed <- errors.Join(errs...)
			}()
		}
		for range cap(failed) {
			require.NoError(t, <-failed)
		}
		after, err := json.Marshal(nodes)
		require.NoError(t, err)
		require.Equal(t, string(before), string(after), "the caller's nodes do not change")
		in := end().record.Prompt.Nodes[0].Inputs
		require.Equal(t, []any{int64(3), 0.25, "5", "red"}, []any{in["i"], in["f"], in["s"], in["c"]}, "the record shows the converted values")
	})
}
