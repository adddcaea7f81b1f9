// Package flow runs graphs of nodes and publishes what happens to a hub of package
// nodebus.
//
// A program registers its nodes in a [Registry] and makes an [Engine]. The engine
// checks prompts, keeps them in a [Queue], has an executor run them, and keeps a
// [Record] of each in a [Store]:
//
//	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
//	flow.Register(registry, Blur{}, nodebus.Info{Category: "image"})
//	engine := flow.NewEngine(registry, hub, nil)
//	go engine.Run(ctx)
//	submission, err := engine.Submit(ctx, &nodebus.Prompt{ClientID: "me", Nodes: nodes}, nil)
//	outcome, err := submission.Wait(ctx)
//
// A program that only runs one graph needs no Run: [Do] submits, runs and waits.
//
// # The way of a prompt
//
//	Engine.Submit   checks the prompt and has the executor prepare it      submit.go plan.go
//	Queue           keeps it until it may run                              queue.go
//	Engine.Run      takes it under a lease                                 take.go process.go
//	Executor        runs its nodes; Local is the executor of this package  local.go
//	Class           makes the node and calls Run                           class.go
//	gate            lets the events of the prompt pass, and nothing else   gate.go
//	Record, Store   what became of the prompt                              record.go store.go
//
// # Parts that can be replaced
//
// Queue, Store, Cache and the executor are interfaces with a default in memory.
// Package conform has a suite for each that proves an implementation right.
package flow
