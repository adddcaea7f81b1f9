package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nodebus/nodebus"
)

// Record describes a prompt that has ended: its outcome, outputs and events. A store
// may keep it as JSON.
type Record struct {
	Prompt  *nodebus.Prompt `json:"prompt"`
	Attempt int             `json:"attempt"`
	State   nodebus.State   `json:"state"`
	Started time.Time       `json:"started,omitzero"` // zero if the prompt never began
	Ended   time.Time       `json:"ended"`
	// Outputs lists the UI outputs of nodes, in the order in which the nodes first
	// showed output.
	Outputs []nodebus.NodeOutput `json:"outputs"`
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
}

// Outcome returns the outcome of the prompt.
func (r *Record) Outcome() nodebus.Outcome {
	return nodebus.Outcome{PromptID: r.Prompt.ID, State: r.State, Outputs: r.Outputs, Error: r.Error}
}

// end completes the record and returns the event that ends the prompt. err may wrap
// an error of a node, whose methods may panic; end then uses the panic as the error.
func (g *gate) end(err error) (terminal nodebus.Payload) {
	panicked := nodebus.Protect(func() error { terminal = g.finish(err); return nil })
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
	boundError(rec.Error)
	rec.Error.PromptID, rec.Error.Timestamp = id, ms
	return *rec.Error
}

// stopped reports whether err is the error of an executor whose context has ended.
func (j *job) stopped(err error) bool {
	cause := context.Cause(j.ctx)
	return cause != nil && (errors.Is(err, cause) || errors.Is(err, j.ctx.Err()))
}

// executionError converts an error to an execution_error event.
func executionError(err error, node *nodebus.NodeError) *nodebus.ExecutionError {
	if node == nil {
		node = &nodebus.NodeError{Err: err}
	}
	cause := node.Err
	if cause == nil {
		cause = errUnknown
	}
	id, class := blamed(node)
	e := &nodebus.ExecutionError{
		NodeID: id, Class: class, Executed: orEmpty(node.Executed),
		ExceptionMessage: errorText(cause) + "\n", ExceptionType: exceptionType(cause),
		Traceback: []string{}, CurrentInputs: node.Inputs, CurrentOutputs: orEmpty(node.Cacheable),
	}
	if errors.Is(cause, ErrCycle) {
		e.ExceptionMessage = "Dependency cycle detected"
		return e
	}
	e.Traceback = traceback(cause)
	if e.CurrentInputs == nil {
		e.CurrentInputs = map[string][]any{}
	}
	if node.Index > 0 {
		e.Traceback = append([]string{fmt.Sprintf("in the call for element %d\n", node.Index)}, e.Traceback...)
	}
	return e
}

var errUnknown = errors.New("the executor does not say what went wrong")

// blamed returns the node of the submitted prompt on which clients show the error.
func blamed(e *nodebus.NodeError) (id, class string) {
	if e.RealID == "" {
		return e.UniqueID, e.Class
	}
	return e.RealID, e.RealClass
}

// exceptionType returns the type of an error for clients: the result of its method
// ExceptionType, or else its Go type.
func exceptionType(err error) string {
	var named interface{ ExceptionType() string }
	var p *nodebus.PanicError
	switch {
	case errors.As(err, &named):
		return named.ExceptionType()
	case errors.Is(err, ErrCycle):
		return "graph.DependencyCycleError"
	case errors.As(err, &p):
		return "panic"
	}
	for errors.Unwrap(err) != nil && strings.HasPrefix(typeName(err), "*fmt.") {
		err = errors.Unwrap(err)
	}
	return strings.TrimPrefix(typeName(err), "*")
}

// traceback returns the stack of a panic. For any other error it returns the error
// and the errors that it wraps.
func traceback(err error) (lines []string) {
	if p, ok := asError[*nodebus.PanicError](err); ok && p.Stack != "" {
		return strings.SplitAfter(strings.TrimSpace(p.Stack), "\n")
	}
	for ; err != nil && len(lines) < 20; err = errors.Unwrap(err) {
		lines = append(lines, fmt.Sprintf("%T: %v\n", err, err))
	}
	return lines
}
