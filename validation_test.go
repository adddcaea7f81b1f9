package nodebus_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// Execution semantics, sections 4 and 5: validation, in the words of the wire.

// typed has an input of every kind.
type typed struct {
	I     int     `default:"5" min:"0" max:"10" step:"1"`
	F     float64 `default:"0.5" min:"0" max:"1"`
	S     string
	B     bool
	C     string            `options:"red,green,blue" default:"red"`
	Big   manyChoices       `in:"big,optional"`
	New   string            `in:"new,optional,combo" options:"x,y"`
	U     uint64            `in:"u,optional"`
	Small int8              `in:"small,optional"`
	Any   any               `in:"any,optional"`
	Pic   *pixels           `in:"pic,optional"`
	Map   map[string]point  `in:"map,optional" type:"POINTS"`
	Mixed any               `in:"mixed,optional" type:"INT,FLOAT"`
	L     nodebus.List[int] `in:"l,optional"`
}

type manyChoices string

func (manyChoices) Options() (all []string) {
	for i := range 30 {
		all = append(all, fmt.Sprint("opt", i))
	}
	return all
}

type pixels struct{ W, H int }

func (*pixels) PortType() string { return "PIXELS" }

type point struct{ X, Y int }

type typedOut struct {
	I int         `out:"i"`
	F float64     `out:"f"`
	S string      `out:"s"`
	C manyChoices `out:"c"`
	A any         `out:"a"`
	P *pixels     `out:"p"`
}

func (n typed) Run(*nodebus.Context) (typedOut, error) {
	return typedOut{I: n.I, F: n.F, S: n.S, A: n}, nil
}

// strict checks its inputs itself.
type strict struct {
	Mode string `in:"mode,unchecked" options:"ok,error,one,silent,panic"`
	N    int    `in:"n,unchecked" max:"3"`
	Link any    `in:"link,optional"`
}

func (n strict) Run(*nodebus.Context) (int, error) { return n.N, nil }

func (n strict) Validate() error {
	switch n.Mode {
	case "error":
		return errors.New("not today")
	case "one":
		return &nodebus.InputError{Input: "n", Err: errors.New("too odd")}
	case "silent":
		return errors.New("")
	case "panic":
		panic("validation blew up")
	}
	if n.Link != nil {
		return errors.New("a linked input is zero")
	}
	return nil
}

// linked looks at the types of its links.
type linked struct {
	A, B any `type:"INT"`
}

func (n linked) Run(*nodebus.Context) (any, error) { return n.A, nil }

func (n linked) ValidateLinks(types map[string]string) error {
	if types["a"] != types["b"] {
		return fmt.Errorf("%s and %s are not alike", types["a"], types["b"])
	}
	return nil
}

func validationRegistry() *nodebus.Registry {
	r := nodebus.NewRegistry()
	nodebus.Register(r, typed{}, nodebus.Info{Name: "Typed"})
	nodebus.Register(r, strict{}, nodebus.Info{Name: "Strict"})
	nodebus.Register(r, linked{}, nodebus.Info{Name: "Linked"})
	nodebus.Register(r, show{}, nodebus.Info{Name: "Show"})
	nodebus.Register(r, mAdd{}, nodebus.Info{Name: "Add"})
	return r
}

// validate returns what is wrong with a graph, which may be that some of it is.
func validate(t *testing.T, nodes nodebus.Nodes) (*nodebus.Prompt, *nodebus.ValidationError) {
	t.Helper()
	p := &nodebus.Prompt{Nodes: nodes}
	err := nodebus.Validate(validationRegistry(), p)
	if err == nil {
		return p, p.Rejected
	}
	var ve *nodebus.ValidationError
	require.ErrorAs(t, err, &ve)
	return p, ve
}

// typedWith is a graph of one Typed node with an input changed, and an output.
func typedWith(t *testing.T, change string) nodebus.Nodes {
	in := map[string]json.RawMessage{}
	require.NoError(t, json.Unmarshal([]byte(`{"i":1,"f":0.5,"s":"x","b":true,"c":"red"}`), &in))
	changed := map[string]json.RawMessage{}
	require.NoError(t, json.Unmarshal([]byte(change), &changed))
	maps.Copy(in, changed)
	for k, v := range in {
		if string(v) == `"(absent)"` {
			delete(in, k)
		}
	}
	enc, err := json.Marshal(in)
	require.NoError(t, err)
	return parse(t, `{"t":{"class_type":"Typed","inputs":`+string(enc)+`},"o":{"class_type":"Show","inputs":{"in":["t",0]}}}`)
}

// TestSection4Inputs: what is wrong with an input, to the letter.
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
		{`{"f":1.5}`, "value_bigger_than_max", "Value 1.5 bigger than max of 1.0", "f", `{"input_name":"f","input_config":` + f + `,"received_value":1.5}`},
		{`{"c":"pink"}`, "value_not_in_list", "Value not in list", "c: 'pink' not in ['red', 'green', 'blue']", `{"input_name":"c","input_config":` + c + `,"received_value":"pink"}`},
		{`{"c":3}`, "value_not_in_list", "Value not in list", "c: '3' not in ['red', 'green', 'blue']", `{"input_name":"c","input_config":` + c + `,"received_value":3}`},
		{`{"big":"zzz"}`, "value_not_in_list", "Value not in list", "big: 'zzz' not in (list of length 30)", `{"input_name":"big","input_config":null,"received_value":"zzz"}`},
		{`{"new":"z"}`, "value_not_in_list", "Value not in list", "new: 'z' not in ['x', 'y']", `{"input_name":"new","input_config":["COMBO",{"options":["x","y"]}],"received_value":"z"}`},
		{`{"i":99999999999999999999}`, "invalid_input_type", "Failed to convert an input value to a INT value", "i, 99999999999999999999, 99999999999999999999 does not fit in 64 bits", `{"input_name":"i","input_config":` + i + `,"received_value":99999999999999999999,"exception_message":"99999999999999999999 does not fit in 64 bits"}`},
		{`{"small":200}`, "invalid_input_type", "Failed to convert an input value to a INT value", "small, 200, needs a value of type int8, got int64 200", `{"input_name":"small","input_config":["INT",{}],"received_value":200,"exception_message":"needs a value of type int8, got int64 200"}`},
		{`{"u":-1}`, "invalid_input_type", "Failed to convert an input value to a INT value", "u, -1, needs a value of type uint64, got int64 -1", `{"input_name":"u","input_config":["INT",{}],"received_value":-1,"exception_message":"needs a value of type uint64, got int64 -1"}`},
		{`{"pic":"x"}`, "invalid_input_type", "Failed to convert an input value to a PIXELS value", "pic, x, needs a value of type *nodebus_test.pixels, got string \"x\"", `{"input_name":"pic","input_config":["PIXELS",{}],"received_value":"x","exception_message":"needs a value of type *nodebus_test.pixels, got string \"x\""}`},
	} {
		t.Run(tt.change, func(t *testing.T) {
			_, ve := validate(t, typedWith(t, tt.change))
			require.NotNil(t, ve)
			require.Equal(t, "prompt_outputs_failed_validation", ve.Type)
			require.Empty(t, ve.Details, "it tells of the outputs themselves")
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

// TestSection4Coercion: what is taken for what, and stands in the record.
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
		nodebus.Register(r.reg, typed{}, nodebus.Info{Name: "Typed"})
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
		ok    string // "" or the mismatch
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

// TestSection4Shapes: what is wrong with a graph as a whole.
func TestSection4Shapes(t *testing.T) {
	for _, c := range []struct{ name, api, typ, message, details string }{
		{"empty", `{}`, "prompt_no_outputs", "Prompt has no outputs", ""},
		{"no outputs", `{"1":{"class_type":"Add","inputs":{"a":1,"b":1}}}`, "prompt_no_outputs", "Prompt has no outputs", ""},
		{"unknown class", `{"7":{"class_type":"None","inputs":{}}}`, "invalid_prompt", "Cannot execute because node None does not exist.", "Node ID '#7'"},
		{"no class", `{"7":{"inputs":{}}}`, "invalid_prompt", "Cannot execute because a node is missing the class_type property.", "Node ID '#7'"},
		{"class is a number", `{"7":{"class_type":5,"inputs":{}}}`, "invalid_prompt", "Cannot execute because node 5 does not exist.", "Node ID '#7'"},
		{"no object", `{"7":5}`, "invalid_prompt", "Cannot execute because a node is not an object.", "Node ID '#7'"},
		{"inputs are no object", `{"7":{"class_type":"Show","inputs":[]}}`, "invalid_prompt", "Cannot execute because a node has inputs that are not an object.", "Node ID '#7'"},
		{"twice", `{"7":{"class_type":"Show","inputs":{}},"7":{"class_type":"Show","inputs":{}}}`, "invalid_prompt", "Cannot execute because a node appears twice.", "Node ID '#7'"},
		{"empty id", `{"":{"class_type":"Show","inputs":{}}}`, "invalid_prompt", "Cannot execute because a node has an empty id.", "Node ID '#'"},
		{"unneeded node without inputs", `{"o":{"class_type":"Show","inputs":{}},"7":{"class_type":"Add"}}`, "invalid_prompt", "Cannot execute because a node is missing the inputs property.", "Node ID '#7'"},
		{"output that fails", `{"o":{"class_type":"Show","inputs":{"in":["x",0]}}}`, "prompt_outputs_failed_validation", "Prompt outputs failed validation", "Exception when validating node: input in links to node 'x', which does not exist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, ve := validate(t, parse(t, c.api))
			require.NotNil(t, ve)
			require.Equal(t, c.typ, ve.Type)
			require.Equal(t, c.message, ve.Message)
			require.Equal(t, c.details, ve.Details)
		})
	}
}

func TestSection4BrokenLinksInside(t *testing.T) {
	for link, want := range map[string]string{
		`["99",0]`:  "input a links to node '99', which does not exist",
		`["o",0]`:   "input a links to output 0 of node 'o' (Show), which has 0",
		`["y",-1]`:  "input a links to ['y', -1], which is not [node id, output number]",
		`["y",1.5]`: "input a links to ['y', 1.5], which is not [node id, output number]",
		`[1,0]`:     "input a links to [1, 0], which is not [node id, output number]",
		`[null,{}]`: "input a links to [None, {}], which is not [node id, output number]",
	} {
		_, ve := validate(t, parse(t, `{"x":{"class_type":"Add","inputs":{"a":`+link+`,"b":1}},"y":{"class_type":"Add","inputs":{"a":1,"b":1}},"o":{"class_type":"Show","inputs":{"in":["x",0]}}}`))
		require.NotNil(t, ve, link)
		p := ve.Nodes["x"].Errors[0]
		require.Equal(t, "exception_during_inner_validation", p.Type)
		require.Equal(t, "Exception when validating inner node", p.Message)
		require.Equal(t, want, p.Details)
		require.Equal(t, "in", p.Extra["input_name"], "the input of the consumer")
		require.Equal(t, nodebus.Link{Node: "x", Slot: 0}, p.Extra["linked_node"])
	}
	_, ve := validate(t, parse(t, `{"o":{"class_type":"Show","inputs":{"undeclared":["99",0]}}}`))
	require.Equal(t, "input undeclared links to node '99', which does not exist", ve.Nodes["o"].Errors[0].Details)
}

func TestSection4Cycles(t *testing.T) {
	_, ve := validate(t, parse(t, `{"1":{"class_type":"Add","inputs":{"a":["2",0],"b":1}},"2":{"class_type":"Add","inputs":{"a":["3",0],"b":1}},
		"3":{"class_type":"Add","inputs":{"a":["1",0],"b":["4",0]}},"4":{"class_type":"Add","inputs":{"a":1,"b":1}},"o":{"class_type":"Show","inputs":{"in":["2",0]}}}`))
	require.Len(t, ve.Nodes, 3)
	for id, want := range map[string]string{"1": "1 (Add) -> 2 (Add) -> 3 (Add) -> 1 (Add)", "2": "2 (Add) -> 3 (Add) -> 1 (Add) -> 2 (Add)", "3": "3 (Add) -> 1 (Add) -> 2 (Add) -> 3 (Add)"} {
		p := ve.Nodes[id].Errors[0]
		require.Equal(t, "dependency_cycle", p.Type)
		require.Equal(t, "Dependency cycle detected", p.Message)
		require.Equal(t, want, p.Details)
		require.Equal(t, id, p.Extra["node_id"])
		require.Len(t, p.Extra["cycle_nodes"], 3)
		require.Equal(t, []string{"o"}, ve.Nodes[id].DependentOutputs)
	}
	_, ve = validate(t, parse(t, `{"o":{"class_type":"Show","inputs":{"in":["1",0]}},"1":{"class_type":"Add","inputs":{"a":["1",0],"b":1}}}`))
	require.Equal(t, "1 (Add) -> 1 (Add)", ve.Nodes["1"].Errors[0].Details)
}

func TestSection4LongCycleAndManyProblems(t *testing.T) {
	g := nodebus.NewGraph()
	const n = 50_000
	for i := range n { // a ring
		g.AddAs(fmt.Sprint(i), "Add", in{"a": nodebus.Link{Node: fmt.Sprint((i + 1) % n)}, "b": 1})
	}
	g.AddAs("o", "Show", in{"in": nodebus.Link{Node: "0"}})
	_, ve := validate(t, g.Nodes())
	require.Len(t, ve.Nodes, n)
	require.Less(t, len(ve.Nodes["7"].Errors[0].Details), 1000)

	g = nodebus.NewGraph() // many outputs that all fail because of many nodes
	at := g.AddAs("first", "Add", in{"a": "x", "b": 1})
	for range 3000 {
		at = g.Add("Add", in{"a": at, "b": "x"})
	}
	for range 3000 {
		g.Add("Show", in{"in": at})
	}
	_, ve = validate(t, g.Nodes())
	require.Len(t, ve.Nodes, 3001)
	require.Equal(t, "1", func() string { b, _ := json.Marshal(len(ve.Nodes["first"].Errors)); return string(b) }())
}

func TestSection4OwnValidators(t *testing.T) {
	strictWith := func(mode, n string) nodebus.Nodes {
		return parse(t, `{"s":{"class_type":"Strict","inputs":{"mode":"`+mode+`","n":`+n+`,"link":["a",0]}},"a":{"class_type":"Add","inputs":{"a":1,"b":1}},"o":{"class_type":"Show","inputs":{"in":["s",0]}}}`)
	}
	for _, c := range []struct {
		mode, n string
		want    []string
	}{
		{"ok", "1", nil},
		{"ok", "99", nil}, // it checks limits itself
		{"other", "1", nil},
		{"error", "1", []string{"mode - not today", "n - not today", "link - not today"}},
		{"one", "1", []string{"n - too odd"}},
		{"silent", "1", []string{"mode", "n", "link"}},
	} {
		_, ve := validate(t, strictWith(c.mode, c.n))
		if c.want == nil {
			require.Nil(t, ve, c.mode)
			continue
		}
		var got []string
		for _, p := range ve.Nodes["s"].Errors {
			require.Equal(t, "custom_validation_failed", p.Type)
			require.Equal(t, "Custom validation failed for node", p.Message)
			got = append(got, p.Details)
		}
		require.Equal(t, c.want, got)
	}
	_, ve := validate(t, strictWith("panic", "1"))
	require.Equal(t, "exception_during_inner_validation", ve.Nodes["s"].Errors[0].Type)
	require.Equal(t, "validation blew up", ve.Nodes["s"].Errors[0].Details)
	_, ve = validate(t, strictWith("ok", `"x"`))
	require.Equal(t, "invalid_input_type", ve.Nodes["s"].Errors[0].Type, "what cannot be set is not asked about")
}

func TestSection4LinkTypesForValidators(t *testing.T) {
	graph := func(slot int) nodebus.Nodes {
		src := typedWith(t, `{}`)[0]
		src.ID = "src"
		return append(parse(t, fmt.Sprintf(`{"l":{"class_type":"Linked","inputs":{"a":["src",2],"b":["src",%d]}},"o":{"class_type":"Show","inputs":{"in":["l",0]}}}`, slot)), src)
	}
	_, ve := validate(t, graph(2))
	require.Nil(t, ve, "a node that looks at types itself may be given others")
	_, ve = validate(t, graph(0))
	require.Equal(t, "a - STRING and INT are not alike", ve.Nodes["l"].Errors[0].Details)
}

func TestSection4PartlyValidAndPartialPrompts(t *testing.T) {
	api := `{"bad":{"class_type":"Add","inputs":{"a":"x","b":1}},"o1":{"class_type":"Show","inputs":{"in":["bad",0]}},
		"ok":{"class_type":"Add","inputs":{"a":"2","b":1}},"o2":{"class_type":"Show","inputs":{"in":["ok",0]}},"o3":{"class_type":"Show","inputs":{"in":["bad",0]}}}`
	p, ve := validate(t, parse(t, api))
	require.Equal(t, []string{"o2"}, p.Outputs, "the valid part runs")
	require.NotNil(t, p.Rejected)
	require.ElementsMatch(t, []string{"o1", "o3"}, ve.Nodes["bad"].DependentOutputs)
	for _, c := range []struct {
		targets, want []string
	}{
		{[]string{"o2"}, []string{"o2"}}, {[]string{"o2", "ok", "nobody"}, []string{"o2"}}, {[]string{}, nil}, {[]string{"ok"}, nil}, {[]string{"o1"}, nil},
	} {
		p := &nodebus.Prompt{Nodes: parse(t, api), Outputs: c.targets}
		err := nodebus.Validate(validationRegistry(), p)
		if c.want == nil {
			require.Error(t, err)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.want, p.Outputs)
		require.Nil(t, p.Rejected, "what is not asked for is not looked at")
	}
}

func TestValidationErrorIsTheWiresAnswer(t *testing.T) {
	_, ve := validate(t, typedWith(t, `{"i":11,"c":"pink"}`))
	require.EqualError(t, ve, "nodebus: Prompt outputs failed validation; node t (Typed): Value 11 bigger than max of 10: i; node t (Typed): Value not in list: c: 'pink' not in ['red', 'green', 'blue']")
	enc, err := json.Marshal(ve)
	require.NoError(t, err)
	var back nodebus.ValidationError
	require.NoError(t, json.Unmarshal(enc, &back))
	require.Equal(t, ve.Error(), back.Error())
	_, ve = validate(t, nil)
	enc, err = json.Marshal(ve)
	require.NoError(t, err)
	require.JSONEq(t, `{"error":{"type":"prompt_no_outputs","message":"Prompt has no outputs","details":"","extra_info":{}},"node_errors":{}}`, string(enc))
	require.EqualError(t, ve, "nodebus: Prompt has no outputs")
}

// FuzzPrompt: what is accepted runs, to an end of its own; what is not is
// refused. Nothing panics, and nothing fails inside the framework.
func FuzzPrompt(f *testing.F) {
	for _, api := range []string{
		`{"t":{"class_type":"Typed","inputs":{"i":1,"f":0.5,"s":"x","b":true,"c":"red"}},"o":{"class_type":"Show","inputs":{"in":["t",0]}}}`,
		`{"1":{"class_type":"Add","inputs":{"a":["2",0],"b":1}},"2":{"class_type":"Add","inputs":{"a":["1",0],"b":1}},"3":{"class_type":"Show","inputs":{"in":["2",0]}}}`,
		`{"o":{"class_type":"Show","inputs":{"in":["99",0],"x":{"__value__":[[]]}}}}`,
	} {
		f.Add([]byte(api))
	}
	reg := validationRegistry()
	local := nodebus.NewLocal(reg, &nodebus.LocalOptions{Workers: 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		nodes, err := nodebus.ParseNodes(data)
		var ve *nodebus.ValidationError
		if err != nil {
			require.ErrorAs(t, err, &ve)
			return
		}
		p := &nodebus.Prompt{ID: "p", Nodes: nodes}
		if err := nodebus.Validate(reg, p); err != nil {
			require.ErrorAs(t, err, &ve)
			_, err = json.Marshal(ve)
			require.NoError(t, err)
			return
		}
		hub := nodebus.NewHub(nil)
		_, err = local.Execute(t.Context(), p, hub)
		var ne *nodebus.NodeError
		if err != nil { // only for a value that does not fit what an input of any type was linked to
			require.ErrorAs(t, err, &ne)
			var ie *nodebus.InputError
			require.ErrorAs(t, err, &ie)
		}
		_, err = json.Marshal(p)
		require.NoError(t, err)
		require.NoError(t, hub.Close())
	})
}
