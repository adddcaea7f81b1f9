// Command hellosocket runs a prompt of one node, with all parts in memory, and then serves
// clients at an address: the first argument.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/ws"
)

type hello struct{}

// Run implements [nodebus.Node].
func (hello) Run(*nodebus.Context) (string, error) { return "hello", nil }

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: hellosocket ADDRESS")
		os.Exit(2)
	}
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, hello{}, nodebus.Info{Name: "Hello", Output: true})
	engine := flow.NewEngine(r, hub, nil)
	outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: nodebus.Nodes{{ID: "1", Class: "Hello"}}})
	if err == nil {
		fmt.Println(outcome.State)
		err = http.ListenAndServe(os.Args[1], ws.New(hub, nil))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
