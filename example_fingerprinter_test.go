package nodebus_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// ReadNote shows a note. What it gives depends on more than its input.
type ReadNote struct {
	Name string

	notes map[string]string // the program's, given to Register
}

// Run reads the note.
func (n ReadNote) Run(*nodebus.Context) (nodebus.UI, error) {
	fmt.Println("reading", n.Name)
	return nodebus.Text(n.notes[n.Name]), nil
}

// Fingerprint joins the cache key: while it stays the same, the node does not run
// again. That of a file could be its time and size.
func (n ReadNote) Fingerprint() (string, error) { return n.notes[n.Name], nil }

// A node that runs again when what it reads has changed.
func ExampleFingerprinter() {
	notes := map[string]string{"fridge": "buy milk"}
	r := flow.NewRegistry()
	flow.Register(r, ReadNote{notes: notes}, nodebus.Info{})
	local := flow.NewLocal(r, nil)

	g := nodebus.NewGraph()
	g.AddAs("note", "ReadNote", nodebus.Inputs{"name": "fridge"})
	for _, note := range []string{"buy milk", "buy milk", "buy plums"} {
		notes["fridge"] = note
		fmt.Println(local.Execute(context.Background(), &nodebus.Prompt{ID: note, Nodes: g.Nodes()}, nodebus.NewHub(nil)))
	}
	// Output:
	// reading fridge
	// map[note:map[text:[buy milk]]] <nil>
	// map[note:map[text:[buy milk]]] <nil>
	// reading fridge
	// map[note:map[text:[buy plums]]] <nil>
}
