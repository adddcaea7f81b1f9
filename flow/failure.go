package flow

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/nodebus/nodebus"
)

// nodeFailed describes the error of a node. e is the event about the same error.
func nodeFailed(err *nodebus.NodeError, e *nodebus.ExecutionError) nodebus.NodeFailed {
	return nodebus.NodeFailed{
		Place: err.Place.WithDefaults(), PromptID: e.PromptID, Class: err.Class,
		ExceptionMessage: e.ExceptionMessage, ExceptionType: e.ExceptionType, Traceback: e.Traceback,
	}
}

// refuse makes e the event of a prompt that was refused.
func refuse(e *nodebus.ExecutionError, err error) {
	e.ExceptionType = refusedType
	if r := (*nodebus.RefusedError)(nil); errors.As(err, &r) && r != nil {
		e.ExceptionMessage = shorten(cmp.Or(r.Reason, nodebus.ErrRefused.Error()), errorTextMax) + "\n"
	}
}

// refusedType is the exception_type of a prompt that was refused.
const refusedType = "refused"

// executionError converts an error to an execution_error event of limited size.
func executionError(err error, node *nodebus.NodeError) *nodebus.ExecutionError {
	e := unboundedError(err, node)
	boundError(e)
	return e
}

func unboundedError(err error, node *nodebus.NodeError) *nodebus.ExecutionError {
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

// exceptionType returns the kind of an error for clients: the result of its method
// ExceptionType, or else its Go type. The types of packages errors and fmt, which only hold a
// text, are plainError.
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
	for errors.Unwrap(err) != nil && kindOf(err) == plainError {
		err = errors.Unwrap(err)
	}
	return kindOf(err)
}

// plainError is the exception_type of an error that has only a text.
const plainError = "error"

// kindOf returns the Go type of an error, without the mark of a pointer.
func kindOf(err error) string {
	kind := strings.TrimPrefix(typeName(err), "*")
	if pkg, _, _ := strings.Cut(kind, "."); pkg == "fmt" || pkg == "errors" {
		return plainError
	}
	return kind
}

// traceback returns the stack of a panic. For any other error it returns the error
// and the errors that it wraps.
func traceback(err error) (lines []string) {
	if p, ok := asError[*nodebus.PanicError](err); ok && p.Stack != "" {
		return strings.SplitAfter(strings.TrimSpace(p.Stack), "\n")
	}
	for ; err != nil && len(lines) < 20; err = errors.Unwrap(err) {
		lines = append(lines, fmt.Sprintf("%s: %s\n", kindOf(err), errorText(err)))
	}
	return lines
}
