// Remoteexecutor runs nodes in another process: this program, started again with
// -worker. A node that crashes ends its prompt, and not the program.
//
//	go run ./examples/remoteexecutor
//
// # How it works
//
// The executor (host.go) runs in the program. It walks the prompt and decides which node
// runs next. A nodebus.Tracker publishes what happens to the nodes. A worker (worker.go)
// calls the nodes. Host and worker talk over the worker's standard input and output, in
// lines of JSON (pipe.go). The host sends the prompt with its secrets, and then which node
// to call. The worker sends progress reports, the events of the node, and then that the
// node has run. A node that asks for a lazy input, or for nodes that it has made, waits in
// the worker until those nodes have run. A node that asks clients waits there, too: the host
// forwards the question to the engine. The end of the input means: cancel and exit.
//
// Outputs stay in the worker, and links name them. So they may be any Go values, such as
// images and open files, and large values are not copied. Each prompt has a worker of
// its own, which ends with the prompt: a crash or a leak affects no other prompt. A node
// that ignores the end of its context is killed after three seconds.
//
// # What it does not do
//
//   - It runs one node of a prompt at a time, and has no cache.
//   - It does not call a node for each element of a list. A blocked output ends the prompt.
//   - It keeps no workers, as a program with nodes that are slow to start would.
//   - It does not protect from hostile nodes: a worker has the rights of the program.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Where is a node that shows in which process it runs.
type Where struct{ Parent int }

// Run compares process ids.
func (n Where) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	ctx.Progress(1, 1)
	if os.Getpid() == n.Parent {
		return nodebus.Text("in the same process"), nil
	}
	return nodebus.Text("in another process"), nil
}

// Crash is a node that ends its process.
type Crash struct{}

// Run ends the process.
func (Crash) Run(*nodebus.Context) (nodebus.UI, error) {
	os.Exit(3)
	return nil, nil
}

// register adds the classes. Host and worker call it, so that both know the same.
func register(r *flow.Registry) {
	flow.Register(r, Where{}, nodebus.Info{})
	flow.Register(r, Crash{}, nodebus.Info{})
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-worker" {
		work(register)
		return
	}
	demo(os.Stdout, func() *exec.Cmd { return exec.Command(os.Args[0], "-worker") })
}

// work makes this process a worker.
func work(register func(*flow.Registry)) {
	pipe := os.Stdout
	os.Stdout = os.Stderr // what nodes print must not go into the pipe
	r := flow.NewRegistry()
	register(r)
	serve(r, os.Stdin, pipe)
}

// demo runs three prompts: one of them crashes its worker.
func demo(out io.Writer, worker func() *exec.Cmd) {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	defer hub.Close()
	register(registry)
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Executor: remote{registry, worker}})
	for _, class := range []string{"Where", "Crash", "Where"} {
		g := nodebus.NewGraph()
		node := g.Add(class, nodebus.Inputs{"parent": os.Getpid()}).Node // Crash ignores the input
		outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: g.Nodes()})
		if err == nil {
			err = outcome.Err()
		}
		fmt.Fprintln(out, class, outcome.State, outcome.Output(node)["text"], err)
	}
}
