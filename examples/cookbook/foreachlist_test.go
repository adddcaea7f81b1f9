package cookbook_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Links is a node with a list as its output.
type Links struct{ Text string }

func (n Links) Run(*nodebus.Context) (nodebus.List[string], error) {
	return strings.Fields(n.Text), nil
}

// Join is a node that takes a whole list.
type Join struct{ Texts nodebus.List[string] }

func (n Join) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(strings.Join(n.Texts, ", ")), nil
}

func Example_forEachList() {
	registry, hub := classes(func(_ context.Context, url string) (string, error) {
		return "page " + url, nil
	}), nodebus.NewHub(nil)
	flow.Register(registry, Links{}, nodebus.Info{})
	flow.Register(registry, Join{}, nodebus.Info{})
	local := flow.NewLocal(registry, &flow.LocalOptions{AsyncCalls: 8}) // calls of Fetch at the same time
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Executor: local})

	g := nodebus.NewGraph()
	links := g.AddAs("links", "Links", nodebus.Inputs{"text": "/a /b /c"})
	pages := g.AddAs("fetch", "Fetch", nodebus.Inputs{"url": links}) // once for each link
	g.AddAs("join", "Join", nodebus.Inputs{"texts": pages})          // once for all pages
	outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: g.Nodes()})
	if err != nil {
		panic(err)
	}
	_ = hub.Close()
	fmt.Println(outcome.Output("join")["text"], outcome.Err())
	// Output:
	// [page /a, page /b, page /c] <nil>
}
