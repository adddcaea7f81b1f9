package cookbook_test

import (
	"context"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Fetch is a node that gets a text from somewhere.
type Fetch struct {
	URL string
	get func(ctx context.Context, url string) (string, error)
}

func (n Fetch) Run(ctx *nodebus.Context) (string, error) { return n.get(ctx, n.URL) }

// Show is an output node: it shows a text to clients.
type Show struct{ Text string }

func (n Show) Run(*nodebus.Context) (nodebus.UI, error) { return nodebus.Text(n.Text), nil }

// classes registers both nodes. get takes the place of the network.
func classes(get func(ctx context.Context, url string) (string, error)) *flow.Registry {
	registry := flow.NewRegistry()
	flow.Register(registry, Fetch{get: get}, nodebus.Info{Async: true}) // Fetch only waits
	flow.Register(registry, Show{}, nodebus.Info{})
	return registry
}

// page returns a prompt that fetches a page and shows it.
func page(id, url string) *nodebus.Prompt {
	g := nodebus.NewGraph()
	g.AddAs("show", "Show", nodebus.Inputs{"text": g.AddAs("fetch", "Fetch", nodebus.Inputs{"url": url})})
	return &nodebus.Prompt{ID: id, Nodes: g.Nodes()}
}
