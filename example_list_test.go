package nodebus_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Words returns a list. Its elements are passed on one by one.
type Words struct{ Text string }

// Run splits a text into words.
func (n Words) Run(*nodebus.Context) (nodebus.List[string], error) {
	return strings.Fields(n.Text), nil
}

// Capital has one word as its input. It is called once for each word.
type Capital struct{ Word string }

// Run writes the first letter of the word as a capital letter.
func (n Capital) Run(ctx *nodebus.Context) (string, error) {
	return fmt.Sprint(ctx.Index(), ":", strings.ToUpper(n.Word[:1]), n.Word[1:]), nil
}

// Join has the whole list as its input. It is called once.
type Join struct {
	Words nodebus.List[string]
	With  string `default:" "`
}

// Run joins the words.
func (n Join) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(strings.Join(n.Words, n.With)), nil
}

// The types of the inputs decide whether a node is called once or once for each
// element.
func ExampleList() {
	r := flow.NewRegistry()
	flow.Register(r, Words{}, nodebus.Info{})
	flow.Register(r, Capital{}, nodebus.Info{})
	flow.Register(r, Join{}, nodebus.Info{})

	g := nodebus.NewGraph()
	words := g.Add("Words", nodebus.Inputs{"text": "so much depends"})
	g.AddAs("all", "Join", nodebus.Inputs{"words": g.Add("Capital", nodebus.Inputs{"word": words}), "with": ", "})
	outcome, err := flow.Do(context.Background(), flow.NewEngine(r, nodebus.NewHub(nil), nil), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
	if err != nil {
		panic(err)
	}
	fmt.Println(outcome.Output("all"), outcome.Err())
	// Output:
	// map[text:[0:So, 1:Much, 2:Depends]] <nil>
}
