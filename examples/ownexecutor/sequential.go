package main

import (
	"context"
	"maps"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// sequential is an executor that runs one node at a time.
type sequential struct{ registry *flow.Registry }

// Execute runs the outputs of a prompt, and before each node the nodes that it takes its
// inputs from. The tracker publishes what happens to the nodes, and the engine keeps what
// they show. Submit has checked that there is no cycle and that each class exists.
func (x sequential) Execute(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (report nodebus.Report, err error) {
	tracker := nodebus.NewTracker(&job, pub)
	defer func() { tracker.Close(err) }()
	numbers, results := map[string]int{}, map[string]flow.Result{}
	for n, node := range job.Prompt.Nodes {
		numbers[node.ID] = n
	}
	var need func(id string) error
	need = func(id string) error {
		if _, done := results[id]; done {
			return nil
		}
		n := numbers[id]
		node := job.Prompt.Nodes[n]
		inputs := maps.Clone(node.Inputs)
		class, _ := x.registry.Class(node.Class)
		for _, port := range class.InputsOf(node) {
			if link, ok := node.Inputs[port.Name].(nodebus.Link); ok {
				if err := need(link.Node); err != nil {
					return err
				}
				inputs[port.Name] = results[link.Node].Outputs[link.Slot]
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx) // interrupted
		}
		tracker.Begin(n)
		at := nodebus.Place{UniqueID: id}
		call := nodebus.NewContext(ctx, nodebus.CallInfo{Place: at, Job: &job, Publisher: sender{pub, tracker, n}})
		results[id], err = class.Call(call, inputs)
		call.End() // the rest of its texts comes before the end of the node
		if err == nil && results[id].UI != nil {
			err = tracker.Executed(n, results[id].UI)
		}
		if err == nil {
			tracker.Finish(n)
		}
		return err
	}
	for _, id := range job.Prompt.Outputs {
		if err := need(id); err != nil {
			return report, err
		}
	}
	return report, nil
}

// sender publishes what a node sends, and has the tracker limit its progress events.
type sender struct {
	nodebus.Publisher
	tracker *nodebus.Tracker
	node    int
}

func (s sender) Publish(ev nodebus.Event) error {
	if p, ok := ev.Payload.(nodebus.Progress); ok {
		return s.tracker.Progress(s.node, p.Value, p.Max)
	}
	return s.Publisher.Publish(ev)
}
