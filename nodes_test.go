package nodebus_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// rewritten returns the JSON of a graph after it was read and written twice, the second
// time as a part of a prompt.
func rewritten(t *testing.T, graph string) string {
	once, err := json.Marshal(parseNodes(t, graph))
	require.NoError(t, err)
	stored, err := json.Marshal(nodebus.Prompt{Nodes: parseNodes(t, string(once))})
	require.NoError(t, err)
	var p nodebus.Prompt
	require.NoError(t, json.Unmarshal(stored, &p))
	twice, err := json.Marshal(p.Nodes)
	require.NoError(t, err)
	require.Equal(t, string(once), string(twice))
	return string(once)
}

// TestNodesKeepOrder checks that a graph is written as it was read: members and inputs
// have the same order, and unknown members are there.
func TestNodesKeepOrder(t *testing.T) {
	for name, graph := range map[string]string{
		"usual":             `{"1":{"class_type":"A","inputs":{"a":1,"b":2},"_meta":{"title":"T"}}}`,
		"the editor's":      `{"1":{"inputs":{"seed":5,"model":["4",0],"cfg":8},"class_type":"A","_meta":{"title":"T"}}}`,
		"meta first":        `{"1":{"_meta":{"b":1,"a":2},"class_type":"A","inputs":{}}}`,
		"inputs only":       `{"1":{"inputs":{"b":1,"a":2}}}`,
		"nothing":           `{"1":{}}`,
		"unknown, between":  `{"1":{"pos":[3,4.50],"inputs":{},"is_changed":{"z":1,"a":[true,null]},"class_type":"A","disabled":false,"_meta":{}}}`,
		"unknown, behind":   `{"1":{"class_type":"A","inputs":{},"z":"<>","a":null}}`,
		"unknown, sorted":   `{"1":{"class_type":"A","inputs":{},"_meta":{},"a":null,"z":""}}`,
		"unknown, only":     `{"1":{"":0}}`,
		"nodes of one kind": `{"1":{"inputs":{"b":1,"a":2},"class_type":"A"},"2":{"inputs":{"b":3,"a":4},"class_type":"A"},"0":{"inputs":{"b":5,"a":6},"class_type":"A"}}`,
		"nodes that differ": `{"1":{"inputs":{"b":1,"a":2},"class_type":"A"},"2":{"inputs":{"a":3,"b":4},"class_type":"A"},"3":{"class_type":"A","inputs":{"b":5,"a":6}},"4":{"class_type":"A","inputs":{"a":7}},"5":{"inputs":{"b":8,"a":9,"c":0},"class_type":"A"}}`,
		"odd names":         `{"1":{"inputs":{"z\"]}":{"[":[{"x":2}],"q":1},"ü":"}","":1,"a\\":2,"\n":3},"class_type":"A","\"":4}}`,
		"names of members":  `{"1":{"inputs":{"inputs":{"class_type":1},"class_type":2,"_meta":3},"class_type":"A"}}`,
		"flat keys":         `{"1":{"class_type":"A","inputs":{"images.image1":["2",0],"mode.steps":3,"mode":"fine","images.image0":["3",0]}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			graph = strings.ReplaceAll(strings.ReplaceAll(graph, "<", `\u003c`), ">", `\u003e`)
			require.Equal(t, graph, rewritten(t, graph))
		})
	}
}

// TestNodesRepeatedMembers checks members that JSON repeats: the last value counts, at the
// place of the first, as in Python.
func TestNodesRepeatedMembers(t *testing.T) {
	for graph, want := range map[string]string{
		`{"1":{"class_type":"A","inputs":{"b":1,"a":2,"b":3}}}`:                     `{"1":{"class_type":"A","inputs":{"b":3,"a":2}}}`,
		`{"1":{"class_type":"A","inputs":{"a":1,"b":2,"a":3}}}`:                     `{"1":{"class_type":"A","inputs":{"a":3,"b":2}}}`,
		`{"1":{"class_type":"A","inputs":{"a":1,"\u0061":2}}}`:                      `{"1":{"class_type":"A","inputs":{"a":2}}}`,
		`{"1":{"inputs":{"a":1},"class_type":"A","inputs":{"c":3,"b":2}}}`:          `{"1":{"inputs":{"c":3,"b":2},"class_type":"A"}}`,
		`{"1":{"inputs":[],"class_type":"A","inputs":{}}}`:                          `{"1":{"inputs":{},"class_type":"A"}}`,
		`{"1":{"inputs":{"a":1},"class_type":"A","inputs":7}}`:                      `{"1":{"inputs":null,"class_type":"A"}}`,
		`{"1":{"class_type":"A","inputs":{},"class_type":"B"}}`:                     `{"1":{"class_type":"B","inputs":{}}}`,
		`{"1":{"class_type":"A","inputs":{},"class_type":null}}`:                    `{"1":{"class_type":"","inputs":{}}}`,
		`{"1":{"z":1,"class_type":"A","inputs":{},"a":2,"z":[3]}}`:                  `{"1":{"z":[3],"class_type":"A","inputs":{},"a":2}}`,
		`{"1":{"_meta":{"a":1},"class_type":"A","inputs":{},"_meta":{"b":{ } } } }`: `{"1":{"_meta":{"b":{}},"class_type":"A","inputs":{}}}`,
	} {
		require.Equal(t, want, rewritten(t, graph), graph)
	}
}

// TestNodesUnreadableNumbers checks numbers that no float64 can hold, in what nothing uses.
func TestNodesUnreadableNumbers(t *testing.T) {
	graph := `{"1":{"class_type":"A","z":{"z":[1e400,-0.50,NaN],"a":"1e400"},"inputs":{},"y":-Infinity,"_meta":{"b":1e999,"a":1}}}`
	want := `{"1":{"class_type":"A","z":{"z":[null,-0.50,null],"a":"1e400"},"inputs":{},"y":null,"_meta":{"b":null,"a":1}}}`
	require.Equal(t, want, rewritten(t, graph))
}

func TestInputNames(t *testing.T) {
	nodes := parseNodes(t, `{"1":{"class_type":"A","inputs":{"c":1,"a":2,"b":3}},"2":{"class_type":"A","inputs":{"c":1,"a":2,"b":3}}}`)
	n, other := nodes[0], &nodes[1]
	require.Equal(t, []string{"c", "a", "b"}, n.InputNames())
	n.InputNames()[0] = "changed"
	require.Equal(t, []string{"c", "a", "b"}, n.InputNames(), "the result belongs to the caller")

	n.Inputs = maps.Clone(n.Inputs)
	n.Inputs["a"] = "another value"
	require.Equal(t, []string{"c", "a", "b"}, n.InputNames(), "a changed value keeps its place")
	n.Inputs["z"], n.Inputs["0"] = 1, 2
	require.Equal(t, []string{"c", "a", "b", "0", "z"}, n.InputNames())
	delete(n.Inputs, "a")
	require.Equal(t, []string{"c", "b", "0", "z"}, n.InputNames())
	n.OrderInputs("z", "b", "none", "z")
	require.Equal(t, []string{"z", "b", "0", "c"}, n.InputNames())
	require.Equal(t, []string{"c", "a", "b"}, other.InputNames(), "other nodes do not change")

	made := nodebus.NodeSpec{ID: "1", Class: "A", Inputs: nodebus.Inputs{"b": 1, "a": nodebus.Link{Node: "x", Slot: 2}}}
	require.Equal(t, []string{"a", "b"}, made.InputNames())
	require.Empty(t, (&nodebus.NodeSpec{}).InputNames())
	made.Extra = map[string]json.RawMessage{"z": json.RawMessage("1"), "a": json.RawMessage(`[ 2 ]`), "inputs": json.RawMessage("3")}
	made.OrderInputs("b")
	out, err := json.Marshal(nodebus.Nodes{made})
	require.NoError(t, err)
	require.Equal(t, `{"1":{"class_type":"A","inputs":{"b":1,"a":["x",2]},"a":[2],"z":1}}`, string(out))
	made.Extra["z"] = json.RawMessage("{")
	_, err = json.Marshal(nodebus.Nodes{made})
	require.ErrorContains(t, err, `node "1"`)
}

// TestExtraMembersChange checks that members that are added to a node that was read come
// behind the members that were sent.
func TestExtraMembersChange(t *testing.T) {
	nodes := parseNodes(t, `{"1":{"z":1,"inputs":{},"y":2,"class_type":"A"}}`)
	delete(nodes[0].Extra, "z")
	nodes[0].Extra["b"], nodes[0].Extra["a"] = json.RawMessage("3"), json.RawMessage("4")
	nodes[0].Meta = json.RawMessage(`{}`)
	out, err := json.Marshal(nodes)
	require.NoError(t, err)
	require.Equal(t, `{"1":{"inputs":{},"y":2,"class_type":"A","_meta":{},"a":4,"b":3}}`, string(out))
}

// TestParseNodesEstimate checks that the limit on memory counts the orders and the unknown
// members: a graph is refused that keeps half as much again as the limit.
func TestParseNodesEstimate(t *testing.T) {
	list := func(n int, f func(i int) string) string {
		var all []string
		for i := range n {
			all = append(all, f(i))
		}
		return "{" + strings.Join(all, ",") + "}"
	}
	members := func(node, n int) string { // no two nodes have the same order
		text := list(n, func(i int) string { return fmt.Sprintf(`"%c%d":true`, 'a'+(node+i*7)%26, n-i) })
		return text[1 : len(text)-1]
	}
	for name, graph := range map[string]string{
		"nodes without members": list(20_000, func(i int) string { return fmt.Sprintf(`"%d":{}`, i) }),
		"two inputs":            list(20_000, func(i int) string { return fmt.Sprintf(`"%d":{"class_type":"%d","inputs":{"b":true,"a":true}}`, i, i) }),
		"eight inputs":          list(5_000, func(i int) string { return fmt.Sprintf(`"%d":{"class_type":"%d","inputs":{%s}}`, i, i, members(i, 8)) }),
		"many inputs": list(500, func(i int) string {
			return fmt.Sprintf(`"%d":{"class_type":"%d","inputs":{%s}}`, i, i, members(i, 100))
		}),
		"an unknown member":    list(20_000, func(i int) string { return fmt.Sprintf(`"%d":{"":0}`, i) }),
		"nine unknown members": list(5_000, func(i int) string { return fmt.Sprintf(`"%d":{%s}`, i, members(i, 9)) }),
		"many unknown members": list(500, func(i int) string { return fmt.Sprintf(`"%d":{%s}`, i, members(i, 100)) }),
		"one large node":       `{"1":{"inputs":{` + members(1, 50_000) + `},` + members(2, 50_000) + `}}`,
	} {
		t.Run(name, func(t *testing.T) {
			kept := keptBy(t, []byte(graph))
			_, err := nodebus.ParseNodesWithin([]byte(graph), &nodebus.ParseOptions{Bytes: kept * 2 / 3})
			require.Equal(t, "The prompt needs too much memory", tooLarge(t, err).Message)
			_, err = nodebus.ParseNodesWithin([]byte(graph), &nodebus.ParseOptions{Bytes: 4 * kept})
			require.NoError(t, err)
		})
	}
}

// membersOf reads the members of an object in order. A name that is there already keeps its
// place.
func membersOf(t *testing.T, text []byte) (names []string, values map[string]json.RawMessage) {
	values = map[string]json.RawMessage{}
	dec := json.NewDecoder(strings.NewReader(string(text)))
	start, err := dec.Token()
	require.NoError(t, err)
	require.Equal(t, json.Delim('{'), start)
	for dec.More() {
		name, err := dec.Token()
		require.NoError(t, err)
		if _, twice := values[name.(string)]; !twice {
			names = append(names, name.(string))
		}
		var value json.RawMessage
		require.NoError(t, dec.Decode(&value))
		values[name.(string)] = value
	}
	_, err = dec.Token()
	require.NoError(t, err)
	_, err = dec.Token()
	require.Equal(t, io.EOF, err)
	return names, values
}

// sameMembers checks that written has the members and the inputs of sent, in the same
// order. Both are graphs of valid nodes.
func sameMembers(t *testing.T, sent, written []byte) {
	ids, nodes := membersOf(t, sent)
	again, after := membersOf(t, written)
	require.Equal(t, ids, again)
	for _, id := range ids {
		members, values := membersOf(t, nodes[id])
		gotMembers, gotValues := membersOf(t, after[id])
		require.Equal(t, members, gotMembers, "%s", nodes[id])
		for name, value := range values {
			switch {
			case name == "inputs":
				inputs, _ := membersOf(t, value)
				got, _ := membersOf(t, gotValues[name])
				require.Equal(t, inputs, got, "%s", value)
			case name != "class_type":
				require.Equal(t, readJSON(t, value), readJSON(t, gotValues[name]))
			}
		}
	}
}
