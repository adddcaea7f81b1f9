package flow_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Paint records its calls.
type Paint struct {
	Color string

	log *[]string
}

// Run paints.
func (n Paint) Run(*nodebus.Context) (nodebus.UI, error) {
	*n.log = append(*n.log, n.Color)
	return nodebus.Text(n.Color), nil
}

// The example runs the same prompts with each kind of cache and prints which nodes
// ran. The default is NewCache(nil).
func ExampleNewCache() {
	var log []string
	r := flow.NewRegistry()
	flow.Register(r, Paint{log: &log}, nodebus.Info{})
	for _, c := range []struct {
		name  string
		cache flow.Cache
	}{
		{"default", nil},
		{"the last two", flow.NewCache(&flow.CacheOptions{Entries: 2})},
		{"1 GiB of results", flow.NewCache(&flow.CacheOptions{Bytes: 1 << 30})},
		{"none", flow.NoCache()},
	} {
		local := flow.NewLocal(r, &flow.LocalOptions{Cache: c.cache})
		log = nil
		for i, color := range []string{"red", "red", "blue", "red", "green", "blue"} {
			g := nodebus.NewGraph()
			g.Add("Paint", nodebus.Inputs{"color": color})
			job := nodebus.Job{Prompt: &nodebus.Prompt{ID: fmt.Sprint(i), Nodes: g.Nodes()}, Attempt: 1}
			_, err := local.Execute(context.Background(), job, nodebus.NewHub(nil))
			if err != nil {
				fmt.Println(err)
			}
		}
		fmt.Printf("%-17s %v\n", c.name, log)
	}
	// Output:
	// default           [red blue green]
	// the last two      [red blue green blue]
	// 1 GiB of results  [red blue green]
	// none              [red red blue red green blue]
}

// The classic cache keeps what the last prompt used, as ComfyUI does by default. Of two
// workflows that alternate, it keeps nothing.
func ExampleClassicCache() {
	var log []string
	r := flow.NewRegistry()
	flow.Register(r, Paint{log: &log}, nodebus.Info{})
	local := flow.NewLocal(r, &flow.LocalOptions{Cache: flow.ClassicCache()})
	for i, color := range []string{"red", "red", "blue", "red"} {
		g := nodebus.NewGraph()
		g.Add("Paint", nodebus.Inputs{"color": color})
		job := nodebus.Job{Prompt: &nodebus.Prompt{ID: fmt.Sprint(i), Nodes: g.Nodes()}, Attempt: 1}
		if _, err := local.Execute(context.Background(), job, nodebus.NewHub(nil)); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(log)
	// Output: [red blue red]
}
