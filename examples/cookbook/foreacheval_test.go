package cookbook_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Longest is a node that fetches pages itself and shows the longest.
type Longest struct{ Links nodebus.List[string] }

func (n Longest) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	g := ctx.NewGraph()
	var outs []nodebus.Link
	for _, url := range n.Links {
		outs = append(outs, g.Add("Fetch", nodebus.Inputs{"url": url}))
	}
	pages, err := nodebus.EvalAll[string](ctx, g, outs...) // side by side; in the order of outs
	if err != nil {
		return nil, err
	}
	longest := ""
	for _, page := range pages {
		if len(page) > len(longest) {
			longest = page
		}
	}
	return nodebus.Text(longest), nil
}

func Example_forEachEval() {
	registry, hub := classes(func(_ context.Context, url string) (string, error) {
		return "page " + url, nil
	}), nodebus.NewHub(nil)
	flow.Register(registry, Longest{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, nil)

	g := nodebus.NewGraph()
	g.AddAs("longest", "Longest", nodebus.Inputs{"links": []string{"/a", "/long", "/b"}})
	outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: g.Nodes()})
	if err != nil {
		panic(err)
	}
	_ = hub.Close()
	fmt.Println(outcome.Output("longest")["text"], outcome.Err())
	// Output:
	// [page /long] <nil>
}
