package cookbook_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Approve is a node that passes a text on if a person says yes.
type Approve struct{ Text string }

func (n Approve) Run(ctx *nodebus.Context) (string, error) {
	yes, err := nodebus.Await[bool](ctx, "publish", &nodebus.AwaitOptions{Timeout: 24 * time.Hour})
	switch {
	case err != nil: // refused, nobody answered in time, or interrupted
		return "", err
	case !yes:
		return "", nodebus.Block("not approved") // skips what needs the text
	}
	return n.Text, nil
}

func Example_approve() {
	registry, hub := classes(nil), nodebus.NewHub(nil)
	flow.Register(registry, Approve{}, nodebus.Info{})
	engine, ctx := flow.NewEngine(registry, hub, nil), context.Background()
	var person sync.WaitGroup
	events := hub.Subscribe(ctx)
	person.Go(func() {
		for ev, err := range events {
			if err != nil {
				panic(err) // this reader fell too far behind
			}
			if q, ok := ev.Payload.(nodebus.Waiting); ok {
				fmt.Println(q.UniqueID, "asks for", q.Name, string(q.Schema))
				fmt.Println(engine.Answer(ctx, q.PromptID, q.UniqueID, q.Name, true))
			}
		}
	})
	g := nodebus.NewGraph()
	g.AddAs("show", "Show", nodebus.Inputs{"text": g.AddAs("ask", "Approve", nodebus.Inputs{"text": "News"})})
	outcome, err := flow.Do(ctx, engine, &nodebus.Prompt{Nodes: g.Nodes()})
	if err != nil {
		panic(err)
	}
	_ = hub.Close()
	person.Wait()
	fmt.Println(outcome.Output("show")["text"], outcome.Err())
	// Output:
	// ask asks for publish {"type":"boolean"}
	// <nil>
	// [News] <nil>
}
