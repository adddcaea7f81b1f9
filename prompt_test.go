package nodebus_test

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/stretchr/testify/require"
)

func parseNodes(t *testing.T, graph string) nodebus.Nodes {
	nodes, err := nodebus.ParseNodes([]byte(graph))
	require.NoError(t, err)
	return nodes
}

func TestParseNodes(t *testing.T) {
	nodes := parseNodes(t, ` {
		"10": {"class_type": "Load", "inputs": {"path": "a.png", "seed": 18446744073709551615}, "_meta": {"title": "Load <it>"}},
		"9": {"class_type": "Blur", "inputs": {"amount": 0.50, "image": ["10", 1], "none": null, "on": true}, "is_changed": [1]},
		"a b": {"class_type": "Save", "inputs": {}}
	} `)
	require.Equal(t, nodebus.Nodes{
		{
			ID: "10", Class: "Load", Inputs: nodebus.Inputs{"path": "a.png", "seed": json.Number("18446744073709551615")},
			Meta: json.RawMessage(`{"title": "Load <it>"}`),
		},
		{
			ID: "9", Class: "Blur",
			Inputs: nodebus.Inputs{"image": nodebus.Link{Node: "10", Slot: 1}, "amount": json.Number("0.50"), "on": true, "none": nil},
			Extra:  map[string]json.RawMessage{"is_changed": json.RawMessage(`[1]`)},
		},
		{ID: "a b", Class: "Save", Inputs: nodebus.Inputs{}},
	}, nodes)
}

// TestParseNodesLinks checks that only a list of a string and a whole number becomes a
// link, and only directly as an input.
func TestParseNodesLinks(t *testing.T) {
	for _, c := range []struct {
		literal string
		want    any
	}{
		{`["1", 0]`, nodebus.Link{Node: "1"}},
		{`["12:3.0.0.x", 70]`, nodebus.Link{Node: "12:3.0.0.x", Slot: 70}},
		{`["", 0]`, nodebus.Link{}},
		{`[1, 0]`, []any{json.Number("1"), json.Number("0")}},
		{`["1", "0"]`, []any{"1", "0"}},
		{`["1", -1]`, []any{"1", json.Number("-1")}},
		{`["1", 1.5]`, []any{"1", json.Number("1.5")}},
		{`["1", 1e2]`, []any{"1", json.Number("1e2")}},
		{`["1", 99999999999999999999]`, []any{"1", json.Number("99999999999999999999")}},
		{`["1", true]`, []any{"1", true}},
		{`["1", null]`, []any{"1", nil}},
		{`["1"]`, []any{"1"}},
		{`["1", 0, 0]`, []any{"1", json.Number("0"), json.Number("0")}},
		{`[]`, []any{}},
		{`[["1", 0]]`, []any{[]any{"1", json.Number("0")}}},
		{`{"__value__": ["1", 0]}`, map[string]any{"__value__": []any{"1", json.Number("0")}}},
	} {
		nodes := parseNodes(t, `{"n":{"class_type":"C","inputs":{"x":`+c.literal+`}}}`)
		require.Equal(t, c.want, nodes[0].Inputs["x"], c.literal)
	}
}

// TestParseNodesNumbers checks that ParseNodes keeps all digits of a number, because
// only the node's declared type decides how the number is read.
func TestParseNodesNumbers(t *testing.T) {
	for _, n := range []string{
		"0", "-0", "18446744073709551615", "-9223372036854775808", "9007199254740993",
		"123456789012345678901234567890", "0.1", "1.0", "1e308", "3.141592653589793238462643",
	} {
		nodes := parseNodes(t, `{"n":{"class_type":"C","inputs":{"x":`+n+`,"deep":{"y":[`+n+`]}}}}`)
		require.Equal(t, json.Number(n), nodes[0].Inputs["x"])
		require.Equal(t, map[string]any{"y": []any{json.Number(n)}}, nodes[0].Inputs["deep"])
		out, err := json.Marshal(nodes)
		require.NoError(t, err)
		require.Contains(t, string(out), `"x":`+n+`,"deep":{"y":[`+n+`]}}`)
	}
}

// TestParseNodesNotFinite checks the numbers that JSON does not have, but Python writes, and
// the numbers that no float64 can hold.
func TestParseNodesNotFinite(t *testing.T) {
	for text, want := range map[string]float64{
		"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1), "1e400": math.Inf(1), "-1E999": math.Inf(-1),
		"1" + strings.Repeat("0", 400): math.Inf(1),
	} {
		nodes := parseNodes(t, `{"n":{"class_type":"C","inputs":{"x":`+text+`,"deep":{"NaN":["Infinity",`+text+`]}},"_meta":{"a":`+text+`,"b":1.50}}}`)
		x := nodes[0].Inputs["x"].(float64)
		deep := nodes[0].Inputs["deep"].(map[string]any)["NaN"].([]any)
		if math.IsNaN(want) {
			require.True(t, math.IsNaN(x) && math.IsNaN(deep[1].(float64)))
		} else {
			require.Equal(t, []float64{want, want}, []float64{x, deep[1].(float64)}, text)
		}
		require.Equal(t, "Infinity", deep[0])
		out, err := json.Marshal(nodes)
		require.NoError(t, err)
		require.JSONEq(t, `{"n":{"class_type":"C","inputs":{"x":null,"deep":{"NaN":["Infinity",null]}},"_meta":{"a":null,"b":1.50}}}`, string(out))
	}
	nodes := parseNodes(t, `{"n":{"class_type":"C","inputs":{"x":["m",NaN]}}}`)
	require.IsType(t, []any{}, nodes[0].Inputs["x"], "it is no link")
}

func TestParseNodesMalformed(t *testing.T) {
	for _, c := range []struct{ name, graph, says string }{
		{"nothing", ``, "unexpected end of JSON input"},
		{"blanks", "  \n", "unexpected end of JSON input"},
		{"null", `null`, "not a JSON object"},
		{"a list", `[{"class_type":"A"}]`, "not a JSON object"},
		{"a string", `"{}"`, "not a JSON object"},
		{"no JSON", `graph`, "invalid character"},
		{"cut off", `{"1":{"class_type":"A","inputs":{}`, "unexpected end of JSON input, at line 1, column 34"},
		{"cut off after a node", `{"1":{"class_type":"A","inputs":{}}`, "unexpected end of JSON input"},
		{"a comma too many", `{"1":{"class_type":"A"},}`, "invalid character"},
		{"a comma missing", `{"1":{"class_type":"A"} "2":{}}`, "invalid character"},
		{"a comma missing inside", `{"1":{"class_type":"A" "inputs":{}}}`, "invalid character"},
		{"a colon missing", `{"1" {}}`, "invalid character '{' after object key, at line 1, column 6"},
		{"a name that is no string", `{1:{}}`, "invalid character"},
		{"a word", `{"1":{"class_type":"A","inputs":{"x":Nan}}}`, "invalid character 'N'"},
		{"a longer word", `{"1":{"class_type":"A","inputs":{"x":NaNs}}}`, "invalid character 'N'"},
		{"a word behind a number", `{"1":{"class_type":"A","inputs":{"x":7NaN}}}`, "invalid character 'N' after object key:value pair"},
		{"a word before a number", `{"1":{"class_type":"A","inputs":{"x":NaN7}}}`, "invalid character 'N'"},
		{"a word with a sign", `{"1":{"class_type":"A","inputs":{"x":-NaN}}}`, "invalid character 'N' in numeric literal"},
		{"more after it", `{"1":{"class_type":"A"}} {}`, "more after the end"},
		{"a brace after it", `{}}`, "more after the end"},
		{"too deep", `{"1":{"class_type":"A","inputs":{"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}}}`, "exceeded max depth"},
	} {
		t.Run(c.name, func(t *testing.T) {
			nodes, err := nodebus.ParseNodes([]byte(c.graph))
			require.Nil(t, nodes)
			var invalid *nodebus.ValidationError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, "invalid_json", invalid.Type)
			require.Contains(t, invalid.Details, c.says)
			require.ErrorContains(t, err, c.says)
		})
	}
}

// idleNode is a node that does nothing.
type idleNode struct{}

func (idleNode) Run(*nodebus.Context) (nodebus.UI, error) { return nil, nil }

// TestParseNodesFaults checks that ParseNodes accepts JSON that is not a valid graph.
// Validation then reports the fault and names the node.
func TestParseNodesFaults(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, idleNode{}, nodebus.Info{Name: "Idle"})
	for _, c := range []struct{ name, graph, typ, message, details string }{
		{"a node that is a number", `{"1":5}`, "missing_node_type", "Node 'ID #1' has no class_type. The workflow may be corrupted or a custom node is missing.", "Node ID '#1'; the node is not an object"},
		{"a node that is null", `{"1":null}`, "missing_node_type", "Node 'ID #1' has no class_type. The workflow may be corrupted or a custom node is missing.", "Node ID '#1'; the node is not an object"},
		{"a node that is a list", `{"1":[{}]}`, "missing_node_type", "Node 'ID #1' has no class_type. The workflow may be corrupted or a custom node is missing.", "Node ID '#1'; the node is not an object"},
		{"inputs that are a list", `{"1":{"class_type":"Idle","inputs":[]}}`, "invalid_node", "Cannot execute because a node has inputs that are not an object.", "Node ID '#1'"},
		{"inputs that are null", `{"1":{"class_type":"Idle","inputs":null}}`, "invalid_node", "Cannot execute because a node has inputs that are not an object.", "Node ID '#1'"},
		{"an id twice", `{"7":{"class_type":"Idle","inputs":{}},"7":{"class_type":"Idle","inputs":{}}}`, "invalid_node", "Cannot execute because a node appears twice.", "Node ID '#7'"},
		{"an empty id", `{"":{"class_type":"Idle","inputs":{}}}`, "invalid_node", "Cannot execute because a node has an empty id.", "Node ID '#'"},
		{"no class", `{"3":{"inputs":{}}}`, "missing_node_type", "Node 'ID #3' has no class_type. The workflow may be corrupted or a custom node is missing.", "Node ID '#3'"},
		{"class null", `{"3":{"class_type":null,"inputs":{}}}`, "missing_node_type", "Node 'ID #3' has no class_type. The workflow may be corrupted or a custom node is missing.", "Node ID '#3'"},
		{"class a number", `{"3":{"class_type":5,"inputs":{}}}`, "missing_node_type", "Node '5' not found. The custom node may not be installed.", "Node ID '#3'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The fault must remain when the graph is stored and read again.
			stored, err := json.Marshal(parseNodes(t, c.graph))
			require.NoError(t, err)
			for _, graph := range []string{c.graph, string(stored)} {
				_, err := r.Prepare(context.Background(), &nodebus.Prompt{Nodes: parseNodes(t, graph)})
				var invalid *nodebus.ValidationError
				require.ErrorAs(t, err, &invalid)
				require.Equal(t, c.typ, invalid.Type)
				require.Equal(t, c.message, invalid.Message)
				require.Equal(t, c.details, invalid.Details)
			}
		})
	}
	missing := parseNodes(t, `{"1":{"class_type":"A"}}`)
	require.Nil(t, missing[0].Inputs)
	out, err := json.Marshal(missing)
	require.NoError(t, err)
	require.JSONEq(t, `{"1":{"class_type":"A"}}`, string(out), "inputs that are missing stay so")
}

func TestNodesMarshal(t *testing.T) {
	const graph = `{"b":{"class_type":"A","inputs":{"x":["a",2],"y":{"z":[1,2.50,null]}},"_meta":{"title":"T"}},"a":{"class_type":"B","inputs":{}}}`
	nodes := parseNodes(t, graph)
	out, err := json.Marshal(nodes)
	require.NoError(t, err)
	require.Equal(t, graph, string(out), "MarshalJSON must keep the order")

	var again nodebus.Nodes
	require.NoError(t, json.Unmarshal(out, &again))
	require.Equal(t, nodes, again)
	require.Error(t, json.Unmarshal([]byte(`[]`), &again))

	out, err = json.Marshal(nodebus.Nodes(nil))
	require.NoError(t, err)
	require.Equal(t, `{}`, string(out))

	_, err = json.Marshal(nodebus.Nodes{{ID: "5", Class: "A", Inputs: nodebus.Inputs{"x": make(chan int)}}})
	require.ErrorContains(t, err, `node "5": json: unsupported type: chan int`)
}

// TestParseNodesLarge checks that the parser is fast enough for large and deep graphs.
func TestParseNodesLarge(t *testing.T) {
	deep := strings.Repeat(`[`, 1000) + `"bottom"` + strings.Repeat(`]`, 1000)
	nodes := parseNodes(t, `{"1":{"class_type":"A","inputs":{"x":`+deep+`}}}`)
	out, err := json.Marshal(nodes)
	require.NoError(t, err)
	require.Contains(t, string(out), deep)

	literal := strings.Repeat("x", 10<<20)
	nodes = parseNodes(t, `{"1":{"class_type":"A","inputs":{"x":"`+literal+`"}}}`)
	require.Equal(t, nodebus.Nodes{{ID: "1", Class: "A", Inputs: nodebus.Inputs{"x": literal}}}, nodes)
}

// FuzzParseNodes checks that ParseNodes never panics, and that a graph is the same,
// including its faults, after it is written and read again.
func FuzzParseNodes(f *testing.F) {
	for _, graph := range []string{
		`{}`, `{"1":5}`, `{"1":{},"1":{}}`, `{"1":{"inputs":null}}`, ` { "a" : { "class_type" : 5 , "inputs" : { "x" : [ "b" , 0 ] } } } `,
		`{"10":{"class_type":"Load","inputs":{"seed":18446744073709551615,"f":1e400},"_meta":{"title":"<\u2028>"}}}`,
		`{"1":{"class_type":"A","inputs":{"x":{"__value__":["1",-0]}}},"2":{"_meta":null}}`,
		`{"1":{"inputs":{"b":1,"a":{"d":2,"c":3},"b":4},"z":[1e400],"class_type":"A","a":0},"2":{"a":NaN,"inputs":{"b":1,"a":2},"a":3}}`,
	} {
		f.Add([]byte(graph))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		nodes, err := nodebus.ParseNodes(data)
		if err != nil {
			var invalid *nodebus.ValidationError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, "invalid_json", invalid.Type)
			return
		}
		written, err := nodes.MarshalJSON()
		require.NoError(t, err)
		if !slices.ContainsFunc(nodes, func(n nodebus.NodeSpec) bool { return n.Malformed != "" }) {
			sameMembers(t, jsonenc.NoInfinities(jsonenc.Plain(data)), written)
		}
		again, err := nodebus.ParseNodes(written)
		require.NoError(t, err)
		require.Len(t, again, len(nodes))
		for i := range nodes { // spaces in the JSON may be lost
			require.Equal(t, nodes[i].Meta == nil, again[i].Meta == nil)
			if nodes[i].Meta != nil {
				require.Equal(t, readJSON(t, nodes[i].Meta), readJSON(t, again[i].Meta))
			}
			nodes[i].Meta = again[i].Meta
			require.Equal(t, nodes[i].InputNames(), again[i].InputNames())
			require.Len(t, again[i].Extra, len(nodes[i].Extra))
			for name := range nodes[i].Extra {
				require.Equal(t, readJSON(t, nodes[i].Extra[name]), readJSON(t, again[i].Extra[name]))
			}
			nodes[i].Extra = again[i].Extra
			for name, v := range nodes[i].Inputs { // JSON has no other form for them
				nodes[i].Inputs[name] = nullFloats(v)
			}
		}
		require.Equal(t, nodes, again)
	})
}

// nullFloats replaces floats with nil: ParseNodes makes a float only of what is not finite.
func nullFloats(v any) any {
	switch v := v.(type) {
	case float64:
		return nil
	case []any:
		for i := range v {
			v[i] = nullFloats(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = nullFloats(v[name])
		}
	}
	return v
}

func TestGraph(t *testing.T) {
	g := nodebus.NewGraph()
	require.Empty(t, g.Nodes())
	load := g.Add("Load", nil)
	require.Equal(t, nodebus.Link{Node: "1"}, load)
	require.Equal(t, nodebus.Link{Node: "1", Slot: 2}, load.At(2))
	require.Equal(t, nodebus.Link{Node: "1"}, load, "At must not change the link")
	end := g.Link("end") // the node is added later
	blur := g.AddAs("blur", "Blur", nodebus.Inputs{"image": load.At(1), "next": end})
	require.Equal(t, nodebus.Link{Node: "blur"}, blur)
	require.Equal(t, end, g.AddAs("end", "Save", nodebus.Inputs{"image": blur}))
	require.Equal(t, nodebus.Link{Node: "2"}, g.Add("Load", nil))
	require.Equal(t, nodebus.Nodes{
		{ID: "1", Class: "Load", Inputs: nodebus.Inputs{}},
		{ID: "blur", Class: "Blur", Inputs: nodebus.Inputs{"image": nodebus.Link{Node: "1", Slot: 1}, "next": nodebus.Link{Node: "end"}}},
		{ID: "end", Class: "Save", Inputs: nodebus.Inputs{"image": nodebus.Link{Node: "blur"}}},
		{ID: "2", Class: "Load", Inputs: nodebus.Inputs{}},
	}, g.Nodes())

	out, err := json.Marshal(g.Nodes())
	require.NoError(t, err)
	require.Equal(t, g.Nodes(), parseNodes(t, string(out)))
}

// TestContextGraph checks that the ids of all graphs that nodes make are different,
// also for different calls of a node.
func TestContextGraph(t *testing.T) {
	ctx := nodebus.NewContext(t.Context(), nodebus.CallInfo{Place: nodebus.Place{UniqueID: "5"}, Index: 1})
	require.Equal(t, nodebus.Link{Node: "5.1.0.1"}, ctx.NewGraph().Add("A", nil))
	g := ctx.NewGraph()
	require.Equal(t, nodebus.Link{Node: "5.1.1.x", Slot: 3}, g.Link("x").At(3))
	require.Equal(t, g.Link("x"), g.AddAs("x", "A", nil))
	require.Equal(t, "5.1.1.x", g.Nodes()[0].ID)
}

// TestPromptJSON checks that a prompt is the same after it is stored and read again.
func TestPromptJSON(t *testing.T) {
	p := nodebus.Prompt{
		ID: "p", ClientID: "me", Priority: -1.5, Nodes: parseNodes(t, `{"1":{"class_type":"A","inputs":{}}}`), Outputs: []string{"1"},
		Extra: map[string]any{"a": "b"},
	}
	out, err := json.Marshal(p)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"p","client_id":"me","priority":-1.5,"nodes":{"1":{"class_type":"A","inputs":{}}},"outputs":["1"],"extra":{"a":"b"},"created":"0001-01-01T00:00:00Z"}`, string(out))
	var again nodebus.Prompt
	require.NoError(t, json.Unmarshal(out, &again))
	require.Equal(t, p, again)
}
