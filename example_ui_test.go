package nodebus_test

import (
	"fmt"

	"github.com/nodebus/nodebus"
)

// A node shows lists of values by name. Front ends know some names, such as text and
// images; a node may use other names, too.
func ExampleUI() {
	for _, ui := range []nodebus.UI{
		nodebus.Text("12 of 20", "not bad"),
		nodebus.Images(nodebus.File{Filename: "cat.png", Type: "output"}),
		{"scores": {12, 20}},
	} {
		f, err := nodebus.JSON.Encode(nodebus.Event{Broadcast: true, Payload: nodebus.Executed{Place: nodebus.Place{UniqueID: "7", DisplayID: "7"}, Output: ui, PromptID: "p"}})
		fmt.Printf("%s %v\n", f.Data, err)
	}
	// Output:
	// {"type":"executed","data":{"node":"7","display_node":"7","output":{"text":["12 of 20","not bad"]},"prompt_id":"p"}} <nil>
	// {"type":"executed","data":{"node":"7","display_node":"7","output":{"images":[{"filename":"cat.png","subfolder":"","type":"output"}]},"prompt_id":"p"}} <nil>
	// {"type":"executed","data":{"node":"7","display_node":"7","output":{"scores":[12,20]},"prompt_id":"p"}} <nil>
}
