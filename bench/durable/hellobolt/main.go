// Command hellobolt runs a prompt of one node, with all parts in a file: the first argument.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
)

type hello struct{}

// Run implements [nodebus.Node].
func (hello) Run(*nodebus.Context) (string, error) { return "hello", nil }

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: hellobolt FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path string) (err error) {
	db, err := bolt.Open(path, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	r, hub := flow.NewRegistry(), nodebus.NewHub(&nodebus.HubOptions{Log: db.Log()})
	defer func() { err = errors.Join(err, hub.Close()) }()
	flow.Register(r, hello{}, nodebus.Info{Name: "Hello", Output: true})
	engine := flow.NewEngine(r, hub, &flow.EngineOptions{Queue: db.Queue(), Store: db.Store(), Signals: db.Signals()})
	outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: nodebus.Nodes{{ID: "1", Class: "Hello"}}})
	fmt.Println(outcome.State)
	return err
}
