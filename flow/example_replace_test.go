package flow_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Paste puts a text into another text.
type Paste struct {
	Text  string
	Into  string
	Times int `default:"1"`
}

func (n Paste) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(fmt.Sprintf(n.Into, n.Text, n.Times)), nil
}

// Workflows that users have saved contain the class JoinTexts, which the program no longer
// has. They run as before, because Replace says what has become of the class and its inputs.
func ExampleRegistry_AddReplacement() {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, Paste{}, nodebus.Info{})
	err := registry.AddReplacement(flow.Replacement{
		Old: "JoinTexts", New: "Paste",
		Inputs: []flow.ReplacedInput{
			{Old: "text1", New: "text"},
			{Old: "text2", New: "into"},
			{New: "times", Value: 2},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	saved, err := nodebus.ParseNodes([]byte(`{"1": {"class_type": "JoinTexts", "inputs": {"text1": "word", "text2": "one %s, %d times"}}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	outcome, err := flow.Do(context.Background(), flow.NewEngine(registry, hub, nil), &nodebus.Prompt{Nodes: saved})
	fmt.Println(outcome.Output("1"), err)
	// Output: map[text:[one word, 2 times]] <nil>
}
