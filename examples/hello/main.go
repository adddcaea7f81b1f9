// Hello is the program in the README: a node, a graph with this node, and the events
// of the run, in the form in which a client receives them.
package main

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

type Greet struct { // a node: its fields are its inputs
	Name string `default:"world"`
}

type Greeted struct { // a message of its own
	Node string `json:"node"`
	Text string `json:"text"`
}

func (Greeted) EventType() string { return "hello.greeted" }

func (g Greet) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	text := "Hello, " + g.Name
	return nodebus.Text(text), ctx.SendSync(Greeted{ctx.UniqueID(), text})
}

func main() {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, Greet{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, nil)

	ctx, graph := context.Background(), nodebus.NewGraph()
	graph.AddAs("7", "Greet", nodebus.Inputs{"name": "Gopher"})
	events := hub.Subscribe(ctx)
	outcome, err := flow.Do(ctx, engine, &nodebus.Prompt{ID: "first", Nodes: graph.Nodes()})
	if err != nil {
		panic(err) // the engine did not run the prompt
	}
	_ = hub.Close()
	for ev, err := range events {
		if err != nil {
			panic(err) // this reader fell too far behind
		}
		frame, _ := nodebus.JSON.Encode(ev)
		fmt.Println(string(frame.Data))
	}
	fmt.Println(outcome.State, outcome.Output("7"), outcome.Err()) // Err: why it failed
}
