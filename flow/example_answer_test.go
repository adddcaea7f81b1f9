package flow_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Approve is a node that passes a text on if somebody approves it.
type Approve struct{ Text string }

// Run asks whether the text may be printed.
func (n Approve) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	yes, err := nodebus.Await[bool](ctx, "print", nil)
	if err != nil {
		return nil, err
	}
	if !yes {
		return nodebus.Text("not printed"), nil
	}
	return nodebus.Text(n.Text), nil
}

// A program answers the questions of nodes, here as soon as they are asked. In a server,
// package comfy does this for requests of clients.
func ExampleEngine_Answer() {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, Approve{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, nil)
	ctx := context.Background()

	events := hub.Subscribe(ctx)
	var answering sync.WaitGroup
	answering.Go(func() {
		for ev, err := range events {
			if err != nil {
				return
			}
			if q, ok := ev.Payload.(nodebus.Waiting); ok {
				fmt.Printf("node %s asks %q\n", q.UniqueID, q.Name)
				fmt.Println(engine.Answer(ctx, q.PromptID, q.UniqueID, q.Name, "perhaps"))
				fmt.Println(engine.Answer(ctx, q.PromptID, q.UniqueID, q.Name, true))
			}
		}
	})

	g := nodebus.NewGraph()
	g.AddAs("7", "Approve", nodebus.Inputs{"text": "Hello"})
	outcome, err := flow.Do(ctx, engine, &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
	if err != nil {
		panic(err)
	}
	_ = hub.Close()
	answering.Wait()
	fmt.Println(outcome.Output("7")["text"], outcome.Err())
	// Output:
	// node 7 asks "print"
	// nodebus: the answer must be a boolean, but it is a string: question "print" of node 7 in prompt p
	// <nil>
	// [Hello] <nil>
}

// A question can be refused with a reason. If the node returns the error of Await, the
// prompt ends.
func ExampleEngine_Refuse() {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	defer hub.Close()
	flow.Register(registry, Approve{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, nil)
	ctx := context.Background()

	g := nodebus.NewGraph()
	g.AddAs("7", "Approve", nodebus.Inputs{"text": "Hello"})
	submitted, err := engine.Submit(ctx, &nodebus.Prompt{Nodes: g.Nodes()}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	// An answer may come before its question.
	if err := engine.Refuse(ctx, submitted.ID, "7", "print", "no paper"); err != nil {
		fmt.Println(err)
	}
	running, stop := context.WithCancel(ctx)
	var run sync.WaitGroup
	run.Go(func() { _ = engine.Run(running) })
	outcome, err := submitted.Wait(ctx)
	if err != nil {
		panic(err)
	}
	stop()
	run.Wait()
	fmt.Println(outcome.Error.NodeID, outcome.Error.ExceptionType, outcome.State)
	fmt.Println(outcome.Err())
	// Output:
	// 7 refused refused
	// nodebus: refused: no paper
}

// Several engines that share a queue share their signals, too. In memory, they must be in
// one process.
func ExampleNewSignals() {
	signals := flow.NewSignals(&flow.SignalsOptions{PromptLen: 10})
	ctx := context.Background()
	for i := range 12 {
		if err := signals.Send(ctx, flow.Signal{PromptID: "p", Node: "1", Name: fmt.Sprint(i), Answer: []byte("true")}); err != nil {
			fmt.Println(err)
			break
		}
	}
	stop, err := signals.Receive("p", func(s flow.Signal) error { fmt.Print(s.Name, " "); return nil })
	if err == nil {
		stop()
	}
	// Output:
	// nodebus: the prompt has 10 answers already, see SignalsOptions.PromptLen: prompt "p"
	// 0 1 2 3 4 5 6 7 8 9
}
