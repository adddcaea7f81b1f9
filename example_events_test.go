package nodebus_test

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nodebus/nodebus"
)

// Ticked is a custom event. Any struct with a method EventType can be an event.
type Ticked struct {
	Node string `json:"node"`
	Step int    `json:"step"`
}

func (Ticked) EventType() string { return "example.ticked" }

// An event whose type is known only at run time is a Custom. If its data is a []byte,
// it is sent as a binary frame, which begins with the number.
func ExampleCustom() {
	for _, p := range []nodebus.Payload{
		Ticked{Node: "5", Step: 1},
		nodebus.Custom{Type: "example.ticked", Data: map[string]any{"node": "5", "step": 1}},
		nodebus.Custom{Type: "99", Data: []byte("abc")},
	} {
		f, err := nodebus.JSON.Encode(nodebus.Event{Broadcast: true, Payload: p})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%-14s %q\n", f.Type, f.Data)
	}
	// Output:
	// example.ticked "{\"type\":\"example.ticked\",\"data\":{\"node\":\"5\",\"step\":1}}"
	// example.ticked "{\"type\":\"example.ticked\",\"data\":{\"node\":\"5\",\"step\":1}}"
	// 99             "\x00\x00\x00cabc"
}

// Decode returns the standard events as their Go types. All other events are Custom,
// with data that is still JSON.
func ExampleJSONCodec() {
	codec := nodebus.JSONCodec{Envelope: true}
	for _, ev := range []nodebus.Event{
		{ID: 7, Epoch: "k3Zq", PromptID: "p", Payload: nodebus.Executing{UniqueID: "5", DisplayID: "5", PromptID: "p"}},
		{ID: 8, Epoch: "k3Zq", PromptID: "p", Payload: Ticked{Node: "5", Step: 1}},
		{ID: 9, Epoch: "k3Zq", PromptID: "p", Payload: nodebus.Custom{Type: "example.channel", Data: make(chan int)}},
	} {
		f, err := codec.Encode(ev)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%s\n", f.Data)
		got, err := codec.Decode(f)
		if err != nil {
			fmt.Println(err)
			continue
		}
		switch p := got.Payload.(type) {
		case nodebus.Executing:
			fmt.Println("event", got.Cursor(), "of prompt", got.PromptID, "is about node", p.UniqueID)
		case nodebus.Custom:
			var t Ticked
			err := json.Unmarshal(p.Data.(json.RawMessage), &t)
			fmt.Println("event", got.Cursor(), "of prompt", got.PromptID, "is", p.Type, t, err)
		}
	}
	// Output:
	// {"type":"executing","data":{"node":"5","display_node":"5","prompt_id":"p"},"cursor":"k3Zq-7","prompt_id":"p"}
	// event k3Zq-7 of prompt p is about node 5
	// {"type":"example.ticked","data":{"node":"5","step":1},"cursor":"k3Zq-8","prompt_id":"p"}
	// event k3Zq-8 of prompt p is example.ticked {5 1} <nil>
	// nodebus: cannot encode nodebus.Custom: json: unsupported type: chan int
}

// A client that stores the cursor of the last event can continue there after a break.
func ExampleParseCursor() {
	last := nodebus.Event{ID: 7, Epoch: "k3Zq"}.Cursor()
	fmt.Println("?since=" + last.String())

	since, err := nodebus.ParseCursor("k3Zq-7")
	fmt.Println(since.Epoch, since.ID, err)
	_, err = nodebus.ParseCursor("yesterday")
	fmt.Println(err)
	// Output:
	// ?since=k3Zq-7
	// k3Zq 7 <nil>
	// nodebus: "yesterday" is not a cursor; send the cursor of the last event, or an empty text
}

// ParseNodes reads a graph that ComfyUI has saved in the API format.
func ExampleParseNodes() {
	nodes, err := nodebus.ParseNodes([]byte(`{
		"4": {"class_type": "Load", "inputs": {"path": "cat.png"}},
		"2": {"class_type": "Blur", "inputs": {"image": ["4", 0], "seed": 18446744073709551615}}
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range nodes { // in the order of the file
		fmt.Println(n.ID, n.Class)
	}
	fmt.Printf("%T %v\n", nodes[1].Inputs["image"], nodes[1].Inputs["image"])
	fmt.Printf("%T %v\n", nodes[1].Inputs["seed"], nodes[1].Inputs["seed"])

	_, err = nodebus.ParseNodes([]byte(`["not", "a", "graph"]`))
	fmt.Println(err)
	// Output:
	// 4 Load
	// 2 Blur
	// nodebus.Link {4 0}
	// json.Number 18446744073709551615
	// nodebus: The prompt is not a JSON object of nodes: not a JSON object
}

// A program can make a graph in Go, to submit it or to save it.
func ExampleGraph() {
	g := nodebus.NewGraph()
	cat := g.Add("Load", nodebus.Inputs{"path": "cat.png"})
	blurred := g.Add("Blur", nodebus.Inputs{"image": cat, "mask": cat.At(1), "radius": 5})
	g.AddAs("save", "Save", nodebus.Inputs{"image": blurred})

	data, err := json.MarshalIndent(g.Nodes(), "", "  ")
	fmt.Println(string(data), err)
	// Output:
	// {
	//   "1": {
	//     "class_type": "Load",
	//     "inputs": {
	//       "path": "cat.png"
	//     }
	//   },
	//   "2": {
	//     "class_type": "Blur",
	//     "inputs": {
	//       "image": [
	//         "1",
	//         0
	//       ],
	//       "mask": [
	//         "1",
	//         1
	//       ],
	//       "radius": 5
	//     }
	//   },
	//   "save": {
	//     "class_type": "Save",
	//     "inputs": {
	//       "image": [
	//         "2",
	//         0
	//       ]
	//     }
	//   }
	// } <nil>
}

// A server that reads graphs of strangers limits their size.
func ExampleParseNodesWithin() {
	_, err := nodebus.ParseNodesWithin([]byte(`{
		"1": {"class_type": "Load", "inputs": {}},
		"2": {"class_type": "Show", "inputs": {"image": ["1", 0]}}
	}`), &nodebus.ParseOptions{Nodes: 1})
	var invalid *nodebus.ValidationError
	fmt.Println(errors.As(err, &invalid), invalid.Type)
	fmt.Println(err)
	// Output:
	// true prompt_too_large
	// nodebus: The prompt has too many nodes: more than 1 nodes; raise the limit, or split the prompt
}
