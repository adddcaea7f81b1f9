package nodebus_test

import (
	"encoding/json"
	"fmt"

	"github.com/nodebus/nodebus"
)

// A graph that was read is written again as it was: other programs may rely on the order
// of the inputs, and on what they keep beside them.
func ExampleNodeSpec_InputNames() {
	nodes, err := nodebus.ParseNodes([]byte(`{"3": {"pos": [10, 20], "inputs": {"steps": 20, "cfg": 8}, "class_type": "Sampler"}}`))
	if err != nil {
		panic(err)
	}
	node := &nodes[0]
	fmt.Println(node.InputNames(), string(node.Extra["pos"]))

	node.Inputs["added"] = true
	text, err := json.Marshal(nodes)
	fmt.Println(string(text), err)
	// Output:
	// [steps cfg] [10, 20]
	// {"3":{"pos":[10,20],"inputs":{"steps":20,"cfg":8,"added":true},"class_type":"Sampler"}} <nil>
}

// A program that makes a node in Go may give its inputs an order.
func ExampleNodeSpec_OrderInputs() {
	g := nodebus.NewGraph()
	g.Add("Concat", nodebus.Inputs{"first": "a", "second": "b", "last": "c"})
	node := &g.Nodes()[0]
	fmt.Println(node.InputNames())
	node.OrderInputs("first", "second")
	fmt.Println(node.InputNames())
	// Output:
	// [first last second]
	// [first second last]
}
