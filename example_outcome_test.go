package nodebus_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Download is a node that fails for an address that does not exist.
type Download struct{ Address string }

// Run returns the content of the page.
func (n Download) Run(*nodebus.Context) (string, error) {
	if n.Address == "nowhere" {
		return "", errors.New("no such host")
	}
	return "the page at " + n.Address, nil
}

// Review is a node that lets only short texts through.
type Review struct{ Text string }

// Run blocks the nodes that need a long text.
func (n Review) Run(*nodebus.Context) (string, error) {
	if len(n.Text) > 20 {
		return "", nodebus.Block("the text is too long")
	}
	return n.Text, nil
}

// Printer is an output node.
type Printer struct{ Text string }

// Run shows the text.
func (n Printer) Run(*nodebus.Context) (nodebus.UI, error) { return nodebus.Text(n.Text), nil }

// A prompt may go on after an error: only what needs the failed node is skipped.
func ExamplePolicy() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, Download{}, nodebus.Info{})
	flow.Register(r, Printer{}, nodebus.Info{})
	engine := flow.NewEngine(r, hub, &flow.EngineOptions{Executor: flow.NewLocal(r, &flow.LocalOptions{Workers: 1})})

	g := nodebus.NewGraph()
	g.AddAs("out a", "Printer", nodebus.Inputs{"text": g.AddAs("a", "Download", nodebus.Inputs{"address": "nowhere"})})
	g.AddAs("out b", "Printer", nodebus.Inputs{"text": g.AddAs("b", "Download", nodebus.Inputs{"address": "home"})})
	outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{
		Nodes: g.Nodes(), Policy: nodebus.Policy{Continue: true},
	})
	if err != nil {
		panic(err) // the prompt did not end
	}
	fmt.Println(outcome.State, outcome.Output("out b")["text"])
	for _, n := range outcome.Nodes {
		fmt.Printf("%s: %s %q by %q\n", n.UniqueID, n.Result, n.Reason, n.By)
	}
	_ = hub.Close()
	// Output:
	// error [the page at home]
	// a: error "no such host" by ""
	// out a: skipped "" by "a"
	// b: done "" by ""
	// out b: done "" by ""
}

// Err tells in one value whether everything has run.
func ExampleOutcome_Err() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, Review{}, nodebus.Info{})
	flow.Register(r, Printer{}, nodebus.Info{})
	engine := flow.NewEngine(r, hub, nil)

	for _, text := range []string{"short", "a text of some length"} {
		g := nodebus.NewGraph()
		g.AddAs("out", "Printer", nodebus.Inputs{"text": g.AddAs("check", "Review", nodebus.Inputs{"text": text})})
		outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: g.Nodes()})
		if err != nil {
			panic(err) // the prompt did not end
		}
		var partial *nodebus.PartialError
		switch err := outcome.Err(); {
		case err == nil:
			fmt.Println("all of it ran")
		case errors.As(err, &partial):
			fmt.Println(outcome.State, "but", partial.Blocked[0].UniqueID, "says:", partial.Blocked[0].Reason)
		case errors.Is(err, nodebus.ErrRefused):
			fmt.Println("somebody said no")
		default:
			fmt.Println(err)
		}
	}
	_ = hub.Close()
	// Output:
	// all of it ran
	// success but check says: the text is too long
}
