package flow_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Toss shows heads and fails for tails.
type Toss struct{ Side string }

// Run shows the side of the coin.
func (n Toss) Run(*nodebus.Context) (nodebus.UI, error) {
	if n.Side == "tails" {
		return nil, errors.New("lost")
	}
	return nodebus.Text(n.Side), nil
}

// The store lists the records of ended prompts, newest first.
func ExampleStore() {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, Toss{}, nodebus.Info{})
	engine := flow.NewEngine(r, hub, &flow.EngineOptions{Store: flow.NewStore(&flow.StoreOptions{Len: 1000})})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })

	events := hub.Subscribe(ctx)
	for i, side := range []string{"heads", "tails", "heads"} { // all of one client, so they run in order
		g := nodebus.NewGraph()
		g.AddAs("coin", "Toss", nodebus.Inputs{"side": side})
		if _, err := submit(engine, ctx, &nodebus.Prompt{ID: fmt.Sprint("toss ", i+1), Nodes: g.Nodes()}); err != nil {
			fmt.Println(err)
		}
	}
	for ev := range events {
		if p, ok := ev.Payload.(nodebus.Executing); ok && p.UniqueID == "" && p.PromptID == "toss 3" {
			break // the engine stores the record before it sends the last event
		}
	}
	for rec, err := range engine.Store().List(ctx) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(rec.Prompt.ID, rec.State)
		for _, out := range rec.Outputs {
			fmt.Println("  node", out.UniqueID, "showed", out.UI["text"])
		}
		if rec.Error != nil {
			fmt.Println("  node", rec.Error.NodeID, "said", strings.TrimSpace(rec.Error.ExceptionMessage))
		}
	}
	cancel()
	running.Wait()
	_ = hub.Close()
	// Output:
	// toss 3 success
	//   node coin showed [heads]
	// toss 2 error
	//   node coin said lost
	// toss 1 success
	//   node coin showed [heads]
}
