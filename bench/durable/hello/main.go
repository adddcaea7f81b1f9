// Command hello runs a prompt of one node, with all parts in memory.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

type hello struct{}

// Run implements [nodebus.Node].
func (hello) Run(*nodebus.Context) (string, error) { return "hello", nil }

func main() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, hello{}, nodebus.Info{Name: "Hello", Output: true})
	engine := flow.NewEngine(r, hub, nil)
	outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: nodebus.Nodes{{ID: "1", Class: "Hello"}}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(outcome.State)
}
