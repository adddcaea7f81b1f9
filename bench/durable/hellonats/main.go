// Command hellonats runs a prompt of one node, with all parts in NATS, and then serves clients:
// the first argument is the address of a server of NATS, the second the address for clients.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/ws"
)

type hello struct{}

// Run implements [nodebus.Node].
func (hello) Run(*nodebus.Context) (string, error) { return "hello", nil }

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: hellonats URL ADDRESS")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, address string) (err error) {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	bus, err := nats.Open(ctx, nc, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bus.Close()) }()
	r, hub := flow.NewRegistry(), nodebus.NewHub(&nodebus.HubOptions{Log: bus.Log()})
	defer func() { err = errors.Join(err, hub.Close()) }()
	flow.Register(r, hello{}, nodebus.Info{Name: "Hello", Output: true})
	engine := flow.NewEngine(r, hub, &flow.EngineOptions{Queue: bus.Queue(), Store: bus.Store(), Signals: bus.Signals()})
	outcome, err := flow.Do(ctx, engine, &nodebus.Prompt{Nodes: nodebus.Nodes{{ID: "1", Class: "Hello"}}})
	if err != nil {
		return err
	}
	fmt.Println(outcome.State)
	return http.ListenAndServe(address, ws.New(hub, nil))
}
