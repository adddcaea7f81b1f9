package nodebus_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Collage shows pictures, which are texts here: as many as are given, and a title for those
// that have one. Its inputs also follow from a layout.
type Collage struct {
	Pictures []string                `grow:"picture,min=1,max=20"`
	Layout   Layout                  `tip:"Where the pictures go."`
	Titles   []nodebus.Named[string] `in:",rest"`
}

// Layout is a drop-down. One of its fields is not nil.
type Layout struct {
	Row  *struct{} `choice:"row"`
	Grid *Grid     `choice:"grid"`
}

// Grid has the inputs of the choice "grid".
type Grid struct {
	Columns int `default:"2" min:"1"`
}

// Run shows what the node got.
func (n Collage) Run(*nodebus.Context) (nodebus.UI, error) {
	where := "in a row"
	if g := n.Layout.Grid; g != nil {
		where = fmt.Sprintf("in %d columns", g.Columns)
	}
	text := strings.Join(n.Pictures, " ") + " " + where
	for _, t := range n.Titles {
		text += fmt.Sprintf(", %s: %s", t.Name, t.Value)
	}
	return nodebus.Text(text), nil
}

// Inputs that grow, that follow from a choice, and that the class does not declare. In the
// prompt their names have dots.
func ExampleNamed() {
	r := flow.NewRegistry()
	flow.Register(r, Collage{}, nodebus.Info{})
	nodes, err := nodebus.ParseNodes([]byte(`{"c": {"class_type": "Collage", "inputs": {
		"pictures.picture0": "sun", "pictures.picture2": "moon",
		"layout": "grid", "layout.columns": 3,
		"first": "Day", "last": "Night"}}}`))
	if err != nil {
		panic(err)
	}
	outcome, err := flow.Do(context.Background(), flow.NewEngine(r, nodebus.NewHub(nil), nil), &nodebus.Prompt{ID: "p", Nodes: nodes})
	if err != nil {
		panic(err)
	}
	fmt.Println(outcome.Output("c")["text"][0])

	// An executor of your own asks the class which inputs a node has.
	class, _ := r.Class("Collage")
	for _, port := range class.InputsOf(nodes[0]) {
		fmt.Printf("%s %s\n", port.Name, port.Kind)
	}
	// Output:
	// sun moon in 3 columns, first: Day, last: Night
	// pictures.picture0 required
	// pictures.picture2 optional
	// layout required
	// layout.columns required
	// first optional
	// last optional
}
