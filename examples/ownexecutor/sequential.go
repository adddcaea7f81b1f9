package main

import (
	"context"
	"maps"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// sequential is an executor that runs one node at a time.
type sequential struct{ registry *flow.Registry }

// Execute runs the nodes of the prompt in order. The engine adds the address to events
// that have none.
func (x sequential) Execute(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
	results := map[string]flow.Result{}
	for _, node := range needed(job.Prompt) {
		if err := ctx.Err(); err != nil {
			return nodebus.Report{}, err // interrupted
		}
		at := nodebus.Place{UniqueID: node.ID, DisplayID: node.ID}
		_ = pub.Publish(nodebus.Event{Payload: nodebus.Executing{UniqueID: node.ID, DisplayID: node.ID, PromptID: job.Prompt.ID}})
		inputs := nodebus.Inputs{}
		for name, v := range node.Inputs {
			if link, ok := v.(nodebus.Link); ok {
				v = results[link.Node].Outputs[link.Slot]
			}
			inputs[name] = v
		}
		class, _ := x.registry.Class(node.Class) // the class exists: Submit has checked it
		call := nodebus.NewContext(ctx, nodebus.CallInfo{Place: at, Job: &job, Publisher: pub})
		result, err := class.Call(call, inputs)
		call.End()
		if err != nil {
			return nodebus.Report{}, err // a *NodeError
		}
		results[node.ID] = result
		if result.UI != nil {
			_ = pub.Publish(nodebus.Event{Payload: nodebus.Executed{Place: at, Output: result.UI, PromptID: job.Prompt.ID}})
		}
	}
	return nodebus.Report{}, nil // the engine has kept what the nodes showed
}

// needed returns the nodes that the outputs of a prompt need, each after its inputs.
func needed(p *nodebus.Prompt) (order []nodebus.NodeSpec) {
	specs, done := map[string]nodebus.NodeSpec{}, map[string]bool{}
	for _, node := range p.Nodes {
		specs[node.ID] = node
	}
	var add func(id string)
	add = func(id string) {
		if done[id] {
			return
		}
		done[id] = true
		for _, name := range slices.Sorted(maps.Keys(specs[id].Inputs)) {
			if link, ok := specs[id].Inputs[name].(nodebus.Link); ok {
				add(link.Node)
			}
		}
		order = append(order, specs[id])
	}
	for _, id := range p.Outputs {
		add(id)
	}
	return order
}
