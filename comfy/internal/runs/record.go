package runs

import (
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/fold"
)

// runOf returns the state of a run that has ended: the state that the events in the record
// make, together with events for what the record says about nodes.
func runOf(rec *flow.Record) *fold.Run {
	id := rec.Prompt.ID
	run := &fold.Run{PromptID: id}
	apply := func(p nodebus.Payload) {
		run.Apply(nodebus.Event{PromptID: id, Attempt: rec.Attempt, Time: rec.Ended, Payload: p})
	}
	if rec.Start != nil {
		apply(*rec.Start)
	}
	if rec.Cached != nil {
		apply(*rec.Cached)
	}
	nodes := slices.Clone(rec.Nodes) // in the order in which they began, as in the events
	slices.SortStableFunc(nodes, func(a, b nodebus.NodeRun) int { return a.Started.Compare(b.Started) })
	for i := range nodes {
		if p := nodeEvent(&nodes[i]); p != nil {
			apply(p)
		}
	}
	for i := range rec.Errors {
		apply(rec.Errors[i])
	}
	for _, o := range rec.Outputs {
		apply(nodebus.Executed{Place: o.Place, Output: o.UI})
	}
	switch {
	case rec.Success != nil:
		apply(*rec.Success)
	case rec.Error != nil:
		apply(*rec.Error)
	case rec.Interrupted != nil:
		apply(*rec.Interrupted)
	}
	apply(nodebus.Executing{})
	run.State = rec.State
	run.Incomplete = rec.Reduced || rec.NodesLeftOut > 0
	return run
}

// nodeEvent returns an event that tells what the record says about a node; nil for a node
// that was skipped, because such a node has no events.
func nodeEvent(n *nodebus.NodeRun) nodebus.Payload {
	switch {
	case n.Result == "skipped":
		return nil
	case n.Result == "interrupted":
		return nodebus.ProgressState{}.With(nodebus.NodeState{Place: n.Place, Max: 1, State: fold.NodeRunning})
	case n.Result == "error": // the text comes from the errors of the record
		return nodebus.ProgressState{}.With(nodebus.NodeState{Place: n.Place, Max: 1, State: fold.NodeError})
	case n.Result == "blocked" && n.Reason != "":
		return nodebus.ExecutionError{NodeID: n.UniqueID, ExceptionType: nodebus.ExecutionBlocked, ExceptionMessage: n.Reason}
	}
	done := nodebus.NodeDone{Place: n.Place, Cached: n.Cached}
	if !n.Started.IsZero() {
		done.Duration = n.Ended.Sub(n.Started)
	}
	return done
}
