package fold_test

import (
	"encoding/json"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/fold"
)

// A reader of events keeps the state of a run. Here the events are literal; a program
// receives them from Hub.Subscribe, from nodebus.On, or from a client.
func ExampleRun_Apply() {
	var run fold.Run
	for _, p := range []nodebus.Payload{
		nodebus.ExecutionStart{PromptID: "p"},
		nodebus.Executing{UniqueID: "7", DisplayID: "7", PromptID: "p"},
		nodebus.Progress{Value: 3, Max: 20, PromptID: "p", UniqueID: "7"},
	} {
		run.Apply(nodebus.Event{PromptID: "p", Payload: p})
	}
	fmt.Println(run.State)
	for n := range run.All() {
		fmt.Println(n.UniqueID, n.State, n.Value, "of", n.Max)
	}
	// Output:
	// running
	// 7 running 3 of 20
}

// A snapshot is the JSON of a run. A reader that has it needs only the later events.
func ExampleRun_snapshot() {
	var run fold.Run
	run.Apply(nodebus.Event{PromptID: "p", Payload: nodebus.Executing{UniqueID: "7", PromptID: "p"}})
	snapshot, err := json.Marshal(run)
	if err != nil {
		fmt.Println(err)
		return
	}

	var later fold.Run
	if err := json.Unmarshal(snapshot, &later); err != nil {
		fmt.Println(err)
		return
	}
	later.Apply(nodebus.Event{PromptID: "p", Payload: nodebus.ExecutionSuccess{PromptID: "p"}})
	fmt.Println(later.State, later.Nodes["7"].State)
	// Output: success finished
}
