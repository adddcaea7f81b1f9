package nodebus_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Open is a node that fails in two ways.
type Open struct {
	Path  string
	Depth int `min:"0" max:"9"`
}

// Run returns an error or panics.
func (n Open) Run(*nodebus.Context) (nodebus.UI, error) {
	if n.Depth > 0 {
		panic("too deep")
	}
	return nil, fmt.Errorf("opening %s: %w", n.Path, fs.ErrNotExist)
}

func opening(path string, depth any) *nodebus.Prompt {
	g := nodebus.NewGraph()
	g.AddAs("7", "Open", nodebus.Inputs{"path": path, "depth": depth})
	return &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}
}

// The errors of a prompt are found before it runs: by Submit, by Validate, or by an
// executor that receives the prompt directly.
func ExampleValidationError() {
	r := flow.NewRegistry()
	flow.Register(r, Open{}, nodebus.Info{})
	engine := flow.NewEngine(r, nodebus.NewHub(nil), nil)

	_, err := engine.Submit(context.Background(), opening("cat.png", 10), nil)
	var invalid *nodebus.ValidationError
	fmt.Println(errors.As(err, &invalid), invalid.Message)
	for id, node := range invalid.Nodes {
		for _, p := range node.Errors {
			fmt.Printf("node %s (%s): %s: %s\n", id, node.Class, p.Message, p.Details)
		}
	}
	// Output:
	// true Prompt outputs failed validation
	// node 7 (Open): Value 10 bigger than max of 9: depth
}

// The error of a prompt that failed names the node and wraps the error of the node. A
// panic of a node is an error, too.
func ExampleNodeError() {
	r := flow.NewRegistry()
	flow.Register(r, Open{}, nodebus.Info{})
	local := flow.NewLocal(r, nil)

	for depth := range 2 {
		job := nodebus.Job{Prompt: opening("cat.png", depth)}
		_, err := local.Execute(context.Background(), job, nodebus.NewHub(nil))
		var failed *nodebus.NodeError
		if errors.As(err, &failed) {
			fmt.Println("node", failed.UniqueID, "of class", failed.Class, "was given", failed.Inputs["path"])
			fmt.Println(failed.Err)
		}
		var panicked *nodebus.PanicError
		fmt.Println(errors.Is(err, fs.ErrNotExist), errors.As(err, &panicked))
	}
	// Output:
	// node 7 of class Open was given [cat.png]
	// opening cat.png: file does not exist
	// true false
	// node 7 of class Open was given [cat.png]
	// panic: too deep
	// false true
}
