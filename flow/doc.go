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
//	failure := outcome.Err() // err is nil for a prompt that has failed
//
// A program that only runs one graph does not need Run: [Do] submits the prompt,
// runs the engine and waits.
//
// # The stages of a prompt
//
//	Engine.Submit   checks the prompt; the executor prepares it            submit.go plan.go
//	Queue           keeps the prompt until it has ended                    queue.go
//	Engine.Run      takes the prompt under a lease, for an attempt         runner.go take.go lease.go
//	Executor        runs the nodes; Local is the executor of this package  local.go
//	Class           creates a node and calls its method Run                class.go
//	gate            checks and passes on the events of the attempt         gate.go
//	Record, Store   keep the outcome and the outputs                       record.go store.go
//	last word       tells the end; then the prompt leaves the queue        end.go process.go
//
// An attempt that fails, or whose lease lapses, may be followed by another (policy.go
// lease.go). The other files of the engine: what it knows of a prompt (job.go), how many
// prompts run (places.go), the number of prompts (status.go), and what a program may do
// with them: wait.go do.go interrupt.go order.go.
//
// A node may ask clients while it runs. The question goes out as an event, and the answer
// comes back on another way:
//
//	Engine.Answer → Signals → Host → node                  answer.go signals.go host.go
//
// # How Local runs a prompt
//
//	run             one attempt: begins, ends, finds out that nothing can go on   run.go
//	graph           the nodes, and the nodes that nodes have made                 run_graph.go run_expand.go
//	worker          takes the next node that is ready                             run_work.go
//	turn            the work on one node: look up, call, keep                     run_turn.go run_cache.go
//	call            one call of Run: single, for a list, side by side, wrapped    run_call.go run_list.go run_side.go around.go
//	wait            for a lazy input, a graph, or an answer                       run_eval.go run_ask.go
//	report          what became of each node                                      run_report.go run_lost.go
//
// # Parts that can be replaced
//
// Queue, Store, Signals, Cache and the executor are interfaces with a default
// implementation in memory. Package conform has a test suite for each interface. Package
// flow/diskcache has a Cache in a folder. A function around each call of a node
// ([LocalOptions].Around) can try again, limit the time, trace, or run the node elsewhere;
// package flow/around has some of these functions. A function that sees each graph before it
// runs ([Registry.CheckGraphs]) lets classes work together; package flow/loops is built on it.
package flow
