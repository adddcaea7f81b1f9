package flow_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Counted is a custom event. Clients listen for it by the name that EventType
// returns.
type Counted struct {
	Node  string `json:"node"`
	Sheep int    `json:"sheep"`
}

func (Counted) EventType() string { return "example.counted" }

// CountSheep reports progress and sends a custom event for each sheep.
type CountSheep struct {
	To int `default:"3" min:"1" max:"1000" tip:"when to be asleep"`
}

// Run counts.
func (n CountSheep) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	for i := range n.To {
		ctx.Progress(float64(i+1), float64(n.To))
		if err := ctx.SendSync(Counted{Node: ctx.UniqueID(), Sheep: i + 1}); err != nil {
			return nil, err
		}
	}
	return nodebus.Text("zzz"), ctx.Err()
}

func ExampleRegister() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, CountSheep{}, nodebus.Info{Title: "Count sheep", Category: "sleep"})

	g := nodebus.NewGraph()
	g.AddAs("7", "CountSheep", nodebus.Inputs{"to": 2})
	events := hub.Subscribe(context.Background())
	engine := flow.NewEngine(r, hub, nil)
	outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
	if err != nil {
		panic(err)
	}
	fmt.Println(outcome.State, outcome.Err())
	_ = hub.Close() // the events that wait are still read

	for ev := range events {
		switch p := ev.Payload.(type) {
		case nodebus.Progress:
			fmt.Printf("node %s is at %g of %g\n", p.UniqueID, p.Value, p.Max)
		case Counted:
			fmt.Printf("node %s counts %d sheep\n", p.Node, p.Sheep)
		case nodebus.Executed:
			fmt.Printf("node %s shows %v\n", p.UniqueID, p.Output["text"])
		}
	}
	// Output:
	// success <nil>
	// node 7 is at 1 of 2
	// node 7 counts 1 sheep
	// node 7 is at 2 of 2
	// node 7 counts 2 sheep
	// node 7 shows [zzz]
}
