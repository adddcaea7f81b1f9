package nodebus_test

import (
	"encoding/json"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Font has a drop-down of what the program has given to the node.
type Font struct {
	Name string `options:""`

	installed []string
}

// Choices is called when a client asks for the choices, and when a prompt is checked.
func (n Font) Choices(input string) []string { return n.installed }

// Run returns the name.
func (n Font) Run(*nodebus.Context) (string, error) { return n.Name, nil }

// A node that knows its choices.
func ExampleChooser() {
	r := flow.NewRegistry()
	flow.Register(r, Font{installed: []string{"Serif", "Mono"}}, nodebus.Info{})
	c, _ := r.Class("Font")
	typ, _, _ := c.Schema().Inputs[0].Config()
	text, _ := json.Marshal(typ)
	fmt.Println(string(text))
	// Output: ["Serif","Mono"]
}
