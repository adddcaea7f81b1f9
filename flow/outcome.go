package flow

import (
	"maps"

	"github.com/nodebus/nodebus"
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

	resultInterrupted = "interrupted"
)

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
