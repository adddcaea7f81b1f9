package cookbook_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

func Example_continueOnError() {
	registry, hub := classes(func(_ context.Context, url string) (string, error) {
		if url == "/gone" {
			return "", errors.New("404 Not Found")
		}
		return "page " + url, nil
	}), nodebus.NewHub(nil)
	local := flow.NewLocal(registry, &flow.LocalOptions{Workers: 1})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Executor: local})

	g := nodebus.NewGraph()
	g.AddAs("show 1", "Show", nodebus.Inputs{"text": g.AddAs("fetch 1", "Fetch", nodebus.Inputs{"url": "/gone"})})
	g.AddAs("show 2", "Show", nodebus.Inputs{"text": g.AddAs("fetch 2", "Fetch", nodebus.Inputs{"url": "/home"})})
	prompt := &nodebus.Prompt{Nodes: g.Nodes(), Policy: nodebus.Policy{Continue: true}}
	outcome, err := flow.Do(context.Background(), engine, prompt)
	if err != nil {
		panic(err) // the prompt did not run to its end
	}
	_ = hub.Close()
	fmt.Println(outcome.Err())
	fmt.Println(outcome.State, outcome.Output("show 1"), outcome.Output("show 2"))
	for _, node := range outcome.Nodes {
		if node.Result != "done" {
			fmt.Printf("%s: %s %s%s\n", node.UniqueID, node.Result, node.Reason, node.By)
		}
	}
	// Output:
	// nodebus: node fetch 1 (Fetch): 404 Not Found
	// error map[] map[text:[page /home]]
	// fetch 1: error 404 Not Found
	// show 1: skipped fetch 1
}
