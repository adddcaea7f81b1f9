package flow

import (
	"iter"
	"maps"
	"time"

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

// nodeRuns is what a Local reports about nodes, in the form that a record in memory keeps.
// Most nodes take 24 bytes, which the garbage collector does not look at. A nodebus.NodeRun
// takes 192, with many pointers.
type nodeRuns struct {
	specs  nodebus.Nodes // the nodes of the prompt
	began  time.Time     // when the run began
	ends   []nodeEnd
	others []nodebus.NodeRun // nodes that were made at run time, or have no result
}

// nodeEnd tells how a node has ended.
type nodeEnd struct {
	began, ended int64 // when the node was called and when it ended, see run.clock; 0 if it was not called
	at           int32 // number of the node; in a report, if negative, ^at is an index into nodeRuns.others
	calls        int32 // how often the node was called for the same inputs, if more than once; or cachedEnd
}

// cachedEnd means that the result of the node was cached.
const cachedEnd = -1

// All yields the nodes in the order in which they ended.
func (l *nodeRuns) All() iter.Seq[nodebus.NodeRun] {
	return func(yield func(nodebus.NodeRun) bool) {
		for i := range l.ends {
			end := &l.ends[i]
			if end.at < 0 {
				if !yield(l.others[^end.at]) {
					return
				}
				continue
			}
			id := l.specs[end.at].ID
			n := nodebus.NodeRun{Place: nodebus.Place{UniqueID: id, DisplayID: id, RealID: id}, Class: l.specs[end.at].Class, Result: resultDone}
			l.time(end, &n)
			if !yield(n) {
				return
			}
		}
	}
}

// describe describes a node for others.
func (l *nodeRuns) describe(end *nodeEnd, n *runNode, why *nodeWhy) nodebus.NodeRun {
	to := nodebus.NodeRun{Place: n.plan.place(), Class: n.plan.class.Name(), Result: resultDone}
	if why != nil {
		to.Result, to.Reason, to.By = why.result, value.Shorten(why.reason), why.by
		if why.ended != 0 {
			end.began, end.ended = why.began, why.ended
		}
	}
	l.time(end, &to)
	return to
}

// time fills in the fields that do not come from the graph.
func (l *nodeRuns) time(end *nodeEnd, to *nodebus.NodeRun) {
	to.Cached, to.Attempt = end.calls == cachedEnd, max(0, int(end.calls))
	if end.ended != 0 {
		to.Started, to.Ended = l.began.Add(time.Duration(end.began)), l.began.Add(time.Duration(end.ended))
	}
}
