package nodetest_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/nodetest"
)

// A stand-in makes it possible to check a workflow of another server, and to run it without
// that server. info is what the server has answered at /object_info.
func ExampleStubs() {
	info := []byte(`{
		"LoadImage": {"input": {"required": {"image": [["cat.png", "dog.png"], {"image_upload": true}]}}, "output": ["IMAGE", "MASK"]},
		"SaveImage": {"input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {}]}}, "output": [], "output_node": true}
	}`)
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	if err := nodetest.Stubs(registry, info, nil); err != nil {
		panic(err)
	}
	engine := flow.NewEngine(registry, hub, nil)
	for _, workflow := range []string{
		`{"1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}}, "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}}`,
		`{"1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}}, "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 1], "filename_prefix": "x"}}}`,
	} {
		nodes, err := nodebus.ParseNodes([]byte(workflow))
		if err != nil {
			panic(err)
		}
		outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: nodes})
		fmt.Println(outcome.Output("2")["text"], err)
	}
	_ = hub.Close()
	// Output:
	// [stand-in for SaveImage] <nil>
	// [] nodebus: Prompt outputs failed validation; node 2 (SaveImage): Return type mismatch between linked nodes: images, received_type(MASK) mismatch input_type(IMAGE)
}

// Stub makes a stand-in for one class, for example for the test of a node that makes others.
func ExampleStub() {
	class, err := nodetest.Stub("Blur", []byte(`{"input": {"required": {"image": ["IMAGE"], "radius": ["INT", {"min": 1}]}}, "output": ["IMAGE"]}`), nil)
	if err != nil {
		panic(err)
	}
	res, err := class.Call(nodebus.NewContext(context.Background(), nodebus.CallInfo{}), nodebus.Inputs{"image": "any value", "radius": 3})
	fmt.Println(res.Outputs, err)
	// Output: [Blur.IMAGE] <nil>
}
