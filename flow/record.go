package flow

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// Record describes a prompt that has ended: its outcome, outputs and events. A store
// may keep it as JSON.
type Record struct {
	Prompt  *nodebus.Prompt `json:"prompt"`
	Attempt int             `json:"attempt"`
	State   nodebus.State   `json:"state"`
	Started time.Time       `json:"started,omitzero"` // zero if the prompt never began, as far as the engine that has ended it knows
	Ended   time.Time       `json:"ended"`
	// Outputs lists the UI outputs of nodes, in the order in which the nodes first
	// showed output.
	Outputs []nodebus.NodeOutput `json:"outputs"`
	// Nodes describes the nodes that ran, failed, were blocked or were skipped, and the
	// cached nodes whose results were used, if the executor reports them. There are at most 10 000: of a larger prompt, first the
	// nodes that did not end well, then as many of the others as fit. NodesLeftOut counts the rest.
	Nodes        []nodebus.NodeRun `json:"nodes,omitempty"`
	NodesLeftOut int               `json:"nodes_left_out,omitempty"`
	// Errors lists the errors of nodes that failed, in the order in which they failed, at
	// most 1000. Error is the same as the first of them. Only the first 100 have a traceback.
	// If the prompt ends while it waits for a further attempt, they are the errors of the
	// last attempt, and Error tells why the prompt has ended.
	Errors []nodebus.NodeFailed `json:"errors,omitempty"`
	// The fields below are the events of the prompt, as sent. Exactly one of Success,
	// Error and Interrupted is set; it matches State.
	Start       *nodebus.ExecutionStart       `json:"execution_start,omitempty"`
	Cached      *nodebus.ExecutionCached      `json:"execution_cached,omitempty"`
	Success     *nodebus.ExecutionSuccess     `json:"execution_success,omitempty"`
	Error       *nodebus.ExecutionError       `json:"execution_error,omitempty"`
	Interrupted *nodebus.ExecutionInterrupted `json:"execution_interrupted,omitempty"`
	// Reduced means that the store has left out parts of the record, because it was too
	// large; see [StoreOptions].
	Reduced bool `json:"reduced,omitempty"`

	// runs replaces Nodes in the engine and in a store in memory, because it is smaller. A
	// record that leaves this package has nil here; see full.
	runs *nodeRuns
}

// full returns the record as it leaves this package.
func (r *Record) full() Record {
	full := *r
	if r.runs != nil {
		full.Nodes = slices.AppendSeq(make([]nodebus.NodeRun, 0, len(r.runs.ends)), r.runs.All())
		full.runs = nil
	}
	return full
}

// Outcome returns the outcome of the prompt. It shares the lists of the record.
func (r *Record) Outcome() nodebus.Outcome {
	full := r.full()
	return nodebus.Outcome{
		PromptID: r.Prompt.ID, State: r.State, Attempt: r.Attempt, Outputs: r.Outputs, Error: r.Error, Errors: r.Errors,
		Rejected: r.Prompt.Rejected, Nodes: full.Nodes, NodesLeftOut: r.NodesLeftOut,
	}
}

// keep adds what the executor reports about nodes to the record.
func (r *Record) keep(report *nodebus.Report) {
	r.NodesLeftOut = report.NodesLeftOut
	if runs, ok := report.Nodes.(*nodeRuns); ok {
		r.runs = runs
	} else if report.Nodes != nil {
		r.keepNodes(slices.Collect(report.Nodes.All()))
	}
	r.Errors = report.Errors[:min(len(report.Errors), recordErrors)]
	for i := range r.Errors {
		e := &r.Errors[i]
		if e.Place = e.Place.WithDefaults(); i >= recordTraces {
			e.Traceback = nil
		}
	}
}

// keepNodes adds what an executor reports about nodes.
func (r *Record) keepNodes(nodes []nodebus.NodeRun) {
	if r.Nodes = nodes; len(nodes) > recordNodes {
		r.Nodes = make([]nodebus.NodeRun, 0, recordNodes)
		keepNodes(len(nodes), func(i int) bool { return nodes[i].Result == resultDone }, func(i int) {
			r.Nodes = append(r.Nodes, nodes[i])
		})
		r.NodesLeftOut += len(nodes) - len(r.Nodes)
	}
	for i := range r.Nodes {
		n := &r.Nodes[i]
		n.Place, n.Reason = n.Place.WithDefaults(), value.Shorten(n.Reason)
	}
}

// attemptOf returns the Attempt of a node in Nodes; 0 if Nodes does not have the node.
func (r *Record) attemptOf(uniqueID string) int {
	for n := range r.eachNode() {
		if n.UniqueID == uniqueID {
			return n.Attempt
		}
	}
	return 0
}

func (r *Record) eachNode() iter.Seq[nodebus.NodeRun] {
	if r.runs != nil {
		return r.runs.All()
	}
	return slices.Values(r.Nodes)
}

// end completes the record and returns the event that ends the prompt. err may wrap
// an error of a node, whose methods may panic, or end their goroutine; end then uses that as
// the error.
func (g *gate) end(err error) (terminal nodebus.Payload) {
	panicked := apart(func() error { terminal = g.finish(err); return nil })
	if panicked == nil {
		g.makeEncodable(&terminal)
		return terminal
	}
	if node, ok := err.(*nodebus.NodeError); ok { //nolint:errorlint // looking deeper would panic again
		e := *node
		e.Err, panicked = panicked, &e
	}
	return g.finish(panicked)
}

// makeEncodable replaces inputs in an execution_error that have no form on the wire, such
// as a channel: without its end event, a client would wait for ever.
func (g *gate) makeEncodable(terminal *nodebus.Payload) {
	e := g.record.Error
	if e == nil {
		return
	}
	if _, err := nodebus.JSON.Encode(nodebus.Event{Payload: *e}); err != nil {
		e.CurrentInputs = map[string][]any{}
		e.Traceback = append(e.Traceback, fmt.Sprintf("the inputs are left out: %v\n", err))
		*terminal = *e
	}
}

func (g *gate) finish(err error) nodebus.Payload {
	rec := &g.record
	rec.Ended = time.Now()
	rec.Success, rec.Error, rec.Interrupted = nil, nil, nil
	id, ms := g.j.p.ID, rec.Ended.UnixMilli()
	var node *nodebus.NodeError
	errors.As(err, &node)
	switch {
	case err == nil:
		rec.State = nodebus.Succeeded
		rec.Success = &nodebus.ExecutionSuccess{PromptID: id, Timestamp: ms}
		return *rec.Success
	case errors.Is(err, nodebus.ErrInterrupted), g.j.stopped(err):
		rec.State = nodebus.Interrupted
		rec.Interrupted = &nodebus.ExecutionInterrupted{PromptID: id, Executed: []string{}, Timestamp: ms}
		if node != nil {
			rec.Interrupted.NodeID, rec.Interrupted.Class = blamed(node)
			rec.Interrupted.Executed = orEmpty(node.Executed)
		}
		return *rec.Interrupted
	}
	rec.State = nodebus.Failed
	rec.Error = executionError(err, node)
	rec.Error.PromptID, rec.Error.Timestamp = id, ms
	switch {
	case errors.Is(err, nodebus.ErrRefused), g.j.refused != nil && err == g.j.refused: //nolint:errorlint // the same error, not one that wraps it
		rec.State = nodebus.Refused
		refuse(rec.Error, err)
	case node != nil:
		rec.addError(node)
	}
	return *rec.Error
}

// addError adds the error that ends the prompt to the errors of its nodes, unless it is one
// of them already.
func (r *Record) addError(node *nodebus.NodeError) {
	if len(r.Errors) >= recordErrors || slices.ContainsFunc(r.Errors, func(e nodebus.NodeFailed) bool { return e.UniqueID == node.UniqueID }) {
		return
	}
	failed := nodeFailed(node, r.Error)
	failed.Attempt = r.attemptOf(node.UniqueID)
	r.Errors = append(r.Errors, failed)
}

// stopped reports whether err is the error of an executor whose context has ended.
func (j *job) stopped(err error) bool {
	cause := context.Cause(j.ctx)
	return cause != nil && (errors.Is(err, cause) || errors.Is(err, j.ctx.Err()))
}
