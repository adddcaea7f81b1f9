package nodebus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Poster is what people say about a poster.
type Poster struct {
	Approved bool   `json:"approved"`
	Paper    string `json:"paper"`
}

// PrintPoster asks a person before it prints a poster.
type PrintPoster struct{ Title string }

// Run waits for a day at most.
func (n PrintPoster) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	said, err := nodebus.Await[Poster](ctx, "approve", &nodebus.AwaitOptions{
		Schema:  []byte(`{"title":"Print the poster?","type":"object"}`),
		Timeout: 24 * time.Hour,
	})
	switch {
	case errors.Is(err, nodebus.ErrExpired):
		return nodebus.Text("nobody was there"), nil
	case err != nil: // also if the person refuses: the prompt then ends as refused
		return nil, err
	case !said.Approved:
		return nodebus.Text("not printed"), nil
	}
	return nodebus.Text(n.Title + " on " + said.Paper), nil
}

// A node asks a person. Clients receive the question with a JSON Schema, from which they
// can make a form. While the node waits, other prompts run.
func ExampleAwait() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, PrintPoster{}, nodebus.Info{})
	engine := flow.NewEngine(r, hub, nil)
	ctx := context.Background()

	events := hub.Subscribe(ctx)
	var person sync.WaitGroup
	person.Go(func() {
		for ev, err := range events {
			if q, ok := ev.Payload.(nodebus.Waiting); ok && err == nil {
				fmt.Printf("node %s asks for %q: %s\n", q.UniqueID, q.Name, q.Schema)
				_ = engine.Answer(ctx, q.PromptID, q.UniqueID, q.Name, Poster{Approved: true, Paper: "A3"})
			}
		}
	})

	g := nodebus.NewGraph()
	g.AddAs("5", "PrintPoster", nodebus.Inputs{"title": "Spring"})
	outcome, err := flow.Do(ctx, engine, &nodebus.Prompt{Nodes: g.Nodes()})
	if err != nil {
		panic(err)
	}
	_ = hub.Close()
	person.Wait()
	fmt.Println(outcome.Output("5")["text"], outcome.Err())
	// Output:
	// node 5 asks for "approve": {"title":"Print the poster?","type":"object"}
	// [Spring on A3] <nil>
}
