// Customnode shows what a node can do besides computing: it reports progress, sends a
// custom message with its node id (UNIQUE_ID), shows a result, and uses an object that
// the program has injected. The program watches its own events in the same process.
//
//	go run ./examples/customnode
package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Found is the custom message: a node found a word in a line.
type Found struct {
	Node string `json:"node"`
	Word string `json:"word"`
	Line int    `json:"line"`
}

// EventType returns the name of the message on the wire. JavaScript listens for it.
func (Found) EventType() string { return "example.found" }

// Library is the interface of the injected object. It could also be a database.
type Library interface{ Lines(title string) []string }

// Search looks for a word in a text. Its exported fields are its inputs. The field
// library is copied from the registered value.
type Search struct {
	Title string `default:"ode"`
	Word  string `tip:"what to look for"`

	library Library
}

// Hits holds the outputs: a number for other nodes, and a text that clients show.
type Hits struct {
	Count int `out:"count"`
	UI    nodebus.UI
}

// Run searches each line.
func (n Search) Run(ctx *nodebus.Context) (h Hits, err error) {
	lines := n.library.Lines(n.Title)
	for i, line := range lines {
		if strings.Contains(line, n.Word) {
			h.Count++
			if err := ctx.SendSync(Found{Node: ctx.UniqueID(), Word: n.Word, Line: i + 1}); err != nil {
				return h, err
			}
		}
		ctx.Progress(float64(i+1), float64(len(lines)))
	}
	h.UI = nodebus.Text(fmt.Sprintf("%q stands in %d of %d lines", n.Word, h.Count, len(lines)))
	return h, ctx.Err()
}

type shelf map[string]string

func (s shelf) Lines(title string) []string { return strings.Split(s[title], "\n") }

func main() { run(os.Stdout) }

func run(out io.Writer) {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, Search{library: shelf{"ode": "so much depends\nupon\n\na red wheel\nbarrow"}}, nodebus.Info{Output: true})
	engine := flow.NewEngine(registry, hub, nil)
	events := hub.Subscribe(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { watch(events, out) })
	graph := nodebus.NewGraph()
	graph.AddAs("7", "Search", nodebus.Inputs{"title": "ode", "word": "ee"})
	outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: graph.Nodes()})
	if err != nil {
		panic(err)
	}
	_ = hub.Close() // ends the events
	watching.Wait()
	fmt.Fprintln(out, outcome.State, outcome.Err())
}

func watch(events iter.Seq2[nodebus.Event, error], out io.Writer) {
	for ev, err := range events {
		switch p := ev.Payload.(type) {
		case Found:
			fmt.Fprintf(out, "node %s found %q in line %d\n", p.Node, p.Word, p.Line)
		case nodebus.Progress:
			fmt.Fprintf(out, "node %s: %g of %g\n", p.UniqueID, p.Value, p.Max)
		case nodebus.Executed:
			fmt.Fprintln(out, "shown:", p.Output["text"])
		case nil: // this subscriber was too slow
			fmt.Fprintln(out, err)
		}
	}
}
