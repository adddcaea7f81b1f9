package nodebus_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Words gives a list, whose elements go on one by one.
type Words struct{ Text string }

// Run cuts a text into words.
func (n Words) Run(*nodebus.Context) (nodebus.List[string], error) {
	return strings.Fields(n.Text), nil
}

// Capital takes one word, and is called for each that there is.
type Capital struct{ Word string }

// Run begins the word with a capital.
func (n Capital) Run(ctx *nodebus.Context) (string, error) {
	return fmt.Sprint(ctx.Index(), ":", strings.ToUpper(n.Word[:1]), n.Word[1:]), nil
}

// Join takes the whole list, and is called once.
type Join struct {
	Words nodebus.List[string]
	With  string `default:" "`
}

// Run joins the words.
func (n Join) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(strings.Join(n.Words, n.With)), nil
}

// Only the types say which node is called for each element, and which once.
func ExampleList() {
	r := flow.NewRegistry()
	flow.Register(r, Words{}, nodebus.Info{})
	flow.Register(r, Capital{}, nodebus.Info{})
	flow.Register(r, Join{}, nodebus.Info{})

	g := nodebus.NewGraph()
	words := g.Add("Words", nodebus.Inputs{"text": "so much depends"})
	g.AddAs("all", "Join", nodebus.Inputs{"words": g.Add("Capital", nodebus.Inputs{"word": words}), "with": ", "})
	outcome, err := flow.Do(context.Background(), flow.NewEngine(r, nodebus.NewHub(nil), nil), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
	fmt.Println(outcome.Output("all"), err)
	// Output:
	// map[text:[0:So, 1:Much, 2:Depends]] <nil>
}
