package flow_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Publish is an output node that may appear once in a graph.
type Publish struct{ Text string }

// Run publishes the text.
func (n Publish) Run(*nodebus.Context) (nodebus.UI, error) { return nodebus.Text(n.Text), nil }

// A node cannot see the other nodes of the graph. A function that sees all of them can.
func ExampleRegistry_CheckGraphs() {
	registry := flow.NewRegistry()
	flow.Register(registry, Publish{}, nodebus.Info{})
	registry.CheckGraphs(func(_ context.Context, g *flow.GraphCheck) error {
		var ids []string
		for _, n := range g.Nodes() {
			if n.Class == "Publish" {
				ids = append(ids, n.ID)
			}
		}
		if len(ids) > 1 {
			g.Reject(nodebus.Problem{
				Type: "custom_validation_failed", Message: "Published twice",
				Details: fmt.Sprintf("of the nodes %v, remove all but one", ids),
			}, ids, ids)
		}
		return nil
	})
	for _, api := range []string{
		`{"1":{"class_type":"Publish","inputs":{"text":"a"}}}`,
		`{"1":{"class_type":"Publish","inputs":{"text":"a"}},"2":{"class_type":"Publish","inputs":{"text":"b"}}}`,
	} {
		nodes, err := nodebus.ParseNodes([]byte(api))
		if err != nil {
			panic(err)
		}
		_, err = registry.Prepare(context.Background(), &nodebus.Prompt{Nodes: nodes})
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// nodebus: Prompt outputs failed validation; node 1 (Publish): Published twice: of the nodes [1 2], remove all but one; node 2 (Publish): Published twice: of the nodes [1 2], remove all but one
}
