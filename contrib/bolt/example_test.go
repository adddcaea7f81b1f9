package bolt_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
)

// began tells the example that a node runs.
var began = make(chan struct{}, 1)

type greet struct{ Name string }

func (g greet) Run(*nodebus.Context) (nodebus.UI, error) {
	began <- struct{}{}
	return nodebus.Text("hello " + g.Name), nil
}

// openEngine opens the file as a new process does.
func openEngine(path string) (*bolt.DB, *nodebus.Hub, *flow.Engine) {
	db, err := bolt.Open(path, nil)
	if err != nil {
		panic(err)
	}
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, greet{}, nodebus.Info{Name: "Greet"})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Queue: db.Queue(), Store: db.Store(), Signals: db.Signals()})
	return db, hub, engine
}

// A prompt outlives the process that has accepted it: the next process runs it.
func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path, ctx := filepath.Join(dir, "nodebus.db"), context.Background()

	// The first process accepts a prompt and ends before it runs the prompt.
	db, hub, engine := openEngine(path)
	g := nodebus.NewGraph()
	g.AddAs("greet", "Greet", nodebus.Inputs{"name": "world"})
	if _, err := engine.Submit(ctx, &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}, nil); err != nil {
		fmt.Println(err)
	}
	hub.Close()
	db.Close()

	// The second process runs the prompt.
	db, hub, engine = openEngine(path)
	ended := make(chan error)
	go func() { ended <- engine.Run(ctx) }()
	<-began
	if err := engine.Drain(ctx); err != nil { // waits for prompts that run
		fmt.Println(err)
	}
	if err := <-ended; err != nil {
		fmt.Println(err)
	}
	record, err := db.Store().Get(ctx, "p")
	fmt.Println(record.State, record.Outputs[0].UI["text"], err)
	hub.Close()
	db.Close()
	// Output: success [hello world] <nil>
}
