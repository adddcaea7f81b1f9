package nodebus_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Split divides a text in two. The tags of a field add what the name and the type of
// the field do not say.
type Split struct {
	Text  string
	At    int    `default:"1" min:"0" tip:"how much of it is the head"`
	Trace string `in:"trace,optional" options:"off,on"`
	ID    string `hidden:"UNIQUE_ID"`
}

// Halves holds the outputs of Split.
type Halves struct {
	Head string `out:"head"`
	Tail string `out:"tail"`
}

// Run divides the text.
func (n Split) Run(*nodebus.Context) (Halves, error) {
	at := min(n.At, len(n.Text))
	return Halves{n.Text[:at], n.Text[at:]}, nil
}

// Print shows a text.
type Print struct{ Text string }

// Run shows the text. A node that returns only a UI is an output node: a prompt runs
// its output nodes and all nodes that they need.
func (n Print) Run(*nodebus.Context) (nodebus.UI, error) { return nodebus.Text(n.Text), nil }

// A node with several inputs and outputs, and its description for a front end.
func ExampleNode() {
	r := flow.NewRegistry()
	flow.Register(r, Split{}, nodebus.Info{})
	flow.Register(r, Print{}, nodebus.Info{})

	split, _ := r.Class("Split")
	for _, in := range split.Schema().Inputs {
		choices, _ := in.ListChoices() // ListChoices calls the method Options, which may panic
		fmt.Println("in ", in.Name, in.Type, in.Kind, in.Default, choices)
	}
	for _, out := range split.Schema().Outputs {
		fmt.Println("out", out.Name, out.Type)
	}

	g := nodebus.NewGraph()
	halves := g.Add("Split", nodebus.Inputs{"text": "nodebus", "at": 4})
	g.AddAs("head", "Print", nodebus.Inputs{"text": halves})
	g.AddAs("tail", "Print", nodebus.Inputs{"text": halves.At(1)})
	outcome, err := flow.Do(context.Background(), flow.NewEngine(r, nodebus.NewHub(nil), nil), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
	if err != nil {
		panic(err)
	}
	fmt.Println(outcome.Output("head"), outcome.Output("tail"), outcome.Err())
	// Output:
	// in  text STRING required <nil> []
	// in  at INT required 1 []
	// in  trace COMBO optional <nil> [off on]
	// in  id UNIQUE_ID hidden <nil> []
	// out head STRING
	// out tail STRING
	// map[text:[node]] map[text:[bus]] <nil>
}
