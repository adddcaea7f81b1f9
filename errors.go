package nodebus

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Errors that callers test for with [errors.Is].
var (
	// ErrClosed means that the hub, the prompt or the call is over.
	ErrClosed = errors.New("nodebus: closed")
	// ErrSlow ends a session or a subscription that fell too far behind.
	ErrSlow = errors.New("nodebus: client is too slow")
	// ErrReplaced ends a session in favor of a newer session of the same client.
	ErrReplaced = errors.New("nodebus: replaced by a newer session")
	// ErrInterrupted ends a prompt that was stopped. A node may return it.
	ErrInterrupted = errors.New("nodebus: interrupted")
	// ErrNoAddress refuses an event that names neither a prompt nor a client and is
	// not a broadcast.
	ErrNoAddress = errors.New("nodebus: the event has no address; set PromptID, To or Broadcast")
)

// EncodeError says that a payload has no form on the wire: it holds a NaN, a
// channel or a cycle, or its marshaller failed or panicked. Only the call that
// sent the payload fails.
type EncodeError struct {
	Type string // the payload's Go type
	Err  error
}

func (e *EncodeError) Error() string {
	return fmt.Sprintf("nodebus: cannot encode %s: %v", e.Type, e.Err)
}

func (e *EncodeError) Unwrap() error { return e.Err }

// NodeError says which node failed, and why. Clients receive the kind of Err: the
// answer of its method ExceptionType() string, if Err or an error that it wraps
// has this method, otherwise its Go type.
type NodeError struct {
	Place
	Class     string           // the class of the node
	RealClass string           // the class of the node RealID
	Inputs    map[string][]any // the inputs of the failed call, as plain values
	Executed  []string         // unique ids of the nodes that had run, in no order
	Cacheable []string         // unique ids of the nodes whose results a cache may hold
	Index     int              // number of the failed call, if the node is called for each element of a list
	Err       error            // a *PanicError if the node panicked
}

func (e *NodeError) Error() string {
	if e.Index > 0 {
		return fmt.Sprintf("nodebus: node %s (%s), element %d: %v", e.UniqueID, e.Class, e.Index, e.Err)
	}
	return fmt.Sprintf("nodebus: node %s (%s): %v", e.UniqueID, e.Class, e.Err)
}

func (e *NodeError) Unwrap() error { return e.Err }

// InputError is an error about one input of a node. A node's Validate may return
// one; clients then mark this input alone.
type InputError struct {
	Input string // the name of the input
	Err   error
}

func (e *InputError) Error() string { return fmt.Sprintf("input %q: %v", e.Input, e.Err) }

func (e *InputError) Unwrap() error { return e.Err }

// PanicError is a panic of foreign code: a node, codec, transport, listener, queue
// or store.
type PanicError struct {
	Value any    // the argument of panic
	Stack string // the stack of the goroutine that panicked; may be empty
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// BlockedError is the error that [Block] makes.
type BlockedError struct{ Reason string }

func (b *BlockedError) Error() string {
	if b.Reason == "" {
		return "nodebus: blocked"
	}
	return "nodebus: blocked: " + b.Reason
}

// Protect calls f and returns its error. A panic of f becomes a [*PanicError] that
// keeps the stack. Whoever calls code of others (executors, transports) uses it,
// so that a panic there ends one call and not the program.
func Protect(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: string(debug.Stack())}
		}
	}()
	return f()
}

func typeName(v any) string { return fmt.Sprintf("%T", v) }
