package flow_test

import (
	"context"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Width is a number from a list.
type Width int

// Options returns the choices.
func (Width) Options() []Width { return []Width{512, 768, 1024} }

// Render has inputs of several types.
type Render struct {
	Width  Width
	Passes []string  `options:"color,depth,normal"`
	Seed   *uint64   `in:",optional"`
	Until  time.Time `in:",optional"`
	User   string    `hidden:"USER_NAME"`
}

// Run shows its inputs.
func (n Render) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(fmt.Sprint(n.Width, " ", n.Passes, " ", n.Seed == nil, " ", n.Until.Year(), " ", n.User)), nil
}

// Types of inputs: a drop-down of numbers, several choices, an input that may not be given, a
// type that reads text, and a hidden input of the node's own.
func ExampleRegister_types() {
	r := flow.NewRegistry()
	flow.Register(r, Render{}, nodebus.Info{})
	engine := flow.NewEngine(r, nodebus.NewHub(nil), nil)

	for _, inputs := range []string{
		`{"width": 768.0, "passes": {"__value__": ["depth", "color"]}, "until": "2026-01-02T15:04:05Z", "user": "from the prompt"}`,
		`{"width": "768", "passes": "color"}`,
	} {
		nodes, err := nodebus.ParseNodes([]byte(`{"1": {"class_type": "Render", "inputs": ` + inputs + `}}`))
		if err != nil {
			panic(err)
		}
		outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: nodes})
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(outcome.Output("1"))
	}
	// Output:
	// map[text:[768 [depth color] true 2026 from the prompt]]
	// nodebus: Prompt outputs failed validation; node 1 (Render): Value not in list: width: '768' not in [512, 768, 1024]
}
