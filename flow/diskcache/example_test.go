package diskcache_test

import (
	"context"
	"fmt"
	"os"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/flow/diskcache"
)

// Square computes a square, and says so.
type Square struct{ N int }

// Run computes.
func (n Square) Run(*nodebus.Context) (int, error) {
	fmt.Println("computing the square of", n.N)
	return n.N * n.N, nil
}

// Tell shows a number.
type Tell struct{ N int }

// Run returns what to show.
func (n Tell) Run(*nodebus.Context) (nodebus.UI, error) { return nodebus.Text(fmt.Sprint(n.N)), nil }

// The example starts a program twice. The second time, the results are in the folder.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "results")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()

	for range 2 {
		cache, err := diskcache.Open(dir, &diskcache.Options{Bytes: 10 << 30, Version: "1"})
		if err != nil {
			fmt.Println(err)
			return
		}
		r := flow.NewRegistry()
		flow.Register(r, Square{}, nodebus.Info{})
		flow.Register(r, Tell{}, nodebus.Info{})
		local := flow.NewLocal(r, &flow.LocalOptions{Cache: cache})

		g := nodebus.NewGraph()
		g.Add("Tell", nodebus.Inputs{"n": g.Add("Square", nodebus.Inputs{"n": 7})})
		job := nodebus.Job{Prompt: &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}, Attempt: 1}
		report, err := local.Execute(context.Background(), job, nodebus.NewHub(nil))
		fmt.Println(report.Outputs[0].UI["text"], err)
	}
	// Output:
	// computing the square of 7
	// [49] <nil>
	// [49] <nil>
}
