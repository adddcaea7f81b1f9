// Package flow runs graphs of nodes and publishes events about them to a hub of
// package nodebus.
//
// A program registers its nodes in a [Registry] and makes an [Engine]. The engine
// checks prompts, keeps waiting prompts in a [Queue], runs them with an executor,
// and keeps a [Record] of each ended prompt in a [Store]:
//
//	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
//	flow.Register(registry, Blur{}, nodebus.Info{Category: "image"})
//	engine := flow.NewEngine(registry, hub, nil)
//	go engine.Run(ctx)
//	submission, err := engine.Submit(ctx, &nodebus.Prompt{ClientID: "me", Nodes: nodes}, nil)
//	outcome, err := submission.Wait(ctx)
//
// A program that only runs one graph does not need Run: [Do] submits the prompt,
// runs the engine and waits.
//
// # The stages of a prompt
//
//	Engine.Submit   checks the prompt; the executor prepares it            submit.go plan.go
//	Queue           keeps the prompt until it may run                      queue.go
//	Engine.Run      takes the prompt under a lease                         take.go process.go
//	Executor        runs the nodes; Local is the executor of this package  local.go
//	Class           creates a node and calls its method Run                class.go
//	gate            checks and passes on the events of the prompt          gate.go
//	Record, Store   keep the outcome and the outputs                       record.go store.go
//
// # Parts that can be replaced
//
// Queue, Store, Cache and the executor are interfaces with a default implementation
// in memory. Package conform has a test suite for each interface.
package flow
