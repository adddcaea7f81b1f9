package flow

import (
	"maps"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// A record is bounded, however many nodes a prompt has.
const (
	recordNodes  = 10_000 // nodes of a record
	recordErrors = 1000   // errors of a record
	recordTraces = 100    // errors of a record that keep their traceback
)

// The values of nodebus.NodeRun.Result.
const (
	resultDone    = "done"
	resultError   = "error"
	resultBlocked = "blocked"
	resultSkipped = "skipped"
)

// nodeFailed describes the error of a node. e is the event about the same error.
func nodeFailed(err *nodebus.NodeError, e *nodebus.ExecutionError) nodebus.NodeFailed {
	return nodebus.NodeFailed{
		Place: err.Place.WithDefaults(), PromptID: e.PromptID, Class: err.Class,
		ExceptionMessage: e.ExceptionMessage, ExceptionType: e.ExceptionType, Traceback: e.Traceback,
	}
}

// keep adds what the executor reports about nodes to the record.
func (r *Record) keep(report *nodebus.Report) {
	r.NodesLeftOut = report.NodesLeftOut
	if r.Nodes = report.Nodes; len(r.Nodes) > recordNodes {
		r.Nodes = make([]nodebus.NodeRun, 0, recordNodes)
		keepNodes(len(report.Nodes), func(i int) bool { return report.Nodes[i].Result == resultDone }, func(i int) {
			r.Nodes = append(r.Nodes, report.Nodes[i])
		})
		r.NodesLeftOut += len(report.Nodes) - len(r.Nodes)
	}
	for i := range r.Nodes {
		n := &r.Nodes[i]
		n.Place, n.Reason = n.Place.WithDefaults(), value.Shorten(n.Reason)
	}
	r.Errors = report.Errors[:min(len(report.Errors), recordErrors)]
	for i := range r.Errors {
		e := &r.Errors[i]
		if e.Place = e.Place.WithDefaults(); i >= recordTraces {
			e.Traceback = nil
		}
	}
}

// keepNodes calls keep for at most recordNodes of n nodes, in order: for those that are not
// done, and then for as many of the others as fit.
func keepNodes(n int, done func(i int) bool, keep func(i int)) {
	ends := 0
	for i := 0; i < n; i++ {
		if !done(i) {
			ends++
		}
	}
	ends = min(ends, recordNodes)
	fit := recordNodes - ends
	for i := 0; i < n; i++ {
		room := &ends
		if done(i) {
			room = &fit
		}
		if *room > 0 {
			*room--
			keep(i)
		}
	}
}

// joinRejected adds the outputs that are not valid in this process to those that Submit
// has rejected, perhaps in another process.
func joinRejected(before, now *nodebus.ValidationError) *nodebus.ValidationError {
	if before == nil || len(before.Nodes) == 0 {
		return now
	}
	all := *now
	all.Nodes = maps.Clone(before.Nodes)
	maps.Copy(all.Nodes, now.Nodes)
	return &all
}
