package nodebus_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// ReadNote shows a note. Its result depends on more than its input.
type ReadNote struct {
	Name string

	notes map[string]string // set by the program before Register
}

// Run reads the note.
func (n ReadNote) Run(*nodebus.Context) (nodebus.UI, error) {
	fmt.Println("reading", n.Name)
	return nodebus.Text(n.notes[n.Name]), nil
}

// Fingerprint returns a part of the cache key. While the result stays the same, the
// node does not run again. For a file, it could be the time and the size.
func (n ReadNote) Fingerprint(*nodebus.Context) (string, error) { return n.notes[n.Name], nil }

// A node that runs again when the data that it reads has changed.
func ExampleFingerprinter() {
	notes := map[string]string{"fridge": "buy milk"}
	r := flow.NewRegistry()
	flow.Register(r, ReadNote{notes: notes}, nodebus.Info{})
	engine := flow.NewEngine(r, nodebus.NewHub(nil), nil)

	g := nodebus.NewGraph()
	g.AddAs("note", "ReadNote", nodebus.Inputs{"name": "fridge"})
	for _, note := range []string{"buy milk", "buy milk", "buy plums"} {
		notes["fridge"] = note
		outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: g.Nodes()})
		if err != nil {
			panic(err)
		}
		fmt.Println(outcome.Output("note"), outcome.Err())
	}
	// Output:
	// reading fridge
	// map[text:[buy milk]] <nil>
	// map[text:[buy milk]] <nil>
	// reading fridge
	// map[text:[buy plums]] <nil>
}
