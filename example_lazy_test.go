package nodebus_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Think is an expensive node that returns a word.
type Think struct{ Word string }

// Run prints that it runs.
func (n Think) Run(*nodebus.Context) (string, error) {
	fmt.Println("thinking of", n.Word)
	return n.Word, nil
}

// Choose shows one of two words. It requests only that word.
type Choose struct {
	First bool
	A, B  nodebus.Lazy[string]
}

// Run waits for the word that it needs. Meanwhile other nodes may use its worker slot.
func (n Choose) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	word := n.B
	if n.First {
		word = n.A
	}
	text, err := word.Get(ctx)
	return nodebus.Text(text), err
}

// The nodes before a lazy input run only if the node requests the input.
func ExampleLazy() {
	r := flow.NewRegistry()
	flow.Register(r, Think{}, nodebus.Info{})
	flow.Register(r, Choose{}, nodebus.Info{})

	g := nodebus.NewGraph()
	g.AddAs("choice", "Choose", nodebus.Inputs{
		"first": true,
		"a":     g.Add("Think", nodebus.Inputs{"word": "rose"}),
		"b":     g.Add("Think", nodebus.Inputs{"word": "thorn"}),
	})
	outcome, err := flow.Do(context.Background(), flow.NewEngine(r, nodebus.NewHub(nil), nil), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
	if err != nil {
		panic(err)
	}
	fmt.Println(outcome.Output("choice"), outcome.Err())
	// Output:
	// thinking of rose
	// map[text:[rose]] <nil>
}

// In a test of a node, Ready gives the value of a lazy input.
func ExampleReady() {
	ui, err := Choose{First: true, A: nodebus.Ready("rose")}.Run(nodebus.NewContext(context.Background(), nodebus.CallInfo{}))
	fmt.Println(ui, err)
	// Output: map[text:[rose]] <nil>
}

// Given says whether an optional lazy input is given, without computing it.
func ExampleLazy_Given() {
	n := Choose{A: nodebus.Ready("rose")}
	fmt.Println(n.A.Given(), n.B.Given())
	// Output: true false
}
