package flow_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Execution semantics, sections 4 and 5: graphs that are invalid as a whole or in
// part.

// TestSection4Shapes checks the errors about a graph as a whole.
func TestSection4Shapes(t *testing.T) {
	for _, c := range []struct{ name, api, typ, message, details string }{
		{"empty", `{}`, "prompt_no_outputs", "Prompt has no outputs", ""},
		{"no outputs", `{"1":{"class_type":"Add","inputs":{"a":1,"b":1}}}`, "prompt_no_outputs", "Prompt has no outputs", ""},
		{"unknown class", `{"7":{"class_type":"None","inputs":{}}}`, "missing_node_type", "Node 'None' not found. The custom node may not be installed.", "Node ID '#7'"},
		{"no class", `{"7":{"inputs":{}}}`, "missing_node_type", "Node 'ID #7' has no class_type. The workflow may be corrupted or a custom node is missing.", "Node ID '#7'"},
		{"class is a number", `{"7":{"class_type":5,"inputs":{}}}`, "missing_node_type", "Node '5' not found. The custom node may not be installed.", "Node ID '#7'"},
		{"no object", `{"7":5}`, "missing_node_type", "Node 'ID #7' has no class_type. The workflow may be corrupted or a custom node is missing.", "Node ID '#7'; the node is not an object"},
		{"inputs are no object", `{"7":{"class_type":"Show","inputs":[]}}`, "invalid_node", "Cannot execute because a node has inputs that are not an object.", "Node ID '#7'"},
		{"twice", `{"7":{"class_type":"Show","inputs":{}},"7":{"class_type":"Show","inputs":{}}}`, "invalid_node", "Cannot execute because a node appears twice.", "Node ID '#7'"},
		{"empty id", `{"":{"class_type":"Show","inputs":{}}}`, "invalid_node", "Cannot execute because a node has an empty id.", "Node ID '#'"},
		{"unneeded node without inputs", `{"o":{"class_type":"Show","inputs":{}},"7":{"class_type":"Add"}}`, "invalid_node", "Cannot execute because a node is missing the inputs property.", "Node ID '#7'"},
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
	for i := range n { // one long cycle
		g.AddAs(fmt.Sprint(i), "Add", in{"a": nodebus.Link{Node: fmt.Sprint((i + 1) % n)}, "b": 1})
	}
	g.AddAs("o", "Show", in{"in": nodebus.Link{Node: "0"}})
	_, ve := validate(t, g.Nodes())
	require.Len(t, ve.Nodes, 1000)
	require.Equal(t, n-1000, ve.Extra["more_nodes"])
	require.Less(t, len(ve.Nodes["7"].Errors[0].Details), 1000)

	g = nodebus.NewGraph() // many outputs that all fail because of many nodes
	at := g.AddAs("first", "Add", in{"a": "x", "b": 1})
	for range 900 {
		at = g.Add("Add", in{"a": at, "b": "x"})
	}
	for range 3000 {
		g.Add("Show", in{"in": at})
	}
	_, ve = validate(t, g.Nodes())
	require.Len(t, ve.Nodes, 901)
	require.NotContains(t, ve.Extra, "more_nodes")
	require.Equal(t, "1", func() string { b, _ := json.Marshal(len(ve.Nodes["first"].Errors)); return string(b) }())
}

func TestSection4PartlyValidAndPartialPrompts(t *testing.T) {
	api := `{"bad":{"class_type":"Add","inputs":{"a":"x","b":1}},"o1":{"class_type":"Show","inputs":{"in":["bad",0]}},
		"ok":{"class_type":"Add","inputs":{"a":"2","b":1}},"o2":{"class_type":"Show","inputs":{"in":["ok",0]}},"o3":{"class_type":"Show","inputs":{"in":["bad",0]}}}`
	p, ve := validate(t, parse(t, api))
	require.Equal(t, []string{"o2"}, p.Outputs, "the valid outputs run")
	require.NotNil(t, ve)
	require.ElementsMatch(t, []string{"o1", "o3"}, ve.Nodes["bad"].DependentOutputs)
	for _, c := range []struct {
		targets, want []string
	}{
		{[]string{"o2"}, []string{"o2"}}, {[]string{"o2", "ok", "nobody"}, []string{"o2"}}, {[]string{}, nil}, {[]string{"ok"}, nil}, {[]string{"o1"}, nil},
	} {
		p := &nodebus.Prompt{Nodes: parse(t, api), Outputs: c.targets}
		err := prepare(validationRegistry(), p)
		if c.want == nil {
			require.Error(t, err)
			continue
		}
		require.NoError(t, err, "outputs that are not requested are not checked")
		require.Equal(t, c.want, p.Outputs)
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

// FuzzPrompt checks that any input is either refused with a ValidationError or runs
// to its end. The only error of a run is a value that does not fit the input of a
// node. Nothing panics.
func FuzzPrompt(f *testing.F) {
	for _, api := range []string{
		`{"t":{"class_type":"Typed","inputs":{"i":1,"f":0.5,"s":"x","b":true,"c":"red"}},"o":{"class_type":"Show","inputs":{"in":["t",0]}}}`,
		`{"1":{"class_type":"Add","inputs":{"a":["2",0],"b":1}},"2":{"class_type":"Add","inputs":{"a":["1",0],"b":1}},"3":{"class_type":"Show","inputs":{"in":["2",0]}}}`,
		`{"o":{"class_type":"Show","inputs":{"in":["99",0],"x":{"__value__":[[]]}}}}`,
	} {
		f.Add([]byte(api))
	}
	reg := validationRegistry()
	local := flow.NewLocal(reg, &flow.LocalOptions{Workers: 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		nodes, err := nodebus.ParseNodes(data)
		var ve *nodebus.ValidationError
		if err != nil {
			require.ErrorAs(t, err, &ve)
			return
		}
		p := &nodebus.Prompt{ID: "p", Nodes: nodes}
		if err := prepare(reg, p); err != nil {
			require.ErrorAs(t, err, &ve)
			_, err = json.Marshal(ve)
			require.NoError(t, err)
			return
		}
		hub := nodebus.NewHub(nil)
		_, err = execute(local, t.Context(), p, hub)
		var ne *nodebus.NodeError
		if err != nil { // only for a value that does not fit an input, linked from an output of any type
			require.ErrorAs(t, err, &ne)
			var ie *nodebus.InputError
			require.ErrorAs(t, err, &ie)
		}
		_, err = json.Marshal(p)
		require.NoError(t, err)
		require.NoError(t, hub.Close())
	})
}
