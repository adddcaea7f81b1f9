package nodebus_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Letter is a node that may block one of its outputs.
type Letter struct{ Postage int }

// Mail holds the outputs of Letter. An Out can be a value or blocked.
type Mail struct {
	Letter nodebus.Out[string] `out:"letter"`
	Notice string              `out:"notice"`
}

// Run blocks the output Letter, and the nodes that depend on it, if the letter has no
// stamp. To block all outputs, a node returns the error of Block.
func (n Letter) Run(*nodebus.Context) (Mail, error) {
	m := Mail{Notice: "the post has come"}
	if m.Letter.Value = "Dear all"; n.Postage < 1 {
		m.Letter.Blocked = nodebus.Block("no stamp")
	}
	return m, nil
}

// Read shows its input.
type Read struct{ Text string }

// Run shows the input.
func (n Read) Run(*nodebus.Context) (nodebus.UI, error) { return nodebus.Text(n.Text), nil }

// Nodes that depend on a blocked output are skipped. The prompt continues.
func ExampleBlock() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, Letter{}, nodebus.Info{})
	flow.Register(r, Read{}, nodebus.Info{})

	g := nodebus.NewGraph()
	letter := g.Add("Letter", nodebus.Inputs{"postage": 0})
	g.AddAs("letter", "Read", nodebus.Inputs{"text": letter})
	g.AddAs("notice", "Read", nodebus.Inputs{"text": letter.At(1)})
	events := hub.Subscribe(context.Background())
	outcome, err := flow.Do(context.Background(), flow.NewEngine(r, hub, nil), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
	if err != nil {
		panic(err)
	}
	fmt.Println(outcome.State, outcome.Output("notice"))
	fmt.Println(outcome.Err()) // a *PartialError
	_ = hub.Close()
	for ev := range events {
		if p, ok := ev.Payload.(nodebus.ExecutionError); ok { // a notice; the prompt continues
			fmt.Println("node", p.NodeID, "was skipped:", p.ExceptionMessage)
		}
	}
	// Output:
	// success map[text:[the post has come]]
	// nodebus: a part of the prompt did not run: node letter (Read) was blocked: no stamp
	// node letter was skipped: Execution Blocked: no stamp
}
