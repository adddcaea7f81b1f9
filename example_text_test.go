package nodebus_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/fold"
)

// Chat shows the answer of a language model while the answer grows.
type Chat struct{ Question string }

// Run writes the tokens of the answer and returns the answer.
func (n Chat) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	out := ctx.Text("answer")
	for token := range strings.FieldsSeq("Forty-two , of course .") {
		if _, err := fmt.Fprint(out, token, " "); err != nil {
			return nil, err
		}
	}
	return nodebus.Text(out.String()), nil
}

// A node writes a text bit by bit. Clients see the text grow; a fold of the events has the
// text so far.
func ExampleContext_Text() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, Chat{}, nodebus.Info{})

	g := nodebus.NewGraph()
	g.AddAs("7", "Chat", nodebus.Inputs{"question": "What is the answer?"})
	events := hub.Subscribe(context.Background())
	_, err := flow.Do(context.Background(), flow.NewEngine(r, hub, nil), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
	fmt.Println(err)
	_ = hub.Close()
	run := fold.Run{PromptID: "p"}
	for ev := range events {
		run.Apply(ev)
	}
	fmt.Printf("%q\n", run.Nodes["7"].Texts["answer"])
	// Output:
	// <nil>
	// "Forty-two , of course . "
}
